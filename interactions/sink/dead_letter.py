"""What is kept of a record that cannot be used, and what it was made of; pure."""

from typing import Final, NamedTuple

from eventlog.ports import MAX_RECORD_BYTES, Headers, Record, StoredRecord, size_of
from eventlog.topics import INTERACTIONS_DLQ
from interactions.sink.ports import Fault

_REASON_CHARS: Final = 512
_LEFT_OUT: Final = "left-out-bytes"
# In this order at the end of a letter's headers, behind those of the record.
_TOLD: Final = ("fault", "reason", "topic", "partition", "offset")


class NoLetterError(Exception):
    """What is in the dead-letter topic was not put there by the sink; whoever did knows what to do with it."""


class Dead(NamedTuple):
    """A record that is of no use.

    Args:
        record: As it was found.
        fault: Whose fault it is.
        reason: What is wrong with it, in words.
    """

    record: StoredRecord
    fault: Fault
    reason: str


class Letter(NamedTuple):
    """A dead letter as it was read again.

    Args:
        original: The record as it once was, to be published again.
        fault: Whose fault it was.
        reason: What was wrong with it.
        place: Topic, partition and offset where it was found.
        whole: Whether the record itself is there.
    """

    original: Record
    fault: Fault
    reason: str
    place: tuple[str, int, int]
    whole: bool


def dead_letter(dead: Dead) -> Record:
    """Returns the record as it was found, with why it is dead and where it was in its headers."""
    record = dead.record
    letter = Record(INTERACTIONS_DLQ, record.key, record.value, (*record.headers, *_told(dead)))
    return letter if size_of(letter) <= MAX_RECORD_BYTES else bare_letter(dead)


def bare_letter(dead: Dead) -> Record:
    """Returns a letter without the record itself, for one that is too large to be kept twice."""
    size = str(len(dead.record.value)).encode()
    return Record(INTERACTIONS_DLQ, "", b"", ((_LEFT_OUT, size), *_told(dead)))


def read_letter(found: StoredRecord) -> Letter:
    """Reads a dead letter.

    Raises:
        NoLetterError: When it is none.
    """
    own, told = found.headers[: -len(_TOLD)], found.headers[-len(_TOLD) :]
    if not found.intact or tuple(name for name, _ in told) != _TOLD:
        raise NoLetterError("it has not the headers of a dead letter")
    fault, reason, topic, partition, offset = (value.decode(errors="replace") for _, value in told)
    try:
        place = (topic, int(partition), int(offset))
        original = Record(topic, found.key, found.value, own)
        return Letter(original, Fault(fault), reason, place, whole=not (own and own[-1][0] == _LEFT_OUT))
    except ValueError as error:
        raise NoLetterError(str(error)) from error


def _told(dead: Dead) -> Headers:
    values = (dead.fault, dead.reason[:_REASON_CHARS], dead.record.topic, dead.record.partition, dead.record.offset)
    return tuple(
        (name, str(value).encode(errors="backslashreplace")) for name, value in zip(_TOLD, values, strict=True)
    )
