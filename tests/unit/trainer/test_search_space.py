"""What is tuned, and within which bounds."""

import pytest

from runtime.settings import PREFIX, load
from trainer.domain.algorithm import Algorithm
from trainer.domain.search_space import MOST_PASSES, Choice, Dial, Span, rounded, search_space
from trainer.settings import TrainerSettings

PRESENT = load(TrainerSettings, {})


def space(algorithm: Algorithm) -> tuple[Dial, ...]:
    return search_space(algorithm, PRESENT.combined)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_bound_is_a_setting_that_is_accepted(algorithm: Algorithm) -> None:
    dials = space(algorithm)
    assert len({dial.setting for dial in dials}) == len(dials)
    for dial in dials:
        for value in dial.values if isinstance(dial, Choice) else (dial.low, dial.high):
            name = f"{PREFIX}{dial.setting.upper()}"
            assert getattr(load(TrainerSettings, {name: str(rounded(dial, value))}), dial.setting) == value


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_present_settings_are_among_what_is_tried(algorithm: Algorithm) -> None:
    for dial in space(algorithm):
        present = getattr(PRESENT, dial.setting)
        assert dial.with_present(present) == dial, "the defaults need no wider range"


def test_settings_out_of_the_range_widen_it() -> None:
    assert Span("a", 0.1, 0.5).with_present(0.7) == Span("a", 0.1, 0.7)
    assert Span("a", 0.1, 0.5).with_present(0.0) == Span("a", 0.0, 0.5)
    assert Choice("a", (16, 64)).with_present(48) == Choice("a", (16, 48, 64))


def test_passes_are_chosen_only_where_no_fit_is_watched() -> None:
    assert set(MOST_PASSES) <= {dial.setting for dial in space(Algorithm.COMBINATION)}
    assert "trainer_als_passes" in {dial.setting for dial in space(Algorithm.SPARK_ALS)}
    for algorithm in set(Algorithm) - {Algorithm.COMBINATION, Algorithm.SPARK_ALS}:
        assert not set(MOST_PASSES) & {dial.setting for dial in space(algorithm)}


def test_values_are_rounded_to_what_is_written_down() -> None:
    assert rounded(Span("a", 1e-7, 1e-3, is_log=True), 1.23456e-5) == 1.23e-5
    assert rounded(Span("a", 1, 9, is_whole=True), 7) == 7
    assert isinstance(rounded(Choice("a", (1, 2)), 2), int)
