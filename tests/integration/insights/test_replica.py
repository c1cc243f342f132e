"""Answers and pages read a streaming replica; what is kept, and what is changed by hand, does not wait for it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import LocalPostgres
from insights.app import build
from insights.settings import InsightsSettings
from runtime.access import api_keys
from runtime.process import Service
from runtime.settings import load
from storage import ledger
from storage.database import Database, upgrade
from storage.tables import feed_cache
from tests.brokers import running as started
from tests.http import call
from tests.integration.insights.books import SECRET, Books, page
from tests.integration.insights.page.test_sign_in import Person
from tests.polling import until
from tests.replica import replica_of
from tests.secret_files import write_secret

pytestmark = pytest.mark.postgres

NOW = datetime.now(UTC)
RATE = "/feed/acceptance-rate"


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with started(LocalPostgres(tmp_path_factory.mktemp("primary"))) as server:
        upgrade(server.url)
        yield server


@pytest.fixture
def replica(primary: LocalPostgres, tmp_path: Path) -> Iterator[LocalPostgres]:
    password = primary.log_path.parent / "password"
    with started(replica_of(primary, password, tmp_path / "replica")) as server:
        yield server


@pytest.fixture
async def books(primary: LocalPostgres) -> AsyncIterator[Books]:
    database = Database(primary.url, pool_size=2)
    yield Books(database)
    await database.close()


@asynccontextmanager
async def insights(primary: LocalPostgres, replica: LocalPostgres, folder: Path, **more: str) -> AsyncIterator[Service]:
    key = folder / "bridge" / "token.key"
    key.parent.mkdir(exist_ok=True)
    write_secret(key, SECRET)
    environ = {
        **more,
        "FEED_DATA_DIR": str(folder),
        "FEED_DATABASE_URL": primary.url,
        "FEED_INSIGHTS_REPLICA_URL": replica.url,
    }
    async with Service("insights", build(load(InsightsSettings, environ))) as service:
        yield service


async def told(service: Service) -> int:
    """How many videos were served, as callers are answered; -1: there is no answer."""
    answer = await call(service.http_port, "GET", RATE)
    return int(answer.json["served"]) if answer.status == 200 else -1


async def kept(books: Books) -> int:
    """The same as the ledger has it."""
    return (await books.state()).served


async def begun(books: Books) -> bool:
    """Whether there is a ledger: it begins with what comes from then on."""
    async with books.database.read() as connection:
        return await ledger.progress(connection, feed_cache) is not None


def replay(replica: LocalPostgres, what: str) -> None:
    with psycopg.connect(replica.url, autocommit=True) as connection:
        connection.execute(f"SELECT pg_wal_replay_{what}()")


async def test_a_replica_that_lags_holds_up_answers_only(
    primary: LocalPostgres, replica: LocalPostgres, books: Books, tmp_path: Path
) -> None:
    async with insights(primary, replica, tmp_path) as service:
        await until(lambda: begun(books), expected=True)
        before = await kept(books)
        await books.serve(page("lag-1", time=NOW))
        await until(lambda: told(service), before + 2)

        replay(replica, "pause")
        await books.serve(page("lag-2", time=NOW))
        await until(lambda: kept(books), before + 4)
        assert await told(service) == before + 2

        correction = {"correctionType": "BLOCK", "videoId": "v9", "reason": "spam", "adminId": "ann"}
        headers = {"content-type": "application/json"}
        body = json.dumps(correction).encode()
        made = await call(service.http_port, "POST", "/feed/corrections", body, headers)
        assert made.status == 200, made.text
        assert "v9" in (await call(service.http_port, "GET", "/feed/corrections")).text
        assert "v9" in (await call(service.http_port, "GET", "/corrections")).text

        replay(replica, "resume")
        await until(lambda: told(service), before + 4)


async def test_who_has_signed_out_is_out_at_another_process_however_the_replica_lags(
    primary: LocalPostgres, replica: LocalPostgres, tmp_path: Path
) -> None:
    key = api_keys.create(tmp_path / "keys" / "api_keys.json", "ann", ["insights:read"])
    async with (
        insights(primary, replica, tmp_path, FEED_AUTH="keys") as here,
        insights(primary, replica, tmp_path, FEED_AUTH="keys") as beside,
    ):
        person, copy = Person(here), Person(beside)
        await person.sign_in(key)
        cookie = person.cookie

        async def status_beside() -> int:
            copy.cookie = cookie
            return (await copy.get("/models")).status

        await until(status_beside, 200)
        replay(replica, "pause")
        await person.post("/sign-out", {"csrf": await person.token()})
        await until(status_beside, 303)
        replay(replica, "resume")


async def test_without_its_replica_there_are_no_answers_and_the_ledger_goes_on(
    primary: LocalPostgres, replica: LocalPostgres, books: Books, tmp_path: Path
) -> None:
    async with insights(primary, replica, tmp_path) as service:
        await until(lambda: begun(books), expected=True)
        before = await kept(books)
        await until(lambda: told(service), before)
        replica.stop()
        await books.serve(page("away-1", time=NOW))
        await until(lambda: kept(books), before + 2)

        assert (await call(service.http_port, "GET", RATE)).status == 503
        assert (await call(service.http_port, "GET", "/trends")).status == 503
        overview = await call(service.http_port, "GET", "/")
        assert overview.status == 200
        assert "database" in overview.text
        assert (await call(service.http_port, "GET", "/corrections")).status == 200
        assert (await call(service.http_port, "GET", "/readyz")).status == 200

        replica.start()
        await until(lambda: told(service), before + 2)
