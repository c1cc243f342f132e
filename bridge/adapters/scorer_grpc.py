"""The connection to a scoring server over gRPC."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from bridge.adapters.scorer_call import answer_of
from bridge.adapters.scorer_channel import ScorerChannel
from bridge.adapters.scorer_key_file import Metadata, no_metadata
from bridge.domain.outcome import Outcome
from bridge.domain.retry import Failure
from bridge.ports import ScorerError
from feed.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from runtime.request_context import outgoing_metadata, request_id
from runtime.tls.identity import TlsFiles

# Retries are ours alone: gRPC's own would multiply with them and never repeat a hung call. Its first reconnect
# wait of 1 s made a returned scorer wait 1.5 s for its first call; with these it is 0.4 s. The "min" one is how long
# a connection may take, and 100 ms are too little on a busy machine.
_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A scorer of a name that comes back at another address, as pods do, was found 27 s later; with this after 0.3 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 1_048_576),
    # Two channels to one target would otherwise share a connection, and its troubles.
    ("grpc.use_local_subchannel_pool", 1),
)

# Codes not named here are refusals: the call was understood and not taken.
_OUTCOMES: Final = {
    grpc.StatusCode.UNAVAILABLE: Outcome.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Outcome.TIMEOUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Outcome.OVERLOADED,
    grpc.StatusCode.INTERNAL: Outcome.INTERNAL,
    grpc.StatusCode.UNKNOWN: Outcome.INTERNAL,  # grpc.aio's word for a crashed handler
    grpc.StatusCode.DATA_LOSS: Outcome.INTERNAL,
    grpc.StatusCode.ABORTED: Outcome.INTERNAL,
}
_PRECONDITIONS: Final = {
    "MODEL_MISSING": Outcome.MODEL_MISSING,
    "CONTRACT_MISMATCH": Outcome.CONTRACT_MISMATCH,
}


class GrpcScorer:
    """The port `RankCalls` on one channel.

    Args:
        target: `host:port` of the server.
        proof: Asked before each call: what shows the server who calls.
        tls: The certificates; None: plain text.
    """

    def __init__(self, target: str, proof: Callable[[], Metadata] = no_metadata, tls: TlsFiles | None = None) -> None:
        self._target = target
        self._proof = proof
        self._channel = ScorerChannel(target, _CHANNEL_OPTIONS, tls)
        self.batches = True

    @property
    def target(self) -> str:
        """`host:port` of the server."""
        return self._target

    @property
    def _stub(self) -> "scoring_pb2_grpc.ScoringServiceAsyncStub":
        return self._channel.line().scoring

    async def rank(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        """Asks for rankings in one call; the time that is left travels with it.

        Raises:
            ScorerError: When there are none.
        """
        try:
            return await (self._rank_batch if len(requests) > 1 else self._rank_one)(requests, timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ScorerError(_failure(error)) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled us: the call was cut off from inside, as when the channel closes under it.
            raise ScorerError(Failure(Outcome.UNAVAILABLE)) from None

    async def _rank_one(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        (request,) = requests
        metadata = self._metadata(request.request_id)
        return [await answer_of(self._stub.Rank(request, timeout=timeout_s, metadata=metadata))]

    async def _rank_batch(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        batch = scoring_pb2.RankBatchRequest(requests=requests)
        try:
            answer = await answer_of(self._stub.RankBatch(batch, timeout=timeout_s, metadata=self._metadata("")))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            self.batches = False  # a scorer without batches: from now on each request has its own call
            alone = await asyncio.gather(*(self._rank_one([request], timeout_s) for request in requests))
            return [response for responses in alone for response in responses]
        if len(answer.responses) != len(requests):
            raise ScorerError(Failure(Outcome.INTERNAL))
        return answer.responses

    async def explain(self, request: scoring_pb2.ExplainRequest, timeout_s: float) -> scoring_pb2.ExplainResponse:
        """Asks what scores are made of.

        Raises:
            ScorerError: When that cannot be told.
        """
        try:
            call = self._stub.Explain(request, timeout=timeout_s, metadata=self._metadata(request_id()))
            return await answer_of(call)
        except grpc.aio.AioRpcError as error:
            raise ScorerError(_failure(error)) from error

    async def serving(self, timeout_s: float) -> bool:
        """Asks the server's health service; one that has none counts as serving when it answers."""
        try:
            answer = await self._channel.line().health.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    def _metadata(self, request: str) -> Metadata:
        return (*outgoing_metadata(request), *self._proof())


def _failure(error: grpc.aio.AioRpcError) -> Failure:
    code = error.code()
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        reasons = [info.reason for info in _details(error, error_details_pb2.ErrorInfo)]
        return Failure(next((_PRECONDITIONS[each] for each in reasons if each in _PRECONDITIONS), Outcome.REFUSED))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        pushback_s = _pushback_s(error)
        return Failure(Outcome.OVERLOADED if pushback_s is None else Outcome.PUSHED_BACK, pushback_s)
    return Failure(_OUTCOMES.get(code, Outcome.REFUSED))


def _pushback_s(error: grpc.aio.AioRpcError) -> float | None:
    """Returns how long the server wants to be left alone; None when it did not say or wants no retry (gRFC A6)."""
    given = _trailer(error, "grpc-retry-pushback-ms")
    if given is not None:
        text = given.decode("ascii", "replace") if isinstance(given, bytes) else given
        return int(text) / 1000 if text.isdecimal() else None
    delays = [info.retry_delay.ToNanoseconds() / 1e9 for info in _details(error, error_details_pb2.RetryInfo)]
    return next((delay for delay in delays if delay >= 0 and math.isfinite(delay)), None)


def _details(error: grpc.aio.AioRpcError, kind: type[Any]) -> Iterable[Any]:
    """Unpacks the details of one kind from the rich status; none when there is no readable one."""
    raw = _trailer(error, "grpc-status-details-bin")
    if not isinstance(raw, bytes):
        return []
    try:
        status = status_pb2.Status.FromString(raw)
    except ValueError:  # protobuf's DecodeError
        return []
    return [_unpacked(detail, kind) for detail in status.details if detail.Is(kind.DESCRIPTOR)]


def _unpacked(detail: Any, kind: type[Any]) -> Any:
    message = kind()
    detail.Unpack(message)
    return message


def _trailer(error: grpc.aio.AioRpcError, key: str) -> str | bytes | None:
    return next((value for name, value in error.trailing_metadata() or () if name == key), None)
