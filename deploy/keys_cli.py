"""`feed keys`: API keys of services that have no tokens of their own."""

import os
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from deploy.database_command import fail
from runtime import api_keys
from runtime.api_keys import ApiKeysError
from runtime.policy import SCOPES
from runtime.settings import CommonSettings, SettingsError, load

app = typer.Typer(
    help="API keys of services (FEED_AUTH=keys or jwt): running processes follow within seconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_KEY_ID: Final = re.compile(r"[a-z0-9-]{1,64}")


@app.command()
def create(
    key_id: Annotated[str, typer.Argument(help="its name: 1 to 64 of a-z 0-9 -")],
    *,
    scope: Annotated[list[str], typer.Option(help="what its holder may do; may be given several times")],
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    if not _KEY_ID.fullmatch(key_id):
        fail(f"the name must be 1 to 64 characters of a-z 0-9 -, not {key_id!r}", code=2)
    unknown = sorted(set(scope) - SCOPES)
    if unknown:
        fail(f"--scope must be of {', '.join(sorted(SCOPES))}, not {', '.join(unknown)}", code=2)
    try:
        typer.echo(api_keys.create(_path(), key_id, sorted(set(scope))))
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


def _path() -> Path:
    try:
        return load(CommonSettings, os.environ).api_keys_path
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)
