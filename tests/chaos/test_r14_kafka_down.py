"""R14: Kafka is down for minutes; events are acknowledged by the journal, which Kafka gets once it is back."""

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "0 lost; 0 doubled; ack P95 < 50 ms while down; RSS +<= 150 MB; journal <= 600 MB; drained <= 5 min"


def test_kafka_is_down_and_nobody_notices(ingest: IngestRig, long: bool, report: Reporter):
    interactions = ingest.interactions()
    ingest.sink()
    with ingest.under_load(interactions) as run:
        before = run.pause(20 if long else 1)
        down = ingest.kill_broker()
        run.pause(600 if long else 5)
        ingest.broker.start()
        back = run.pause(0)
        drained = run.until_drained(back)
        run.pause(20 if long else 1)

    meanwhile = run.attempts.between(down, back)
    grown_mb = run.watch.rss_mb(down) - run.watch.rss_mb(0, before)
    report(
        "R14",
        "Kafka down (SIGKILL), then back on the same data",
        target=TARGET,
        met=run.right
        and meanwhile.failed == 0
        and meanwhile.latency_ms(0.95) < 50
        and grown_mb <= 150
        and run.watch.journal_mb() <= 600
        and drained - back <= 300,
        **run.figures(),
        down_s=back - down,
        down_ack_p95_ms=meanwhile.latency_ms(0.95),
        down_ack_max_ms=meanwhile.latency_ms(1.0),
        down_failed_calls=meanwhile.failed,
        rss_grown_mb=grown_mb,
        journal_mb=run.watch.journal_mb(),
        drained_after_s=drained - back,
    )
    run.check()
    assert meanwhile.durabilities["JOURNAL"], "the fault was not felt"
