"""Running the project's commands as an operator does."""

import os

import typer
from typer.testing import CliRunner, Result


def bare_environ() -> dict[str, str]:
    """The environment of this process without any setting of the project."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FEED_")}


class Operator:
    """Somebody at a command line, with a database.

    Args:
        app: The command.
        url: The database.
    """

    def __init__(self, app: typer.Typer, url: str) -> None:
        self._app = app
        self._environ = {"FEED_DATABASE_URL": url}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(self._app, arguments, env=self._environ)
