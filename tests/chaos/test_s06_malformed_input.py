"""S06: whatever bytes come, each RPC and each route answers in its own words, and tells nothing of what is inside.

The figure is of inputs: the corpus first, then mutations of it, of ordinary requests and of their fields. What is found
goes into `tests/corpus`, so that it is the first thing that is tried from then on.
"""

import asyncio
import random

from tests.chaos.conftest import Reporter
from tests.fuzzing import routes, rpcs
from tests.fuzzing.judging import leaks
from tests.fuzzing.site import CANARY, Site

TARGET = "0 crashes, 0 5xx, 0 leaks of class, path, SQL; connections survive; < 50 ms each"
LONG_INPUTS = 100_000  # at RPCs, and as many at routes
SHORT_INPUTS = 750  # the corpus at each RPC, and some
SEED = 20251122
# Of these there is none under an invented name.
NAMED = {
    "GET /experiments/named/{name}",
    "GET /experiments/named/{name}/start",
    "GET /experiments/named/{name}/stop",
    "POST /experiments/named/{name}/start",
    "POST /experiments/named/{name}/stop",
    "GET /explain/{recommendation_id}",
    "GET /assets/{digest}/{name:path}",
    "GET /{path:path}",
    "OPTIONS /api/track",  # a preflight has an answer only where pages of others may call
}


def test_malformed_input(servers: Site, report: Reporter, long: bool) -> None:
    count = LONG_INPUTS if long else SHORT_INPUTS
    by_grpc = asyncio.run(rpcs.fuzz(servers, count, SEED))
    by_rest = routes.fuzz(servers, count, SEED)
    all_of_it = by_grpc + by_rest
    ended, failures = servers.ended(), servers.failures()
    report(
        "S06",
        "malformed protobuf and JSON at every RPC and route",
        target=TARGET,
        met=not (all_of_it.findings or ended or failures or all_of_it.reconnects),
        inputs=all_of_it.inputs,
        refused=all_of_it.refused,
        crashes=len(ended),
        failures_in_logs=len(failures),
        findings=len(all_of_it.findings),
        first_finding=next((f"{each.door} {each.problem}" for each in all_of_it.findings), None),
        connections_lost=all_of_it.reconnects,
        slowest_ms=all_of_it.slowest_ms,
    )
    slow = [each for each in all_of_it.findings if each.problem.startswith("always takes")]
    # A busy machine makes anything slow: only the long form judges by time.
    assert [each for each in all_of_it.findings if each not in slow] == []
    assert (ended, failures, all_of_it.reconnects) == ([], [], 0)
    if not long:
        return  # too few come through by chance
    unreached = {row for _, row in servers.routes()} - by_rest.reached - NAMED
    unreached |= {path for _, path in servers.rpcs()} - by_grpc.reached - set(rpcs.LEFT_OUT)
    assert unreached == set(), "nothing good came through: is the input above all refused for the same?"


def test_what_is_told_of_the_inside_is_found() -> None:
    for told in (
        f"/tmp/{CANARY}/feed.db",
        "Traceback (most recent call last)",
        "ValueError: 7",
        "SELECT id FROM videos",
        "<class 'int'>",
        "file service.py",
        "sqlite3.OperationalError",
    ):
        assert leaks(f"it failed: {told}", b"") != []
    assert leaks("userId: must be 1 to 128 characters", b"") == []
    assert leaks("unknown parameter ValueError", b"ValueError") == []


def test_the_same_seed_makes_the_same_inputs() -> None:
    made = [routes.inputs("POST /feed/outcomes", random.Random(1)) for _ in range(2)]
    first, second = ([next(each) for _ in range(300)] for each in made)
    assert first == second
