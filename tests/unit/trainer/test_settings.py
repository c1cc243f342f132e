"""The trainer's settings."""

import pytest

from runtime.settings import SettingsError, load
from trainer.domain.signal import Kind
from trainer.settings import TrainerSettings


def test_the_weights_are_those_of_the_contract() -> None:
    weights = load(TrainerSettings, {}).weights
    assert [weights[kind] for kind in (Kind.VIEW, Kind.CLICK, Kind.LIKE, Kind.SHARE)] == [0.1, 0.3, 0.7, 1.0]
    assert weights[Kind.SKIP] < 0
    assert weights[Kind.HIDE] < weights[Kind.SKIP]
    assert set(weights) == set(Kind)


def test_threads_are_the_cpus_unless_set() -> None:
    assert load(TrainerSettings, {}).fit_params(cpus=3).threads == 3
    assert load(TrainerSettings, {"FEED_TRAINER_THREADS": "1"}).fit_params(cpus=3).threads == 1


def test_all_wrong_settings_are_named() -> None:
    with pytest.raises(SettingsError) as wrong:
        load(TrainerSettings, {"FEED_TRAINER_EPOCHS": "0", "FEED_TRAINER_DIMENSION": "8"})
    assert len(wrong.value.problems) == 2
