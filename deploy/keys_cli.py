"""`feed keys`: API keys of services that have no tokens of their own."""

import os
import re
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from bridge.settings import BridgeSettings
from deploy.database_command import fail
from insights.domain.session import ROLE_SCOPES
from runtime.access import api_keys
from runtime.access.api_keys import ApiKeysError
from runtime.access.policy import SCOPES
from runtime.secrets import secret_ring
from runtime.secrets.signing import KeyFileError
from runtime.settings import CommonSettings, SettingsError, load

app = typer.Typer(
    help="API keys of services (FEED_AUTH=keys or jwt): running processes follow within seconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

SettingsT = TypeVar("SettingsT", bound=CommonSettings)

_KEY_ID: Final = re.compile(r"[a-z0-9-]{1,64}")


@app.command()
def create(
    key_id: Annotated[str, typer.Argument(help="its name: 1 to 64 of a-z 0-9 -")],
    *,
    scope: Annotated[list[str] | None, typer.Option(help="what its holder may do; may be given several times")] = None,
    role: Annotated[str, typer.Option(help="viewer, editor or admin: what people sign in to the page with")] = "",
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    if not _KEY_ID.fullmatch(key_id):
        fail(f"the name must be 1 to 64 characters of a-z 0-9 -, not {key_id!r}", code=2)
    if role and role not in ROLE_SCOPES:
        fail(f"--role must be {', '.join(ROLE_SCOPES)}, not {role}", code=2)
    scopes = {*(scope or ()), *ROLE_SCOPES.get(role, ())}
    if not scopes:
        fail("--scope or --role: what may its holder do?", code=2)
    unknown = sorted(scopes - SCOPES)
    if unknown:
        fail(f"--scope must be of {', '.join(sorted(SCOPES))}, not {', '.join(unknown)}", code=2)
    try:
        typer.echo(api_keys.create(_path(), key_id, sorted(scopes)))
    except (ApiKeysError, OSError) as error:
        fail(str(error))


@app.command("list")
def list_() -> None:
    """List the keys and their scopes."""
    try:
        found = api_keys.read(_path())
    except ApiKeysError as error:
        fail(str(error))
    for key in found.values():
        typer.echo(f"{key.key_id}  {' '.join(key.scopes)}")


@app.command()
def remove(key_id: Annotated[str, typer.Argument(help="as `list` prints it")]) -> None:
    """Remove a key: within seconds nobody can use it."""
    try:
        removed = api_keys.remove(_path(), key_id)
    except (ApiKeysError, OSError) as error:
        fail(str(error))
    if not removed:
        fail(f"there is no key {key_id}")


@app.command("rotate-sessions")
def rotate_sessions(
    *, end_all: Annotated[bool, typer.Option("--end-all", help="and sign everybody out of the page")] = False
) -> None:
    """Sign sessions of the page with a new key, two minutes from now; those before it hold on until the next time."""
    try:
        secret_ring.rotate(_settings(CommonSettings).session_key_path, keep=not end_all)
    except (KeyFileError, OSError) as error:
        fail(str(error))


@app.command("rotate-tokens")
def rotate_tokens() -> None:
    """Sign page tokens and proofs of what was served with a new key, two minutes from now; those before it hold on."""
    try:
        secret_ring.rotate(_settings(BridgeSettings).token_key_path, keep=True)
    except (KeyFileError, OSError) as error:
        fail(str(error))


def _path() -> Path:
    return _settings(CommonSettings).api_keys_path


def _settings(kind: type[SettingsT]) -> SettingsT:
    try:
        return load(kind, os.environ)
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)
