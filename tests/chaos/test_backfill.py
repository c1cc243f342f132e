"""Backfill: a known log through the front door, with kills on the way, is in the table and in the export exactly.

Issue 5, "what it must show", last line: same multiset, same fields, scores included.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.events import Event, Stream
from tests.chaos.ingest_rig import IngestRig, IngestRun
from tests.chaos.ledger import canonical
from tests.chaos.processes import Running
from tests.chaos.sending import new_run
from tests.chaos.stores import read_export
from tests.polling import wait_for
from tests.system import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "table and export hold the log exactly: same multiset, same fields"
DAYS = 3
DAY_MS = 86_400_000
SHORT_EVENTS = 4_000
LONG_EVENTS = 200_000
# Between two kills; what was killed is still starting then.
BETWEEN_S = 0.7


def test_a_known_log_is_in_table_and_export_exactly(ingest: IngestRig, long: bool, report: Reporter):
    count = LONG_EVENTS if long else SHORT_EVENTS
    start_ms = time.time_ns() // 1_000_000 - (DAYS + 1) * DAY_MS
    stream = Stream(new_run(), users=200, start_ms=start_ms, step_ms=DAYS * DAY_MS // count, repeats=True)
    log = [stream.event(number, 0) for number in range(count)]

    interactions, sink = ingest.interactions(), ingest.sink()
    with ingest.under_load(interactions, stream, rate=2 * ingest.rate, count=count) as run:
        for _ in range(5 if long else 1):
            _kill_each(ingest, run, (sink, interactions))
        wait_for(run.sender.is_done, bool, run.bound_s)
    _export(ingest.environ)

    stored = [row.event for row in run.table.rows()]
    exported = read_export(ingest.folder / "export" / "interactions")
    in_table, in_export = _multiset(stored) == _multiset(log), _multiset(exported) == _multiset(_merged(log))
    report(
        "backfill",
        "a known log; sink, interactions and broker killed on the way",
        target=TARGET,
        met=in_table and in_export and run.right,
        **run.figures(),
        exported=len(exported),
        table_exact=in_table,
        export_exact=in_export,
    )
    run.check()
    assert in_table
    assert in_export


def _kill_each(ingest: IngestRig, run: IngestRun, processes: Iterable[Running]) -> None:
    for process in processes:
        run.pause(BETWEEN_S)
        process.kill()
        process.launch()
    run.pause(BETWEEN_S)
    ingest.kill_broker()
    ingest.broker.start()


def _export(environ: Mapping[str, str]) -> None:
    """Runs `feed trainer export`."""
    subprocess.run(
        [sys.executable, "-m", "deploy.cli", "trainer", "export"],
        env={name: text for name, text in os.environ.items() if not name.startswith("FEED_")} | dict(environ),
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )


def _merged(log: Iterable[Event]) -> list[Event]:
    """Of the views of one user, video and session only the longest is exported."""
    kept: dict[object, Event] = {}
    for event in log:
        key: object = event["eventId"]
        if event["interactionType"] == "VIEW" and "feedSessionId" in event:
            key = (event["userId"], event["videoId"], event["feedSessionId"])
        if key not in kept or event["watchTime"] > kept[key]["watchTime"]:
            kept[key] = event
    return list(kept.values())


def _multiset(events: Iterable[Event]) -> Counter[bytes]:
    return Counter(map(canonical, events))
