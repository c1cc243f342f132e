"""A dirty topic: duplicates, disorder and poison among good events, sent straight to the broker at a fixed rate."""

import itertools
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import msgspec
from confluent_kafka import Producer

from tests.chaos.events import Event, Stream
from tests.chaos.stores import TOPIC

# Source: R19.
DUPLICATES: Final = 0.05
DISORDER: Final = 0.01
POISON_EVERY: Final = 1_000
# How many events later a duplicate comes, or one that is late.
LATER: Final = 200

_GOOD: Final = {
    "userId": "u1",
    "videoId": "v1",
    "interactionType": "VIEW",
    "watchTime": 1.0,
    "timestamp": "2025-09-01T12:00:00.000Z",
    "eventId": "00000000-0000-4000-8000-000000000000",
}


def _with(**fields: object) -> bytes:
    return msgspec.json.encode({**_GOOD, **fields})


# Everything that a writer has ever got wrong.
POISONS: Final = (
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"{}",
    b"[" * 5_000,
    msgspec.json.encode(_GOOD)[:-2],
    _with(eventId="1"),
    _with(userId=""),
    _with(userId="a\nb"),
    _with(userId="u" * 129),
    _with(videoId=17),
    _with(interactionType="WINK"),
    _with(watchTime=-1),
    _with(watchTime=1e9),
    _with(watchTime="12"),
    _with(timestamp="yesterday"),
    _with(timestamp="2025-09-01T12:00:00"),
    _with(timestamp="0001-01-01T00:00:00+23:59"),
    _with(algorithm="a\0b"),
    _with(metadata={"k": "\0"}),
    _with(metadata={"k": 1}),
    _with(position=-1),
    _with(position=2**70),
    _with(rating=11),
    b'{"userId":"u1","watchTime":NaN}',
    b'{"userId":"u1","watchTime":1e400}',
)


class Sent(NamedTuple):
    """A record that was sent; a poison has no event."""

    key: bytes
    value: bytes
    event: Event | None


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of the records were what."""

    duplicates: int
    late: int
    poisons: int


class DirtyTopic:
    """Sends from `with` to its end; then `events` are those that must be in the table, once each.

    Args:
        kafka: How to connect, as librdkafka has it.
        stream: The good events.
        rate: Records a second.
        seed: Of what is where.
        poison_every: One record in so many is poison, of each kind in turn.
    """

    def __init__(
        self, kafka: Mapping[str, str], stream: Stream, rate: float, seed: int, poison_every: int = POISON_EVERY
    ) -> None:
        self._producer = Producer({**kafka, "partitioner": "murmur2_random", "linger.ms": 2})
        self._records = _records(stream, random.Random(seed), poison_every)
        self._rate = rate
        self._stopped = threading.Event()
        self.sent: list[Sent] = []
        self.errors: list[object] = []

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        assert self._producer.flush(30) == 0
        assert self.errors == []

    @property
    def events(self) -> dict[str, Event]:
        """The good events, by id."""
        return {each.event["eventId"]: each.event for each in self.sent if each.event}

    @property
    def poisons(self) -> list[tuple[bytes, bytes]]:
        """Key and value of each poison."""
        return [(each.key, each.value) for each in self.sent if each.event is None]

    @property
    def shares(self) -> Shares:
        """How dirty it was."""
        numbers = [int(each.event["eventId"][-12:], 16) for each in self.sent if each.event]
        newest, late, seen = -1, 0, set[int]()
        for number in numbers:
            late += number < newest and number not in seen
            seen.add(number)
            newest = max(newest, number)
        return Shares(len(numbers) - len(seen), late, len(self.poisons))

    def _send(self) -> None:
        begin_s = time.monotonic()
        for number, record in enumerate(self._records):
            ahead_s = begin_s + number / self._rate - time.monotonic()
            if (ahead_s > 0.01 and self._stopped.wait(ahead_s)) or self._stopped.is_set():
                return
            self._producer.produce(TOPIC, record.value, key=record.key, on_delivery=self._delivered)
            self.sent.append(record)
            self._producer.poll(0)

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self.errors.append(error)


def _records(stream: Stream, chance: random.Random, poison_every: int) -> Iterator[Sent]:
    """Yields records without end."""
    later: dict[int, list[Sent]] = {}
    poisons = itertools.cycle(POISONS)
    number = 0
    while True:
        yield from later.pop(number, ())
        event = stream.event(number, time.time_ns() // 1_000_000)
        record = Sent(event["userId"].encode(), msgspec.json.encode(event), event)
        late, again = chance.random() < DISORDER, chance.random() < DUPLICATES
        if late or again:
            later.setdefault(number + chance.randint(1, LATER), []).append(record)
        if not late:
            yield record
        if number % poison_every == poison_every - 1:
            # A key of its own tells one poison from another of the same kind.
            yield Sent(f"poison-{stream.run}-{number}".encode(), next(poisons), None)
        number += 1
