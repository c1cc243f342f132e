"""R15: the broker is killed at random times and comes back; what it had not confirmed is sent again, in order."""

import random

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "0 lost; 0 doubled after dedupe; per-user order kept"


def test_the_broker_is_killed_again_and_again(ingest: IngestRig, long: bool, report: Reporter):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    interactions = ingest.interactions()
    ingest.sink()
    kills, longest_s = (5, 20.0) if long else (2, 1.0)
    down_s: list[float] = []
    with ingest.under_load(interactions) as run:
        for _ in range(kills):
            run.pause(chance.uniform(0.2, longest_s))
            killed = ingest.kill_broker()
            run.pause(chance.uniform(0.0, longest_s))
            ingest.broker.start()
            back = run.pause(0)
            down_s.append(back - killed)
            run.until_drained(back)

    report(
        "R15",
        f"broker killed {kills} times",
        target=TARGET,
        met=run.right,
        **run.figures(),
        longest_down_s=max(down_s),
        seed=seed,
    )
    run.check()
