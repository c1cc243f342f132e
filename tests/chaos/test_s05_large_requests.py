"""S05: messages, bodies and heads far beyond their limits are refused cheaply."""

import statistics
import time
from typing import Any

import grpc
import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from tests.chaos import raw_http2 as raw
from tests.chaos.conftest import Reporter
from tests.chaos.memory import MemoryWatch, cpu_s
from tests.chaos.processes import Running
from tests.chaos.rig import Rig
from tests.http import call_now

TARGET = "RESOURCE_EXHAUSTED / 413 / 431; RSS +<= 20 MB; < 100 ms"
METHOD = "/feed.interactions.v1.InteractionService/RecordInteraction"
MESSAGE = pb.RecordInteractionRequest(interaction=pb.Interaction(user_id="x" * 10_000_000)).SerializeToString()
BODY = b'{"userId":"' + b"x" * 10_000_000 + b'"}'
HEAD = "x" * 1_000_000
# The first frame says how long the message will be. The last one is a call like any other, which is refused as well.
FRAMES = {
    "message": (
        raw.request(1, path=METHOD),
        raw.frame(raw.DATA, 0, 1, b"\0" + len(MESSAGE).to_bytes(4) + MESSAGE[:16_000]),
    ),
    "metadata": (raw.request(1, ("x-filler", HEAD), path=METHOD),),
}
ORDINARY = (raw.request(1, path=METHOD), raw.frame(raw.DATA, raw.END_STREAM, 1, b"\0\0\0\0\0"))
MAX_MORE_MB = 20.0


EXPECTED = {"message": "RESOURCE_EXHAUSTED", "metadata": "RESOURCE_EXHAUSTED", "body": "413", "head": "431"}


class Client:
    """Asks an ingest service for too much, and notes how long each refusal took."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self.spent_ms: list[float] = []

    def ask(self, what: str) -> str:
        """Returns the status."""
        if what in {"message", "metadata"}:
            return self.by_grpc(*((MESSAGE, "") if what == "message" else (b"", HEAD)))
        return self.by_rest(*((BODY, "") if what == "body" else (b"{}", HEAD)))

    def by_grpc(self, message: bytes, filler: str) -> str:
        options = [("grpc.max_metadata_size", 4_000_000)]
        with grpc.insecure_channel(self._service.target, options) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)
            call: Any = channel.unary_unary(METHOD)
            start = time.perf_counter()
            with pytest.raises(grpc.RpcError) as refused:
                call(message, timeout=10, metadata=(("x-filler", filler),) if filler else ())
            self.spent_ms.append((time.perf_counter() - start) * 1000)
        return str(refused.value.code().name)

    def by_rest(self, body: bytes, filler: str) -> str:
        headers = {"content-type": "application/json"} | ({"x-filler": filler} if filler else {})
        start = time.perf_counter()
        answer = call_now(self._service.http_port, "POST", "/feed/interactions", body, headers)
        self.spent_ms.append((time.perf_counter() - start) * 1000)
        return str(answer.status)


def test_what_is_far_too_large(rig: Rig, long: bool, report: Reporter):
    ingest = rig.interactions()
    warm = Client(ingest)
    warm.by_grpc(b"", "")
    warm.by_rest(b"{}", "")
    for what, expected in EXPECTED.items():
        client, used_s = Client(ingest), cpu_s(ingest.pid)
        count = 100 if long else 5
        with MemoryWatch(ingest.pid) as memory:
            said = {client.ask(what) for _ in range(count)}
        cpu_ms = (cpu_s(ingest.pid) - used_s) * 1000 / count
        median_ms = statistics.median(client.spent_ms)
        servers = _servers(ingest, what, count) if what in FRAMES else {"server_ms": median_ms}
        report(
            "S05",
            f"{len(client.spent_ms)} requests with a {what} far too large",
            target=TARGET,
            met=said == {expected} and memory.more_mb <= MAX_MORE_MB and servers["server_ms"] < 100,
            said=", ".join(sorted(said)),
            median_ms=median_ms,
            max_ms=max(client.spent_ms),
            cpu_ms_each=cpu_ms,
            rss_more_mb=memory.more_mb,
            **servers,
        )
        assert said == {expected}
        assert memory.more_mb <= MAX_MORE_MB
    assert ingest.answers()


def _servers(ingest: Running, what: str, count: int) -> dict[str, float]:
    """How long the server takes, without a client that copies 10 MB first, and for an ordinary call in between."""
    refused, ordinary = [], []
    for _ in range(count):
        refused.append(raw.answered(ingest.grpc_port, *FRAMES[what]))
        ordinary.append(raw.answered(ingest.grpc_port, *ORDINARY))
    assert {code for code, _ in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert {code for code, _ in ordinary} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    medians = (statistics.median(ms for _, ms in each) for each in (refused, ordinary))
    return dict(zip(("server_ms", "ordinary_call_ms"), medians, strict=True))
