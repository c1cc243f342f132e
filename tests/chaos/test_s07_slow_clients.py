"""S07: hundreds of clients that say nothing, or a byte a second, on both ports, beside some who ask for pages."""

from tests.chaos.attackers import Attackers
from tests.chaos.conftest import Reporter
from tests.chaos.load import Load, open_loop
from tests.chaos.memory import MemoryWatch
from tests.chaos.raw_http2 import GREETING, SETTINGS, frame, request
from tests.chaos.rest_load import RestLoad
from tests.chaos.rig import GRACE_S, Rig
from tests.polling import wait_for

TARGET = "pages p99 < 150 ms; bad connections closed <= 10 s"
BOUND_S = 10.0
RPS = 50
_ACKNOWLEDGED = frame(SETTINGS, 1)
_REST = b"GET /feed/recommendations?userId=u1 HTTP/1.1\r\nhost: feed\r\nx-filler: " + b"x" * 1_000


def test_slow_and_silent_clients(rig: Rig, long: bool, report: Reporter):
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target)
    count = 500 if long else 20
    lasts_s = 15.0 if long else 10.0
    Load(bridge.grpc_port, rig.folder, open_loop(RPS, 1)).finish(GRACE_S)
    calm = Load(bridge.grpc_port, rig.folder, open_loop(RPS, 10 if long else 1)).finish(GRACE_S)

    with MemoryWatch(bridge.pid) as memory, Attackers() as attackers, RestLoad(bridge.http_port) as rest:
        load = Load(bridge.grpc_port, rig.folder, open_loop(RPS, lasts_s))
        attackers.hold(count // 2, bridge.grpc_port)
        # Silent once they have said who they are: gRPC's own bound on handshakes does not hold them.
        attackers.hold(count // 2, bridge.grpc_port, GREETING + _ACKNOWLEDGED)
        attackers.hold(count, bridge.grpc_port, slowly=GREETING + request(1))
        attackers.hold(count, bridge.http_port)
        attackers.hold(count, bridge.http_port, slowly=_REST)
        calls = load.finish(lasts_s + GRACE_S)
        wait_for(lambda: len(attackers.held_s), lambda closed: closed == 4 * count, GRACE_S)

    report(
        "S07",
        f"{count} silent and {count} slow clients on each port",
        target=TARGET,
        met=max(attackers.held_s) <= BOUND_S and max(calls.p99_ms, rest.p99_ms) < 150 and not calls.failed,
        calm_p99_ms=calm.p99_ms,
        closed=len(attackers.held_s),
        longest_s=max(attackers.held_s),
        grpc_pages=len(calls),
        grpc_failed=len(calls.failed),
        grpc_p99_ms=calls.p99_ms,
        rest_pages=len(rest),
        rest_failed=rest.failed,
        rest_p99_ms=rest.p99_ms,
        rss_more_mb=memory.more_mb,
    )
    assert calls.failed == []
    assert rest.failed == 0
    assert bridge.events("http.failed") == []
