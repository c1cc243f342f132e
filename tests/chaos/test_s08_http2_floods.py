"""S08: floods of HTTP/2 frames that cost their sender nothing."""

import time

import pytest

from tests.chaos.attackers import Attackers
from tests.chaos.conftest import Reporter
from tests.chaos.load import Load, open_loop
from tests.chaos.memory import MemoryWatch
from tests.chaos.raw_http2 import FLOODS, GREETING
from tests.chaos.rig import GRACE_S, Rig

TARGET = "alive; RSS +<= 100 MB; success of others >= 99 % after 5 s"
CONNECTIONS = 4
RPS = 50
SETTLED_S = 5.0
MAX_MORE_MB = 100.0


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_frames(rig: Rig, kind: str, long: bool, report: Reporter):
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target)
    lasts_s = 20.0 if long else 1.0
    after_s = 10.0 if long else 1.0
    Load(bridge.grpc_port, rig.folder, open_loop(RPS, 1)).finish(GRACE_S)

    with MemoryWatch(bridge.pid) as memory, Attackers() as attackers:
        begun = time.time()
        load = Load(bridge.grpc_port, rig.folder, open_loop(RPS, lasts_s + after_s))
        attackers.flood(CONNECTIONS, bridge.grpc_port, GREETING, FLOODS[kind])
        time.sleep(lasts_s)  # how long it lasts
        ended = time.time()
    calls = load.finish(lasts_s + after_s + GRACE_S)

    during = calls.between(begun + SETTLED_S, ended)
    after = calls.only(lambda call: call.start > (ended + SETTLED_S if long else ended))
    assert len(after)
    shares = [1 - len(each.only(lambda call: call.status != "OK")) / max(1, len(each)) for each in (during, after)]
    report(
        "S08",
        f"{kind} flood for {lasts_s:g} s over {CONNECTIONS} connections",
        target=TARGET,
        met=min(shares) >= 0.99 and memory.more_mb <= MAX_MORE_MB,
        success_share_while_it_lasts=shares[0],
        success_share_after=shares[1],
        p99_while_it_lasts_ms=during.p99_ms,
        sent_mb=attackers.sent / 1e6,
        connections=attackers.connections,
        rss_mb=memory.start_mb,
        rss_more_mb=memory.more_mb,
    )
    assert bridge.answers()
    assert memory.more_mb <= MAX_MORE_MB
