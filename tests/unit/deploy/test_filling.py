"""How a new database is filled: once, resumed after a kill, never mixed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.filling import OtherDataError, mark_finished, next_step

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 5, 2, tzinfo=UTC)
SEED = ("seed", "--until", "2026-05-01T12:00:00+00:00")


def empty() -> bool:
    return False


def full() -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "filling.json"


def test_an_empty_database_is_seeded_and_a_killed_seed_makes_the_same_rows_again(path: Path):
    assert next_step(path, None, NOW, empty) == SEED
    assert next_step(path, None, LATER, full) == SEED


def test_what_has_been_filled_is_left_alone(path: Path):
    mark_finished(path, SEED)
    assert next_step(path, None, LATER, full) is None


def test_another_empty_database_is_filled_with_the_same_data(path: Path):
    mark_finished(path, SEED)
    assert next_step(path, None, LATER, empty) == SEED


def test_a_killed_import_goes_on_and_ends(path: Path, tmp_path: Path):
    command = next_step(path, tmp_path, NOW, empty)
    assert command == ("import", "kuairand", str(tmp_path))
    assert next_step(path, tmp_path, LATER, full) == command
    assert next_step(path, None, LATER, full) == command
    mark_finished(path, command)
    assert next_step(path, tmp_path, LATER, full) is None


def test_a_database_of_somebody_elses_is_served_as_it_is(path: Path):
    assert next_step(path, None, NOW, full) is None
    assert not path.exists()


@pytest.mark.parametrize("filled_by_us", [True, False])
def test_real_data_is_never_mixed_into_other_data(path: Path, tmp_path: Path, filled_by_us: bool):
    if filled_by_us:
        mark_finished(path, SEED)
    with pytest.raises(OtherDataError, match="FEED_DATA_DIR"):
        next_step(path, tmp_path, NOW, full)
