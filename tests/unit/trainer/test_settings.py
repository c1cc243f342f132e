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


SNOWFLAKE = {"USER": "u", "PRIVATE_KEY_FILE": "key.p8", "DATABASE": "D", "SCHEMA": "S"}


@pytest.mark.parametrize("missing", SNOWFLAKE)
def test_snowflake_needs_more_than_an_account(missing: str) -> None:
    given = {f"FEED_TRAINER_SNOWFLAKE_{name}": value for name, value in SNOWFLAKE.items() if name != missing}
    load(TrainerSettings, given)
    with pytest.raises(SettingsError) as wrong:
        load(TrainerSettings, {**given, "FEED_TRAINER_SNOWFLAKE_ACCOUNT": "a"})
    (problem,) = wrong.value.problems
    assert problem.startswith(f"FEED_TRAINER_SNOWFLAKE_{missing}=")
    assert "must be set beside FEED_TRAINER_SNOWFLAKE_ACCOUNT" in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SNOWFLAKE_TABLE", "t; DROP TABLE u", id="more than a name"),
        pytest.param("SNOWFLAKE_TABLE", "", id="no name"),
        pytest.param("MLFLOW_URI", "https://me:secret@mlflow", id="credentials in the address"),
        pytest.param("MLFLOW_URI", "./mlruns", id="files"),
    ],
)
def test_what_nobody_could_be_told_through_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"FEED_TRAINER_{name}"):
        load(TrainerSettings, {f"FEED_TRAINER_{name}": value})
