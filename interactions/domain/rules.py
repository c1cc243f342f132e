"""The rules that the proto files cannot state: they need the clock, or two fields at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from interactions.domain.event import BrokenRule, InteractionEvent, InteractionType

# A phone that was offline on a long journey is believed; a clock set to last year is not.
MAX_AGE: Final = timedelta(days=30)
# Clocks of phones are off by minutes.
MAX_AHEAD: Final = timedelta(minutes=5)


def broken_rules(event: InteractionEvent, now: datetime) -> tuple[BrokenRule, ...]:
    """Returns every rule that an event breaks, none when it may be taken.

    Args:
        event: The event, which keeps the rules of the proto files.
        now: Wall time, aware.
    """
    return (*_time(event, now), *_rating(event), *text_rules(event))


def text_rules(event: InteractionEvent) -> tuple[BrokenRule, ...]:
    """Returns a rule for each text with a NUL: PostgreSQL cannot store it, so it must never be acknowledged."""
    texts = {"algorithm": event.algorithm, "modelVersion": event.model_version, "servedToken": event.served_token}
    broken = [name for name, text in texts.items() if "\x00" in text]
    if any("\x00" in text for entry in event.metadata.items() for text in entry):
        broken.append("metadata")
    return tuple(BrokenRule(name, "must not contain the character U+0000") for name in broken)


def instant(time: datetime) -> str:
    """Returns RFC 3339 in UTC with milliseconds, such as `2025-09-01T12:00:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(event: InteractionEvent, now: datetime) -> Iterator[BrokenRule]:
    oldest, newest = now - MAX_AGE, now + MAX_AHEAD
    if not oldest <= event.event_time <= newest:
        told = f"must be from {instant(oldest)} to {instant(newest)}, is {instant(event.event_time)}"
        yield BrokenRule("timestamp", told)


def _rating(event: InteractionEvent) -> Iterator[BrokenRule]:
    if event.rating is not None and event.interaction_type is not InteractionType.RATE:
        yield BrokenRule("rating", "must be absent unless interactionType is RATE")
    if event.rating is None and event.interaction_type is InteractionType.RATE:
        yield BrokenRule("rating", "must be given with interactionType RATE, 0 to 10")
