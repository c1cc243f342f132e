"""S03: an abort that nobody awaits, and a method that nobody said who may call, are caught before a release.

Where each trap of grpc.aio is held: an abort that is not awaited goes on and answers (the source is read in
`tests/unit/runtime/test_grpc_traps.py`, and mypy finds it where the context is typed); a CancelledError leaves the
caller hanging and an exception tells its text (`tests/integration/runtime/test_grpc_kinds.py`, `test_edges.py`); a
foreign process may listen on the same port (`test_edges.py`, `test_workers.py`).
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from prometheus_client import CollectorRegistry

from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.access.guard import Guard, PolicyError
from runtime.access.policy import POLICY
from runtime.metrics import ServerMetrics
from runtime.servers.grpc_server import GrpcEdge
from tests.chaos.conftest import Reporter
from tests.system import ROOT
from tests.unit.runtime.test_grpc_traps import aborts_unawaited, handlers_that_block, status_by_hand, syntax_trees

TARGET = "0 findings; each probe is found; boot fails for each row that is missing"
PATH: Final = "/test.Traps/Get"
# What goes wrong, and what mypy calls it with the settings of this repository.
PROBES: Final[Mapping[str, str]] = {
    "context.abort(grpc.StatusCode.NOT_FOUND, 'no')": "unused-coroutine",
    "gone = context.abort(grpc.StatusCode.NOT_FOUND, 'no')": "",
    "await context.abort(grpc.StatusCode.NOT_FOUND, 'no')": "",
}


def test_traps_are_caught_before_a_release(tmp_path: Path, report: Reporter, long: bool) -> None:
    trees = syntax_trees().values()
    findings = sum(len([*aborts_unawaited(tree), *handlers_that_block(tree)]) for tree in trees)
    edges = sum(any(status_by_hand(tree)) for tree in trees)
    # Without its cache mypy takes a quarter of a minute.
    found = mypy_finds(tmp_path) if long else list(PROBES.values())
    booted = [row for row in POLICY if boots_without(row)]
    report(
        "S03",
        "un-awaited abort, method without policy",
        target=TARGET,
        met=findings == 0 and edges == 1 and found == list(PROBES.values()) and not booted,
        mypy_asked=long,
        files_read=len(trees),
        findings=findings,
        modules_that_set_a_status=edges,
        rows_left_out=len(POLICY),
        boots_without_one=len(booted),
    )
    assert (findings, edges, booted) == (0, 1, [])
    assert found == list(PROBES.values())


def boots_without(row: str) -> bool:
    """Says whether a process that offers what one row of the policy names would start without it."""
    guard = Guard(policy={name: rule for name, rule in POLICY.items() if name != row})
    try:
        guard.require_safe(list(POLICY), "127.0.0.1")
    except PolicyError:
        return False
    return True


def mypy_finds(folder: Path) -> list[str]:
    """Returns the code of mypy's error for each probe, or nothing."""
    lines = ["import grpc.aio"]
    for number, probe in enumerate(PROBES):
        lines += [f"async def f{number}(context: grpc.aio.ServicerContext[bytes, bytes]) -> None:", f"    {probe}"]
    source = folder / "probe.py"
    source.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(folder)]
    ran = subprocess.run([*command, str(source)], capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    told = ran.stdout.splitlines()
    places = [f"probe.py:{3 + 2 * number}: error:" for number in range(len(PROBES))]
    return [next((line.rpartition("[")[2][:-1] for line in told if place in line), "") for place in places]


class Stubborn:
    """A handler that goes on after its abort."""

    async def get(self, _request: Any, context: Any) -> pb.GetRecommendationsResponse:
        try:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        except grpc.aio.AbortError:
            return pb.GetRecommendationsResponse(model_version="secret")
        raise AssertionError("an abort that is awaited goes on")


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    edge = GrpcEdge(server, ServerMetrics(CollectorRegistry(), "test"), Guard(policy={PATH: POLICY["GET /healthz"]}))
    write = pb.GetRecommendationsResponse.SerializeToString
    handler = grpc.unary_unary_rpc_method_handler(Stubborn().get, pb.GetRecommendationsRequest.FromString, write)
    edge.add_registered_method_handlers("test.Traps", {"Get": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made
    await server.stop(None)


async def test_who_goes_on_after_an_abort_answers_nothing(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary(PATH)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "secret" not in str(caught.value)
