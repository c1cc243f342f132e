"""Where the books that tell of served pages do not agree: counters, log, tables and ledger; pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Counters(NamedTuple):
    """What bridges count of themselves since they were started.

    Args:
        answered: Pages that were answered.
        waiting: Records of them that are not published yet.
        dropped: Records of them that are lost.
    """

    answered: int
    waiting: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBooks:
    """What each of the books says of the pages of one stretch of time.

    Args:
        before: The bridges' counters before the log was read; None: they cannot be compared with it.
        after: The same, after it.
        videos: How many videos each page has whose record is on the log.
        contradicted: Pages of which the log has records that are not copies of each other.
        stored: Those of them that the database has.
        entries: How many videos of each of them the ledger has.
        forgotten: How many pages the database has beyond those: they came through the log, which has let go of them.
    """

    before: Counters | None
    after: Counters | None
    videos: Mapping[str, int]
    contradicted: Collection[str]
    stored: Collection[str]
    entries: Mapping[str, int]
    forgotten: int = 0


class Difference(NamedTuple):
    """Where two books do not agree.

    Args:
        text: What is wrong.
        may_settle: Whether it may only be on its way.
    """

    text: str
    may_settle: bool


def differences(books: PageBooks) -> Iterator[Difference]:
    """Yields where served pages and answered ones differ; nothing, when every answered page is in every book.

    A copy of a record is no difference: who is not sure whether the log has it sends it again, and readers drop it.
    """
    if books.before and books.after:
        yield from _against_counters(len(books.videos), books.forgotten, books.before, books.after)
    if books.contradicted:
        yield Difference(f"{_pages(sorted(books.contradicted))} on the log with different records", may_settle=False)
    unstored = [page for page in books.videos if page not in books.stored]
    if unstored:
        yield Difference(f"{_pages(unstored)} on the log and not in the database", may_settle=True)
    wrong = [page for page, count in books.videos.items() if books.entries.get(page, 0) != count]
    off_ledger = sorted(set(wrong) - set(unstored))
    if off_ledger:
        yield Difference(f"{_pages(off_ledger)} not on the ledger with every video", may_settle=True)


def _against_counters(recorded: int, forgotten: int, before: Counters, after: Counters) -> Iterator[Difference]:
    if after.dropped:
        yield Difference(f"{after.dropped} records of answered pages were dropped by the bridges", may_settle=False)
    # Pages go on being answered while the log is read: what was published before it must be there.
    least = before.answered - before.waiting - after.dropped - forgotten
    if recorded < least:
        yield Difference(f"{least - recorded} answered pages have no record on the log", may_settle=True)
    if recorded > after.answered:
        more = recorded - after.answered
        yield Difference(f"{more} more pages on the log than the bridges answered: did one die since?", may_settle=True)


def _pages(ids: Sequence[str]) -> str:
    """Returns how many pages these are, with one of them to look for."""
    return f"1 page ({ids[0]}) is" if len(ids) == 1 else f"{len(ids)} pages ({ids[0]}, …) are"
