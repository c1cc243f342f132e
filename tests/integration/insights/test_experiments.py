"""Experiments whose truth is known: the report finds what is there, and nothing else, and what harms is stopped."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from insights.adapters.experiments_database import DatabaseExperiments, report_of
from insights.domain.experiment_report import ExperimentReport, Metric
from insights.guardian import Guardian
from interactions.domain.event import InteractionType
from runtime.experiments import Experiment, Variant
from storage import audit, experiments
from storage.audit import Actor, Door
from storage.database import Database, upgrade
from storage.experiment_rules import Definition
from storage.experiments import Status, StoredExperiment
from storage.tables import experiment_users
from tests.integration.insights.books import BEGIN, LATE_AFTER_MS, Books, event, page

VIEW, LIKE, HIDE = (InteractionType(name) for name in ("VIEW", "LIKE", "HIDE"))
ADMIN = Actor("ann", Door.CLI)
VIDEOS = 20
EQUAL, RARE = {"a": 0.3, "b": 0.3}, {"a": 0.01, "b": 0.01}
TRIED = Definition("tried", "feed", 1.0, [Variant("a", 1.0), Variant("b", 1.0)], "", "ann")


class Looked:
    """What the guardian told."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []
        self.stops = 0
        self.mismatches: list[str] = []

    def looked(self, running: int, mismatched: int) -> None:
        self.found.append((running, mismatched))

    def stopped(self, _name: str, harms: Sequence[str]) -> None:
        assert harms
        self.stops += 1

    def mismatched(self, name: str, _users: Mapping[str, int]) -> None:
        self.mismatches.append(name)


async def start(database: Database, definition: Definition = TRIED) -> Experiment:
    async with database.begin() as connection:
        await experiments.create(connection, definition, BEGIN, Door.CLI)
        return (await experiments.start(connection, definition.name, BEGIN, ADMIN)).experiment


async def load(database: Database, name: str = "tried") -> StoredExperiment:
    async with database.read() as connection:
        found = await experiments.load(connection, name)
    assert found is not None
    return found


async def told(database: Database) -> ExperimentReport:
    async with database.read() as connection:
        return await report_of(connection, TRIED)


async def look(database: Database) -> Looked:
    looked = Looked()
    await Guardian(DatabaseExperiments(database, lambda: BEGIN), looked).look()
    return looked


@pytest.fixture
async def many(tmp_path: Path) -> AsyncIterator[Books]:
    """A ledger for thousands of pages: on SQLite alone, since what is proven is no matter of the database."""
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(url)
    database = Database(url)
    made = Books(database)
    await made.keep()
    yield made
    await database.close()


async def simulate(
    books: Books,
    users: int,
    accepted: Mapping[str, float],
    fallbacks: Mapping[str, float],
    late: Mapping[str, float] = RARE,
) -> None:
    """Starts the experiment and serves users a page each, of which they watch a share.

    Args:
        books: The ledger.
        users: How many.
        accepted: By variant, which share of the videos is watched.
        fallbacks: By variant, which share of the pages the model does not rank.
        late: By variant, which share of the pages takes longer than it may.
    """
    tried = await start(books.database)
    lot = random.Random(7)
    pages, deeds = [], []
    for number in range(users):
        user = f"u{number}"
        variant = tried.variant_of(user).name
        fell_back = lot.random() < fallbacks[variant]
        pages.append(
            page(
                f"page-{number}",
                [f"v{place}" for place in range(VIDEOS)],
                userId=user,
                feedSessionId=f"s{number}",
                fallbackReason="UNAVAILABLE" if fell_back else "NONE",
                elapsedMs=LATE_AFTER_MS + 0.5 if lot.random() < late[variant] else LATE_AFTER_MS,
                experiments=[{"experiment": tried.name, "variant": variant}],
            )
        )
        deeds += [
            event(VIEW, user_id=user, video_id=f"v{place}", recommendation_id=f"page-{number}", watch_time=5.0)
            for place in range(VIDEOS)
            if lot.random() < accepted[variant]
        ]
    await books.serve(*pages)
    await books.act(*deeds)
    await books.keep()


async def test_a_variant_that_is_a_tenth_better_is_found(many: Books) -> None:
    await simulate(many, 1_800, {"a": 0.3, "b": 0.33}, RARE)
    report = await told(many.database)
    found = report.variants[1].differences[Metric.ACCEPTED]
    assert found.low > 0
    assert found.relative == pytest.approx(0.1, abs=0.04)
    assert report.variants[1].differences[Metric.WATCH_TIME].low > 0
    assert not report.variants[1].differences[Metric.FALLBACKS].is_known
    assert not report.variants[1].differences[Metric.LATE].is_known
    assert (await look(many.database)).stops == 0


