"""R16: the ingest service is killed at random points, some of them while Kafka hangs and the journal holds events."""

import random

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "every acknowledged event in Kafka and the database; serving again <= 5 s"
# Of the kills, this share finds events in the journal and nowhere else.
JOURNAL_SHARE = 0.4


def test_the_ingest_service_is_killed_again_and_again(ingest: IngestRig, long: bool, report: Reporter):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    interactions = ingest.interactions()
    ingest.sink()
    points = 50 if long else 3
    hangs = {0, *(point for point in range(1, points) if chance.random() < JOURNAL_SHARE)}
    serving_s: list[float] = []
    with ingest.under_load(interactions) as run:
        for point in range(points):
            run.pause(chance.uniform(0.0, 2.0 if long else 0.5))
            if point in hangs:
                frozen = ingest.freeze_broker()
                run.until_acknowledged(frozen, lambda each: each.durability == "JOURNAL")
                run.pause(chance.uniform(0.0, 0.5))
            killed = run.pause(0)
            interactions.kill()
            interactions.launch()
            serving_s.append(run.until_acknowledged(killed) - killed)
            thawed = ingest.thaw_broker()
            run.until_drained(thawed)

    report(
        "R16",
        f"ingest service killed at {points} points, {len(hangs)} of them with Kafka hung",
        target=TARGET,
        met=run.right and max(serving_s) <= 5,
        **run.figures(),
        serving_again_s=max(serving_s),
        seed=seed,
    )
    run.check()
