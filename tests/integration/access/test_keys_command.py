"""`feed keys` for people: keys by role, and the key that signs their sessions."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.keys_cli import app
from runtime.access import api_keys
from runtime.secrets import secret_ring
from runtime.secrets.signing import KeyFileError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEED_DATA_DIR", str(tmp_path))
    return tmp_path / "keys"


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_people_get_keys_by_their_roles(folder: Path):
    made = keys("create", "ann", "--role", "editor")
    caller = api_keys.ApiKeys(folder / "api_keys.json").caller(made.stdout.strip())
    assert caller is not None
    assert caller.scopes == {"insights:read", "corrections:write", "experiments:write"}


@pytest.mark.parametrize(
    ("arguments", "named"), [(("--role", "owner"), "viewer, editor, admin"), ((), "--scope or --role")]
)
def test_what_no_key_may_is_refused(folder: Path, arguments: tuple[str, ...], named: str):
    refused = keys("create", "ann", *arguments)
    assert (refused.exit_code, (folder / "api_keys.json").exists()) == (2, False)
    assert named in refused.stderr


def test_sessions_are_signed_by_another_key_and_the_one_before_it_holds_unless_all_are_to_end(folder: Path):
    path = folder / "session.key"
    first = secret_ring.SecretRing(path).secrets()
    assert keys("rotate-sessions").exit_code == 0
    second = secret_ring.read(path)
    assert (len(second), second[1:], path.stat().st_mode & 0o777) == (2, first, 0o600)
    assert keys("rotate-sessions", "--end-all").exit_code == 0
    last = secret_ring.read(path)
    assert (len(last), set(last) & set(second)) == (1, set())


def test_tokens_are_signed_by_another_key_and_the_one_before_it_holds(folder: Path):
    path = folder.parent / "bridge" / "token.key"
    first = secret_ring.SecretRing(path).secrets()
    assert keys("rotate-tokens").exit_code == 0
    assert [*first] == [*secret_ring.read(path)[1:]]


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 96])
def test_a_damaged_key_is_none_and_the_one_before_it_goes_on(folder: Path, content: bytes):
    clock = [0.0]
    path = folder / "session.key"
    ring = secret_ring.SecretRing(path, lambda: clock[0])
    before = ring.secrets()
    path.write_bytes(content)
    clock[0] = 10.0
    assert ring.secrets() == before
    assert keys("rotate-sessions").exit_code == 1
    assert keys("rotate-sessions", "--end-all").exit_code == 0


def test_a_key_that_others_may_read_is_none(folder: Path):
    path = folder / "session.key"
    secret_ring.SecretRing(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read"):
        secret_ring.SecretRing(path)
