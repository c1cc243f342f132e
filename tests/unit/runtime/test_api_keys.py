"""API keys: shown once, kept as hashes, followed as the file changes."""

from pathlib import Path

import pytest

from runtime.access import api_keys
from runtime.access.api_keys import ApiKeys, ApiKeysError, KeyBearers
from runtime.access.rules import Caller
from runtime.errors import UnauthenticatedError


class Clock:
    time = 0.0

    def __call__(self) -> float:
        self.time += 1.0
        return self.time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api_keys.json"


def test_a_key_says_whose_it_is_and_what_he_may_do(path: Path):
    key = api_keys.create(path, "metrics", ["insights:read", "feed:read:any"])
    assert ApiKeys(path).caller(key) == Caller("key:metrics", "", frozenset({"insights:read", "feed:read:any"}))


async def test_where_only_keys_are_taken_nothing_else_is(path: Path):
    key = api_keys.create(path, "metrics", ["insights:read"])
    bearers = KeyBearers(ApiKeys(path))
    assert (await bearers.caller(key)).name == "key:metrics"
    for wrong in (f"{key}x", "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(UnauthenticatedError):
            await bearers.caller(wrong)


def test_the_file_has_no_secret_and_is_its_owners_alone(path: Path):
    key = api_keys.create(path, "metrics", ["insights:read"])
    assert key.rpartition(".")[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["secret", "id", "cut", "empty", "extended"])
def test_another_key_is_nobodys(path: Path, change: str):
    key = api_keys.create(path, "metrics", ["insights:read"])
    other = api_keys.create(path, "other", ["insights:read"])
    wrong = {
        "secret": f"{key[:-1]}{'A' if key[-1] != 'A' else 'B'}",
        "id": f"feedkey.other.{key.rpartition('.')[2]}",
        "cut": key.rpartition(".")[0],
        "empty": "feedkey.metrics.",
        "extended": f"{key}A",
    }[change]
    keys = ApiKeys(path)
    assert keys.caller(wrong) is None
    assert keys.caller(other) is not None


def test_keys_that_come_and_go_are_followed(path: Path):
    keys = ApiKeys(path, Clock())
    first = api_keys.create(path, "a", ["admin"])
    assert keys.caller(first) is not None
    second = api_keys.create(path, "b", ["admin"])
    assert api_keys.remove(path, "a")
    assert (keys.caller(first), keys.caller(second) is not None) == (None, True)
    assert not api_keys.remove(path, "a")


def test_the_file_is_not_looked_at_for_every_call(path: Path):
    keys = ApiKeys(path, lambda: 0.0)
    assert keys.caller(api_keys.create(path, "a", ["admin"])) is None


def test_a_name_is_given_once(path: Path):
    api_keys.create(path, "a", ["admin"])
    with pytest.raises(ApiKeysError, match="there is a key a already"):
        api_keys.create(path, "a", ["insights:read"])


@pytest.mark.parametrize("damage", [b"", b"{}", b'[{"key_id": "a"}]', b"\xff"], ids=range(4))
def test_a_damaged_file_is_refused_at_the_start_and_passed_over_later(path: Path, damage: bytes):
    key = api_keys.create(path, "a", ["admin"])
    keys = ApiKeys(path, Clock())
    path.write_bytes(damage)
    assert keys.caller(key) is not None
    with pytest.raises(ApiKeysError, match="no list of keys"):
        ApiKeys(path)


def test_a_file_that_others_may_write_is_not_trusted(path: Path):
    api_keys.create(path, "a", ["admin"])
    path.chmod(0o620)
    with pytest.raises(ApiKeysError, match="others may write"):
        ApiKeys(path)
