"""Sends batches over gRPC: `feed.interactions.v1.InteractionService/RecordInteractions`."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from interactions.client.event import Event
from interactions.client.tls import Credentials, TlsFiles
from interactions.client.transport import Answer, Answered, Failed, Result, Unreadable

Metadata: TypeAlias = Sequence[tuple[str, str]]

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # the Tracker's own suffice, and know the service's hints
    # A service that is back is noticed soon: gRPC's own 120 s would outlast the backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A peer that vanished without a word is noticed while a call waits for it.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
_WRONG_AS_A_WHOLE: Final = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE}


def _no_metadata() -> Metadata:
    return ()


class GrpcTransport:
    """`RecordInteractions`.

    Args:
        target: `host:port`, or any other name that gRPC resolves.
        credentials: For TLS; with files, a new channel as they change; None: plain text.
        metadata: Asked before each call, for a token say.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | TlsFiles | None = None,
        metadata: Callable[[], Metadata] = _no_metadata,
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._shown: Credentials | None = None
        self._metadata = metadata
        self._channel: grpc.Channel | None = None
        self._of_parent: list[grpc.Channel] = []

    def send(self, events: Sequence[Event], timeout_s: float) -> Answer:
        """Makes one call; an event that is no message of the contract is rejected here."""
        parsed = [_parsed(event) for event in events]
        messages = [each for each in parsed if isinstance(each, pb.Interaction)]
        if not messages:
            return Answered([each for each in parsed if isinstance(each, Result)])
        try:
            answer = self._stub().RecordInteractions(
                pb.RecordInteractionsRequest(interactions=messages), timeout=timeout_s, metadata=self._metadata()
            )
        except grpc.RpcError as error:
            return _failure(cast("grpc.Call", error))
        if len(answer.results) != len(messages):
            return Failed(f"the answer has {len(answer.results)} results for {len(messages)} events")
        judged = iter(answer.results)
        return Answered([each if isinstance(each, Result) else _result(next(judged)) for each in parsed])

    def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def after_fork(self) -> None:
        """Leaves the channel to the parent; it is kept, because its end would touch threads that are not here."""
        if self._channel is not None:
            self._of_parent.append(self._channel)
            self._channel = None

    def _stub(self) -> Any:
        shown = self._credentials.now() if isinstance(self._credentials, TlsFiles) else None
        if shown is not self._shown:
            self.close()
            self._shown = shown
        if self._channel is None:
            self._channel = self._opened()
        return interactions_pb2_grpc.InteractionServiceStub(self._channel)

    def _opened(self) -> grpc.Channel:
        shown = self._shown
        if shown is not None:
            made = grpc.ssl_channel_credentials(shown.authority, shown.key or None, shown.certificate or None)
            return grpc.secure_channel(self._target, made, _OPTIONS)
        if isinstance(self._credentials, grpc.ChannelCredentials):
            return grpc.secure_channel(self._target, self._credentials, _OPTIONS)
        return grpc.insecure_channel(self._target, _OPTIONS)


def _parsed(event: Event) -> pb.Interaction | Result:
    try:
        return json_format.Parse(event.line, pb.Interaction())
    except json_format.ParseError as error:
        return Result(accepted=False, field="interaction", reason=str(error))


def _result(found: pb.RecordResult) -> Result:
    return Result(found.status in {pb.ACCEPTED, pb.DUPLICATE}, found.field, found.reason)


def _failure(call: grpc.Call) -> Answer:
    reason = f"{call.code().name}: {call.details()}"
    if call.code() in _WRONG_AS_A_WHOLE:
        return Unreadable(reason)
    return Failed(reason, _retry_after_s(dict(call.trailing_metadata() or ())))


def _retry_after_s(trailing: dict[str, str | bytes]) -> float | None:
    """Reads the service's hint, which it gives in gRPC's own way (A6) and as a status detail."""
    pushback = str(trailing.get("grpc-retry-pushback-ms", ""))
    if pushback.isdecimal():
        return int(pushback) / 1000
    status = status_pb2.Status()
    try:
        status.ParseFromString(cast("bytes", trailing.get("grpc-status-details-bin", b"")))
    except DecodeError:
        return None
    for detail in status.details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToNanoseconds()) / 1e9
    return None
