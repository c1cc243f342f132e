"""The names of algorithms, and what a combination adds up."""

import pytest

from runtime.settings import SettingsError, load
from trainer.domain.algorithm import Algorithm, parse_combined
from trainer.fitters import fitter_of
from trainer.settings import TrainerSettings


def test_a_combination_is_read() -> None:
    expected = {Algorithm.ALS: 0.5, Algorithm.LIGHTFM_BPR: 2.0}
    assert parse_combined("als:0.5, lightfm-bpr:2") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "'' is not one of lightfm-warp", id="nothing"),
        pytest.param("bert:1", "'bert' is not one of lightfm-warp", id="unknown"),
        pytest.param("popularity:1", "'popularity' is not one of", id="popularity, which is in every score"),
        pytest.param("combination:1", "'combination' is not one of", id="itself"),
        pytest.param("als:1,als:2", "'als' .*is named twice", id="twice"),
        pytest.param("als", "the weight of als is missing", id="no weight"),
        pytest.param("als:x", "could not convert", id="no number"),
        pytest.param("als:0", "not above 0 and at most 100", id="zero"),
        pytest.param("als:-1", "not above 0 and at most 100", id="negative"),
        pytest.param("als:101", "not above 0 and at most 100", id="too much"),
        pytest.param("als:nan", "not above 0 and at most 100", id="not a number"),
    ],
)
def test_a_wrong_combination_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_combined(text)
    with pytest.raises(SettingsError, match="FEED_TRAINER_COMBINED"):
        load(TrainerSettings, {"FEED_TRAINER_COMBINED": text})


def test_an_unknown_algorithm_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"FEED_TRAINER_ALGORITHM='bert'.*'lightfm-warp'.*'combination'"):
        load(TrainerSettings, {"FEED_TRAINER_ALGORITHM": "bert"})


@pytest.mark.parametrize("algorithm", Algorithm)
def test_each_name_has_its_fitter(algorithm: Algorithm) -> None:
    assert fitter_of(algorithm, load(TrainerSettings, {}).combined).algorithm == algorithm
