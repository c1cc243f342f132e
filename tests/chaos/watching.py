"""What is seen of a bridge from outside during a run: its metrics over time, and pages as a client gets them."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.http import call_now

PAGE_SIZE = 20
# Making the metrics takes the bridge some 10 ms (measured, 640 lines): more often would be a fault of its own.
METRICS_EVERY_S = 1.0
PAGE_EVERY_S = 0.05
CLIENT_TIMEOUT_S = 10.0
# The bridge's refusal for overload, and gRPC's own before the bridge hears of a call.
REFUSALS = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}


@dataclass(frozen=True, slots=True)
class Sample:
    """The metrics of a process, asked for at `time` and there at `answered`, in Unix seconds."""

    time: float
    answered: float
    values: Mapping[str, float]

    def total(self, name: str, **labels: str) -> float:
        """Sums the series of a metric that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for series, value in self.values.items()
            if series.partition("{")[0] == name and all(each in series for each in wanted)
        )

    def growth(self, later: "Sample", name: str, **labels: str) -> float:
        """Returns by how much these series of a counter have grown in a later sample."""
        return later.total(name, **labels) - self.total(name, **labels)


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as its caller got it; `problem` is empty when it keeps the promise.

    Args:
        time: When it was asked for, in Unix seconds.
        latency_ms: How long it took.
        source: Who ranked it.
        reason: Why it was not the model.
        problem: What is wrong with it.
        refused: Whether there was none, for overload.
        model_version: Which model ranked it; empty: none did.
    """

    time: float
    latency_ms: float
    source: str = ""
    reason: str = ""
    problem: str = ""
    refused: bool = False
    model_version: str = ""


def read_metrics(port: int, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Sample:
    """Reads the metrics of a process."""
    asked = time.time()
    answer = call_now(port, "GET", "/metrics", tls=tls, address=address)
    answered = time.time()
    lines = (line for line in answer.text.splitlines() if line and not line.startswith("#"))
    values = {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}
    return Sample(asked, answered, values)


@contextmanager
def feed_of(port: int) -> Iterator[recommendations_pb2_grpc.RecommendationServiceStub]:
    """A client of a bridge."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield recommendations_pb2_grpc.RecommendationServiceStub(channel)


def look_at_page(feed: recommendations_pb2_grpc.RecommendationServiceStub, user_id: str) -> Seen:
    """Asks for a page and judges it."""
    asked, start = time.time(), time.monotonic()
    try:
        request = pb.GetRecommendationsRequest(user_id=user_id, page_size=PAGE_SIZE)
        page = feed.GetRecommendations(request, timeout=CLIENT_TIMEOUT_S)
    except grpc.RpcError as error:
        latency_ms = (time.monotonic() - start) * 1000
        if error.code() in REFUSALS:
            return Seen(asked, latency_ms, refused=True)
        return Seen(asked, latency_ms, problem=str(error))
    latency_ms = (time.monotonic() - start) * 1000
    source, reason = pb.Source.Name(page.source), pb.FallbackReason.Name(page.fallback_reason)
    return Seen(asked, latency_ms, source, reason, _problem(page), model_version=page.model_version)


def _problem(page: pb.GetRecommendationsResponse) -> str:
    video_ids = [item.video_id for item in page.recommendations]
    if len(set(video_ids)) != len(video_ids):
        return f"a video twice: {video_ids}"
    if len(video_ids) != PAGE_SIZE:
        return f"{len(video_ids)} videos"
    if (page.source == pb.LIGHTFM) != (page.fallback_reason == pb.NONE):
        return f"source {pb.Source.Name(page.source)} for {pb.FallbackReason.Name(page.fallback_reason)}"
    return ""


@dataclass
class Watch:
    """Watches a bridge in two threads, from `with` to its end.

    Args:
        grpc_port: Where it serves.
        http_port: Where its metrics are.
        samples: Its metrics, once a second.
        pages: Pages, twenty a second.
    """

    grpc_port: int
    http_port: int
    samples: list[Sample] = field(default_factory=list)
    pages: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._closing = ExitStack()
        feed = self._closing.enter_context(feed_of(self.grpc_port))
        steps: Sequence[tuple[Callable[[], None], float]] = (
            (lambda: self.samples.append(read_metrics(self.http_port)), METRICS_EVERY_S),
            (lambda: self.pages.append(look_at_page(feed, f"u{len(self.pages) % 500 + 1}")), PAGE_EVERY_S),
        )
        self._threads = [threading.Thread(target=self._repeat, args=step) for step in steps]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._closing.close()

    def _repeat(self, step: Callable[[], None], every_s: float) -> None:
        while not self._stopped.is_set():
            end = time.monotonic() + every_s
            step()
            self._stopped.wait(max(0.0, end - time.monotonic()))