async def test_equal_variants_are_found_equal(many: Books) -> None:
    await simulate(many, 600, EQUAL, RARE)
    report = await told(many.database)
    assert [each for each in report.variants[1].differences.values() if each.is_known] == []
    assert sum(each.users for each in report.variants) == 600
    assert not report.is_mismatched
    assert list(report.harms()) == []


async def test_a_broken_variant_that_falls_back_half_of_the_time_is_stopped(many: Books) -> None:
    await simulate(many, 600, EQUAL, {"a": 0.01, "b": 0.5})
    looked = await look(many.database)
    assert (looked.stops, looked.found) == (1, [(1, 0)])
    stopped = await load(many.database)
    assert stopped.status is Status.STOPPED
    assert stopped.stop_reason is not None
    assert stopped.stop_reason.startswith("b: pages that the model did not rank: ")
    assert (await look(many.database)).found == [(0, 0)]
    async with many.database.read() as connection:
        told = (await audit.list_newest(connection, 1))[0].change
    assert (told.action, told.actor) == (audit.Action.STOPPED, Actor("guardian", Door.PROCESS))
    assert told.details == {"reason": stopped.stop_reason}


async def test_a_variant_that_answers_late_is_stopped(many: Books) -> None:
    """Its pages are the model's, and as good as the control's."""
    await simulate(many, 600, EQUAL, RARE, {"a": 0.01, "b": 0.3})
    assert (await look(many.database)).stops == 1
    stopped = await load(many.database)
    assert stopped.status is Status.STOPPED
    assert stopped.stop_reason is not None
    assert stopped.stop_reason.startswith("b: pages that came late: ")


async def test_users_who_are_missing_are_an_alarm(books: Books) -> None:
    """A variant whose pages get lost on the way to the ledger."""
    tried = await start(books.database)
    users = [f"u{number}" for number in range(2_000)]
    kept = [user for number, user in enumerate(users) if tried.variant_of(user).name == "a" or number % 2]
    shown = [
        page(f"page-{user}", userId=user, experiments=[{"experiment": "tried", "variant": tried.variant_of(user).name}])
        for user in kept
    ]
    await books.serve(*shown)
    await books.keep()
    assert (await told(books.database)).is_mismatched
    looked = await look(books.database)
    assert (looked.found, looked.mismatches) == ([(1, 1)], ["tried"])


async def counts(database: Database) -> dict[tuple[str, str, str], dict[str, int]]:
    key = ("experiment", "variant", "user_id")
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(experiment_users))).mappings().all()
    return {
        (row["experiment"], row["variant"], row["user_id"]): {
            name: value for name, value in row.items() if name not in key and value
        }
        for row in rows
    }


def part_of(*names: Sequence[str]) -> list[dict[str, str]]:
    return [{"experiment": experiment, "variant": variant} for experiment, variant in names]


async def test_each_user_counts_what_his_pages_came_to_whatever_came_when(books: Books) -> None:
    """What comes late, twice or for nothing changes the counts by what is new; other pages count for nothing."""
    await start(books.database)
    both = part_of(("tried", "a"), ("other", "x"))
    await books.act(event(LIKE, recommendation_id="r2", video_id="v3"))  # before its page
    await books.keep()
    await books.serve(
        page("r1", ["v1", "v2"], experiments=both, elapsedMs=150.25),
        page("r2", ["v3", "v4"], experiments=part_of(("tried", "a")), fallbackReason="DEADLINE", elapsedMs=150),
        page("r3", ["v5"], experiments=part_of(("tried", "b")), userId="u2"),
        page("r4", ["v6"], userId="u2"),
    )
    await books.keep()
    await books.act(event(VIEW, watch_time=2.0), event(VIEW, watch_time=3.5), event(VIEW, watch_time=1.0))
    await books.keep()
    await books.act(event(HIDE), event(VIEW, recommendation_id="r4", video_id="v6", user_id="u2"))
    await books.act(event(LIKE, user_id="stranger", recommendation_id="r3", video_id="v5"))
    await books.keep()

    own = Counter(pages=1, late=1, served=2, hidden=1, watch_time_ms=3_500)
    assert await counts(books.database) == {
        ("other", "x", "u1"): dict(own),
        ("tried", "a", "u1"): dict(own + Counter(pages=1, fallbacks=1, served=2, accepted=1, added=1)),
        ("tried", "b", "u2"): {"pages": 1, "served": 1},
    }
