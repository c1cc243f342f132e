"""What came of runs, in a table of Snowflake: a row a run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import snowflake.connector
from snowflake.connector.errors import Error, ProgrammingError

from storage.trainings import RunStatus
from trainer.status.ports import DestinationError
from trainer.status.settings import SnowflakeAccess

# Attempts to connect are given up after so long, seconds; the outbox goes on later.
_LOGIN_TIMEOUT_S: Final = 10
_STATEMENT_TIMEOUT_S: Final = 30

# Snowflake's number for a table that is not there, or not for us.
_NO_SUCH_OBJECT: Final = 2003

# Each column's type, and how it is made of its parameter.
_COLUMNS: Final = {
    "RUN_ID": ("VARCHAR(128) NOT NULL PRIMARY KEY", "{}"),
    "JOB_NAME": ("VARCHAR(64) NOT NULL", "{}"),
    "STATE": ("VARCHAR(16) NOT NULL", "{}"),
    "ALGORITHM": ("VARCHAR(64) NOT NULL", "{}"),
    "STARTED_TIME": ("TIMESTAMP_TZ NOT NULL", "{}::TIMESTAMP_TZ"),
    "FINISHED_TIME": ("TIMESTAMP_TZ", "{}::TIMESTAMP_TZ"),
    "DURATION_S": ("FLOAT", "{}::FLOAT"),
    "ERROR": ("VARCHAR", "{}"),
    "COUNTS": ("VARIANT", "PARSE_JSON({})"),
    "METRICS": ("VARIANT", "PARSE_JSON({})"),
    "PARAMS": ("VARIANT", "PARSE_JSON({})"),
    "STEP_DURATIONS_S": ("VARIANT", "PARSE_JSON({})"),
}


class SnowflakeStatuses:
    """A StatusDestination: one MERGE a run, so that telling again changes nothing.

    Args:
        access: Where, and as whom.

    Raises:
        DestinationError: When Snowflake is away, or refuses the key.
    """

    def __init__(self, access: SnowflakeAccess) -> None:
        self._table = access.table
        with _our_errors(), _key_errors():
            self._connection = snowflake.connector.connect(**_arguments(access))

    def tell(self, status: RunStatus) -> None:
        """Writes the row of a run; makes the table first when it is not there."""
        with _our_errors(), self._connection.cursor() as cursor:
            try:
                cursor.execute(_merge(self._table), _parameters(status))
            except ProgrammingError as error:
                if error.errno != _NO_SUCH_OBJECT:
                    raise
                cursor.execute(table_definition(self._table))
                cursor.execute(_merge(self._table), _parameters(status))

    def close(self) -> None:
        """Closes the connection."""
        with _our_errors():
            self._connection.close()


def table_definition(table: str) -> str:
    """Returns the statement that makes the table."""
    columns = ",\n".join(f"    {name} {kind}" for name, (kind, _) in _COLUMNS.items())
    return f"CREATE TABLE IF NOT EXISTS {table} (\n{columns}\n)"


def _merge(table: str) -> str:
    given = ", ".join(f"{made.format(f'%({name})s')} AS {name}" for name, (_, made) in _COLUMNS.items())
    changed = ", ".join(f"{name} = told.{name}" for name in _COLUMNS if name != "RUN_ID")
    added = ", ".join(f"told.{name}" for name in _COLUMNS)
    return (
        f"MERGE INTO {table} AS kept USING (SELECT {given}) AS told ON kept.RUN_ID = told.RUN_ID\n"  # noqa: S608  # a checked name
        f"WHEN MATCHED THEN UPDATE SET {changed}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(_COLUMNS)}) VALUES ({added})"
    )


def _parameters(status: RunStatus) -> dict[str, str | float | None]:
    return {
        "RUN_ID": status.model_version,
        "JOB_NAME": status.job_name,
        "STATE": status.status.value,
        "ALGORITHM": status.algorithm,
        "STARTED_TIME": status.started_at.isoformat(),
        "FINISHED_TIME": status.finished_at.isoformat() if status.finished_at else None,
        "DURATION_S": status.elapsed_s,
        "ERROR": status.error,
        "COUNTS": json.dumps(status.counts),
        "METRICS": json.dumps(status.metrics),
        "PARAMS": json.dumps(status.params),
        "STEP_DURATIONS_S": json.dumps(status.durations_s),
    }


def _arguments(access: SnowflakeAccess) -> dict[str, Any]:
    """Returns the arguments of a connection; the files are read now, so that keys are replaced without a restart."""
    named = {
        "account": access.account,
        "user": access.user,
        "authenticator": "SNOWFLAKE_JWT",
        "private_key_file": str(access.private_key_file),
        "private_key_file_pwd": _content(access.private_key_password_file),
        "database": access.database,
        "schema": access.schema,
        "warehouse": access.warehouse,
        "role": access.role,
        "login_timeout": _LOGIN_TIMEOUT_S,
        "network_timeout": _STATEMENT_TIMEOUT_S,
    }
    return {name: value for name, value in named.items() if value}


def _content(path: Path | None) -> str:
    return path.read_text("utf-8").strip() if path else ""


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise DestinationError(f"Snowflake: {error.msg or error}") from error


@contextmanager
def _key_errors() -> Iterator[None]:
    """Of the files, and of what reads keys: no PEM file, an encrypted key without its password, a wrong password."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise DestinationError(f"Snowflake: the private key cannot be used: {error}") from error
