"""Statuses in Snowflake: the real connector with a key pair, against a fake server."""

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fakesnow
import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.settings import load
from storage.database import upgrade
from storage.trainings import RunStatus, TrainingEnd, TrainingStart, TrainingStatus
from tests.secret_files import write_secret
from trainer.adapters import status_snowflake
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.status_snowflake import SnowflakeStatuses, table_definition
from trainer.settings import TrainerSettings
from trainer.status.composition import destinations_of
from trainer.status.ports import DestinationError
from trainer.status.telling import Telling

# Of the fake server's own thread.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:fakesnow")

TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)
STATUS = RunStatus(
    "m1",
    "feed_lightfm_retrain",
    "lightfm-warp",
    TrainingStatus.REFUSED,
    "NDCG@10 0.1 isn't above 'popularity' \\ 100%\n",
    TWO,
    TWO + timedelta(seconds=30),
    TWO + timedelta(seconds=30.5),
    {"interactions": 7},
    {"ndcg_at_10": 0.25},
    {"algorithm": "lightfm-warp"},
    {"export": 0.5},
)

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    """Where the fake server is."""
    with fakesnow.server() as arguments:
        yield {name: arguments[name] for name in ("host", "port", "protocol")}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.p8"
    write_secret(path, pem(b"secret"))
    return path


def pem(password: bytes) -> bytes:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


@pytest.fixture
def connect(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Connect:
    """The library's own connect, which finds the fake server instead of the account's."""
    found = functools.partial(snowflake.connector.connect, **server)
    monkeypatch.setattr(snowflake.connector, "connect", found)
    return found


@pytest.fixture
def settings_of(key_file: Path, tmp_path: Path) -> Callable[..., TrainerSettings]:
    write_secret(tmp_path / "password", "secret\n")

    def make(**changes: str) -> TrainerSettings:
        given = {
            "FEED_DATA_DIR": str(tmp_path),
            "FEED_TRAINER_MLFLOW_ENABLED": "false",
            "FEED_TRAINER_SNOWFLAKE_ACCOUNT": "myorg-myaccount",
            "FEED_TRAINER_SNOWFLAKE_USER": "feed_trainer",
            "FEED_TRAINER_SNOWFLAKE_PRIVATE_KEY_FILE": str(key_file),
            "FEED_TRAINER_SNOWFLAKE_PRIVATE_KEY_PASSWORD_FILE": str(tmp_path / "password"),
            "FEED_TRAINER_SNOWFLAKE_DATABASE": "ANALYTICS",
            "FEED_TRAINER_SNOWFLAKE_SCHEMA": "FEED",
        }
        return load(TrainerSettings, {**given, **changes})

    return make


def rows(connect: Connect, key_file: Path, table: str) -> list[dict[str, Any]]:
    connection = connect(
        account="a", user="u", authenticator="SNOWFLAKE_JWT", private_key_file=str(key_file),
        private_key_file_pwd="secret", database="ANALYTICS", schema="FEED",
    )  # fmt: skip
    with connection, connection.cursor(snowflake.connector.DictCursor) as cursor:
        found: list[dict[str, Any]] = cursor.execute(f"SELECT * FROM {table} ORDER BY RUN_ID").fetchall()
        return found


def test_a_run_is_one_row_however_often_it_is_told(
    settings_of: Callable[..., TrainerSettings], connect: Connect, key_file: Path
) -> None:
    destination = SnowflakeStatuses(settings_of(FEED_TRAINER_SNOWFLAKE_TABLE="TOLD_TWICE").snowflake_access)
    for _ in range(2):
        destination.tell(STATUS)
    destination.close()
    (row,) = rows(connect, key_file, "TOLD_TWICE")
    assert (row["JOB_NAME"], row["RUN_ID"], row["STATE"]) == ("feed_lightfm_retrain", "m1", "refused")
    assert (row["ERROR"], row["DURATION_S"]) == (STATUS.error, 30.5)
    assert (row["STARTED_TIME"], row["FINISHED_TIME"]) == (STATUS.started_at, STATUS.finished_at)
    assert [json.loads(row[name]) for name in ("COUNTS", "METRICS", "PARAMS", "STEP_DURATIONS_S")] == [
        STATUS.counts,
        STATUS.metrics,
        STATUS.params,
        STATUS.durations_s,
    ]


def test_away_and_back_every_run_is_there_once(
    settings_of: Callable[..., TrainerSettings],
    connect: Connect,
    key_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, now = settings_of(FEED_TRAINER_SNOWFLAKE_TABLE="AWAY_AND_BACK"), [TWO]
    upgrade(settings.effective_database_url)
    database = TrainingDatabase(settings.effective_database_url)
    telling = Telling(database, destinations_of(settings), tmp_path / "telling.lock", lambda: now[0])
    monkeypatch.setattr(status_snowflake, "_LOGIN_TIMEOUT_S", 1)
    monkeypatch.setattr(snowflake.connector, "connect", functools.partial(connect, port=1))
    for version in ("m1", "m2"):
        database.register(TrainingStart(version, "als", {}, {}, now[0], "job"))
        database.finish(version, TrainingEnd(TrainingStatus.SUCCEEDED, now[0]), telling.destinations)
    assert not telling.tell()
    monkeypatch.setattr(snowflake.connector, "connect", connect)
    now[0] += timedelta(minutes=1)
    assert telling.tell()
    assert [row["RUN_ID"] for row in rows(connect, key_file, "AWAY_AND_BACK")] == ["m1", "m2"]
    assert not telling.is_due()
    database.close()


@pytest.mark.parametrize(
    ("password", "key"), [("wrong", None), ("secret", "no key")], ids=["a wrong password", "no PEM file"]
)
def test_a_key_that_cannot_be_used_is_a_sentence_without_secrets(
    settings_of: Callable[..., TrainerSettings],
    connect: Connect,
    tmp_path: Path,
    password: str,
    key: str | None,
) -> None:
    del connect
    settings = settings_of()
    write_secret(tmp_path / "password", password)
    if key:
        write_secret(tmp_path / "key", key)
        settings = settings_of(FEED_TRAINER_SNOWFLAKE_PRIVATE_KEY_FILE=str(tmp_path / "key"))
        write_secret(tmp_path / "password", password)
    with pytest.raises(DestinationError, match="Snowflake") as caught:
        SnowflakeStatuses(settings.snowflake_access)
    assert password not in str(caught.value)


def test_the_documented_table_is_the_one_that_is_made() -> None:
    page = (Path(__file__).parents[4] / "docs" / "nightly.md").read_text("utf-8")
    assert table_definition("MODEL_TRAININGS") in page
