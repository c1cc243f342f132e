"""Keeps what the users of experiments were served and did in step with the ledger, in its transactions."""

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from insights.domain.experiment_report import deeds_counted, page_counted
from insights.domain.ledger import Entry, Key
from storage import experiment_users
from storage.experiment_users import PageOfExperiments, Part


async def count_pages(connection: AsyncConnection, after: int, until: int, late_after_ms: float) -> None:
    """Counts the pages of `feed_cache` after one row, and not after another.

    Args:
        connection: The ledger's transaction.
        after: Number of the row before the first.
        until: Number of the last row.
        late_after_ms: A page that took longer came late.
    """
    if not await experiment_users.any_were_started(connection):
        return
    added: dict[Part, Counter[str]] = {}
    for page in await experiment_users.pages_between(connection, after, until):
        is_late = (page.elapsed_ms or 0.0) > late_after_ms
        _add(added, page, page_counted(page.videos, fell_back=page.fell_back, is_late=is_late))
    await experiment_users.add(connection, added)


async def count_deeds(connection: AsyncConnection, before: Iterable[Entry], after: Mapping[Key, Entry]) -> None:
    """Counts what changed of served videos.

    Args:
        connection: The ledger's transaction.
        before: Entries as they were; those that did not change may be among them.
        after: The changed ones, as they are.
    """
    if not after or not await experiment_users.any_were_started(connection):
        return
    changed: dict[str, Counter[str]] = {}
    for entry in before:
        if entry.key in after:
            more = changed.setdefault(entry.key.recommendation_id, Counter())
            more.update(deeds_counted(after[entry.key]))
            more.subtract(deeds_counted(entry))
    added: dict[Part, Counter[str]] = {}
    for page in await experiment_users.pages_among(connection, changed):
        _add(added, page, changed[page.recommendation_id])
    await experiment_users.add(connection, added)


def _add(added: dict[Part, Counter[str]], page: PageOfExperiments, counts: Counter[str]) -> None:
    for experiment, variant in page.variants:
        added.setdefault(Part(experiment, variant, page.user_id), Counter()).update(counts)
