"""S08: floods of HTTP/2 frames that cost their sender nothing."""

import math
import time
from collections import Counter

from tests.chaos.attackers import Attackers
from tests.chaos.conftest import Reporter
from tests.chaos.load import Calls, Load, open_loop
from tests.chaos.memory import MemoryWatch
from tests.chaos.processes import Running
from tests.chaos.raw_http2 import FLOODS, GREETING
from tests.chaos.rig import GRACE_S, Rig

TARGET = "alive; RSS +<= 100 MB; success of others >= 99 % from 5 s after its end"
# Each costs gRPC 20 to 70 MB in a flood of continuations, however long it lasts (docs/security.md).
CONNECTIONS = 2
RPS = 50
SETTLED_S = 5.0
MAX_MORE_MB = 100.0


def test_floods_of_frames(rig: Rig, long: bool, report: Reporter):
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target)
    Load(bridge.grpc_port, rig.folder, open_loop(RPS, 1)).finish(GRACE_S)
    for kind in FLOODS:
        _flooded(rig, bridge, kind, long, report)


def _flooded(rig: Rig, bridge: Running, kind: str, long: bool, report: Reporter) -> None:
    lasts_s, after_s, settled_s = (20.0, 10.0, SETTLED_S) if long else (1.0, 1.0, 0.0)
    with MemoryWatch(bridge.pid) as memory, Attackers() as attackers:
        begun = time.time()
        load = Load(bridge.grpc_port, rig.folder, open_loop(RPS, lasts_s + after_s))
        attackers.flood(CONNECTIONS, bridge.grpc_port, GREETING, FLOODS[kind])
        time.sleep(lasts_s)  # how long it lasts
        ended = time.time()
    calls = load.finish(lasts_s + after_s + GRACE_S)

    during, after = calls.between(begun + settled_s, ended), calls.between(ended + settled_s, math.inf)
    shares = [answered_share(during), answered_share(after)]
    report(
        "S08",
        f"{kind} flood for {lasts_s:g} s over {CONNECTIONS} connections",
        target=TARGET,
        met=shares[1] >= 0.99 and memory.more_mb <= MAX_MORE_MB,
        answered_share_while_it_lasts=shares[0],
        answered_share_after=shares[1],
        p99_while_it_lasts_ms=during.p99_ms,
        not_answered=str(dict(Counter(call.status for call in calls if call.status != "OK"))),
        sent_mb=attackers.sent / 1e6,
        connections=attackers.connections,
        rss_mb=memory.start_mb,
        rss_more_mb=memory.more_mb,
    )
    assert bridge.answers()
    assert after.failed == []


def answered_share(calls: Calls) -> float:
    """Returns the share of the calls that got a page."""
    return len(calls.only(lambda call: call.status == "OK")) / len(calls) if len(calls) else 0.0
