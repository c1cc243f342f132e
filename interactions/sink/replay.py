"""Publishes dead letters again that can be read now, after whatever was wrong has been mended."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from eventlog.ports import Publisher, PublishError, Record, StoredRecord
from interactions.domain.log_record import UnreadableError
from interactions.sink.dead_letter import Letter, NoLetterError, read_letter
from interactions.sink.ports import Fault
from interactions.sink.reading import READERS

_BATCH: Final = 500


class LeftError(Exception):
    """A letter that is left where it is; the text says why."""


@dataclass
class Report:
    """What became of the letters.

    Args:
        letters: How many there are.
        published: How many were published again, or would be.
        repeated: How many hold what an earlier one holds too.
        beyond: How many could be published, but are beyond the limit.
        left: How many were left, by why.
    """

    letters: int = 0
    published: int = 0
    repeated: int = 0
    beyond: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Yields it as text."""
        yield f"{self.letters} dead letters"
        yield f"{self.published} published again"
        if self.repeated:
            yield f"{self.repeated} the same as one of these"
        if self.beyond:
            yield f"{self.beyond} beyond the limit"
        yield f"{self.left.total()} left"
        for reason, count in self.left.most_common():
            yield f"  {count} {reason}"


async def replay(letters: Iterable[StoredRecord], publisher: Publisher | None, *, limit: int | None = None) -> Report:
    """Publishes what can be read now to the topic where it was found. Safe to repeat: readers drop what they know.

    Args:
        letters: The whole dead-letter topic.
        publisher: Takes them; None: only tells what would be done.
        limit: Most to publish.

    Raises:
        PublishError: One was not acknowledged; those before it were.
    """
    report = Report()
    readable = _readable(letters, report)
    chosen = islice(readable, limit)
    while batch := list(islice(chosen, _BATCH)):
        if publisher:
            await _publish(publisher, batch)
        report.published += len(batch)
    report.beyond = sum(1 for _ in readable)
    return report


def _readable(letters: Iterable[StoredRecord], report: Report) -> Iterator[Record]:
    """Yields the original records that can be read now, each once; counts the others."""
    known: set[tuple[str, str]] = set()
    for found in letters:
        report.letters += 1
        try:
            letter = read_letter(found)
            place = _place(letter)
        except (NoLetterError, LeftError) as error:
            report.left[str(error)] += 1
            continue
        if place in known:
            report.repeated += 1
            continue
        known.add(place)
        yield letter.original


def _place(letter: Letter) -> tuple[str, str]:
    """Returns the topic of a letter and the id of what is in it; raises LeftError when it stays where it is."""
    if letter.fault is Fault.DAMAGED:  # it may look like an event, of another user
        raise LeftError(f"{letter.fault}: {letter.reason}")
    if not letter.whole:
        raise LeftError("too large: the record itself was not kept")
    original = letter.original
    if original.topic not in READERS:
        raise LeftError(f"of another topic: {original.topic}")
    try:
        found = READERS[original.topic](StoredRecord(original.topic, 0, 0, original.key, original.value))
    except UnreadableError as error:
        raise LeftError(f"{Fault.UNREADABLE}: {error}") from error
    return original.topic, found.key


async def _publish(publisher: Publisher, records: Sequence[Record]) -> None:
    for outcome in await publisher.publish_many(records):
        if isinstance(outcome, PublishError):
            raise outcome
