"""The first page: its numbers are those of the tables, and it is there when others are not."""

import html
import re

import pytest
import sqlalchemy as sa

from runtime.process import Service
from storage.database import Database
from storage.tables import metadata
from tests.http import call
from tests.integration.insights.page.conftest import Start, fill
from tests.polling import until

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHARES = """
SELECT date(created_at),
       1.0 * sum(CASE WHEN source_type = 'LIGHTFM' THEN 1 ELSE 0 END) / count(*),
       1.0 * sum(CASE WHEN source_type = 'TRENDING' THEN 1 ELSE 0 END) / count(*)
FROM recommendation_decisions GROUP BY date(created_at) ORDER BY 1
"""


async def shown(site: Service, path: str = "/") -> str:
    answer = await call(site.http_port, "GET", path)
    assert answer.status == 200, answer.text
    return html.unescape(answer.text)


def facts(page: str) -> dict[str, str]:
    """The figures, by name."""
    return dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)", page))


def table(page: str, label: str) -> list[list[str]]:
    """The cells of a table, row by row."""
    found = re.search(rf'aria-label="{re.escape(label)}">(.*?)</table>', page, re.DOTALL)
    assert found, f"no table {label}"
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)]


async def test_its_numbers_are_those_of_plain_sql(start: Start, database: Database):
    site = await start()
    await fill(database)
    async with database.read() as connection:

        async def ask(statement: str) -> int:
            return int(await connection.scalar(sa.text(statement)))

        served = await ask("SELECT count(*) FROM recommendation_decisions")
        pending = await ask("SELECT count(*) FROM prediction_outcomes WHERE user_action = 'pending'")
        days = (await connection.execute(sa.text(SHARES))).all()
    page = await shown(site)
    found = facts(page)
    assert (found["Served videos"], found["Pending"], found["Balance"]) == (str(served), str(pending), "0")
    rows = table(page, "Share of served videos by source")
    assert rows == [
        ["Day", "LIGHTFM", "TRENDING"],
        *([str(day), *(f"{share:.1%}".replace("%", "\u202f%") for share in shares)] for day, *shares in days),
    ]


@ON_SQLITE
async def test_an_empty_system_says_what_is_not_there_yet(start: Start):
    page = await shown(await start())
    assert facts(page)["Served videos"] == "0"
    assert facts(page)["Newest interaction"] == "never"
    assert "Nothing to draw yet." in page
    assert "No process is watched" in page
    assert "The feed is well" not in page


@ON_SQLITE
async def test_without_the_database_it_says_so_and_others_try_again(start: Start, database: Database):
    site = await start()
    async with database.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    page = await shown(site)
    assert "The feed is degraded" in page
    assert "The database cannot be used" in page
    other = await call(site.http_port, "GET", "/models", headers={"accept": "text/html"})
    assert (other.status, other.headers["retry-after"]) == (503, "5")
    assert '<meta http-equiv="refresh" content="5">' in other.text


@ON_SQLITE
async def test_it_tells_which_process_answers(start: Start):
    one = await start()
    # It answers as any process does, though it is none of these; and nobody listens on port 9.
    watched = f"sink=http://127.0.0.1:{one.http_port}/metrics,scorer=http://127.0.0.1:9/metrics"
    site = await start(FEED_INSIGHTS_WATCHED=watched)

    async def states() -> list[list[str]]:
        cells = [row[::2] for row in table(await shown(site), "Processes")]
        return [[name, "silent" if "silent" in state else "answers"] for name, state in cells[1:]]

    await until(states, [["sink", "answers"], ["scorer", "silent"]])
    assert "Scorer does not answer at http://127.0.0.1:9/metrics" in await shown(site)
