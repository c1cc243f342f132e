"""R19: duplicates, disorder and poison in the topic: the table is the exact set, every poison is a dead letter."""

import random
import time
from collections import Counter
from collections.abc import Mapping

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.dirty import DirtyTopic
from tests.chaos.events import Event, Stream
from tests.chaos.ingest_rig import IngestRig
from tests.chaos.ledger import canonical, trend
from tests.chaos.processes import Running
from tests.chaos.sending import new_run
from tests.chaos.stores import TOPIC, read_topic
from tests.chaos.watching import read_metrics
from tests.polling import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "exact set in the table; every poison in the DLQ; lag never > 1 s"
DLQ = "feed.interactions.v1.dlq"
MOST_S = 1.0
WATCH_EVERY_S = 0.25


def test_a_dirty_topic_becomes_the_exact_set(ingest: IngestRig, long: bool, report: Reporter):
    sink = ingest.sink()
    ingest.wait_until_ready()
    stream, seed = Stream(new_run(), repeats=True), random.randrange(10**6)
    # In a short run 0.1 % would be two; each kind must come.
    dirty = DirtyTopic(ingest.broker.client_config(), stream, ingest.rate, seed, 1_000 if long else 50)
    seconds = 60.0 if long else 6.0
    with dirty:
        # A first batch also opens the connections.
        wait_for(ingest.table.count, bool, ingest.bound_s)
        wait_for(lambda: _lag_s(sink), lambda lag: lag < MOST_S, ingest.bound_s)
        lags_s = _lags_s(sink, seconds)
    wait_for(ingest.table.count, lambda count: count >= len(dirty.events), ingest.bound_s)
    wait_for(lambda: _dead(ingest), lambda dead: len(dead) >= len(dirty.poisons), ingest.bound_s)

    rows = list(ingest.table.rows())
    exact = _multiset([row.event for row in rows]) == _multiset(list(dirty.events.values()))
    dead = Counter(_dead(ingest)) == Counter(dirty.poisons)
    trending = ingest.table.trending()
    shares = dirty.shares
    report(
        "R19",
        "duplicates, disorder and poison in the topic",
        target=TARGET,
        met=exact and dead and max(lags_s) <= MOST_S,
        records=len(dirty.sent),
        duplicates=shares.duplicates,
        late=shares.late,
        poisons=shares.poisons,
        exact=exact,
        every_poison_dead=dead,
        lag_max_s=max(lags_s),
        seed=seed,
    )
    assert shares.duplicates
    assert shares.late
    assert shares.poisons
    assert exact
    assert dead
    assert trending == pytest.approx(trend(rows))
    told = read_metrics(sink.http_port)
    assert told.total("feed_sink_dead_letters_total", fault="unreadable") == shares.poisons


def _lags_s(sink: Running, seconds: float) -> list[float]:
    """Watches how far the sink is behind, in seconds."""
    found, end_s = [0.0], time.monotonic() + seconds
    while time.monotonic() < end_s:
        found.append(_lag_s(sink))
        time.sleep(WATCH_EVERY_S)  # the pace of watching
    return found


def _lag_s(sink: Running) -> float:
    return read_metrics(sink.http_port).total("feed_sink_lag_seconds", topic=TOPIC)


def _dead(ingest: IngestRig) -> list[tuple[bytes, bytes]]:
    return [(copy.key, copy.value) for copy in read_topic(ingest.broker.client_config(), DLQ)]


def _multiset(events: list[Mapping[str, object]] | list[Event]) -> Counter[bytes]:
    return Counter(map(canonical, events))
