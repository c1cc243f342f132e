"""Tells the ingest what users do: at once for the caller, in batches for the network."""

import functools
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from interactions.client.event import Details, Rejection, UnsendableError, encode, rejection
from interactions.client.forks import SenderOfProcess
from interactions.client.http_transport import HttpTransport
from interactions.client.sender import Sender
from interactions.client.settings import TrackerSettings
from interactions.client.spool import Spool
from interactions.client.stats import Stats
from interactions.client.transport import Transport

_LOG: Final = logging.getLogger("interactions.client")


def _ignored(_rejection: Rejection) -> None:
    """Stands for a callback that nobody gave."""


class Tracker:
    """Takes events without waiting, and sends them in batches until each has its answer.

    `track` neither blocks nor raises because of the network. An event keeps its id over all retries, so it counts once
    however often it is sent. Safe for threads. In a forked process it begins empty: what waited stays the parent's.

    Args:
        target: `http://host:8081` or `https://…` for REST, `host:50053` for gRPC, or a Transport for tokens and TLS.
        settings: When to send, how much to keep.
        spool: A file that keeps what waits, for the next process; None: memory only.
        on_rejected: Told of each event that will not be sent any more, on the thread that finds out.

    Raises:
        ValueError: The target is none.
        SpoolError: The spool cannot be opened.
    """

    def __init__(
        self,
        target: str | Transport,
        *,
        settings: TrackerSettings | None = None,
        spool: str | os.PathLike[str] | None = None,
        on_rejected: Callable[[Rejection], None] = _ignored,
    ) -> None:
        transport = _transport(target) if isinstance(target, str) else target
        known = settings or TrackerSettings()
        path = None if spool is None else Path(spool)
        self._tell = tell = functools.partial(_tell, on_rejected)
        self._process = SenderOfProcess(lambda: Sender(transport, known, Spool(path) if path else None, tell))
        self._process.sender.open()

    def track(
        self,
        *,
        user_id: str,
        video_id: str,
        interaction_type: str,
        timestamp: datetime | None = None,
        event_id: str | None = None,
        **details: Unpack[Details],
    ) -> str:
        """Takes an event.

        Args:
            user_id: Who.
            video_id: Which video.
            interaction_type: VIEW, CLICK, LIKE, SHARE, COMMENT, FOLLOW, SKIP, HIDE or RATE.
            timestamp: When; default: now.
            event_id: UUID; default: a new one.
            **details: `watch_time_s`, `feed_session_id`, `recommendation_id`, `position`, `algorithm`,
                `recommendation_score`, `model_version`, `experiments`, `rating`, `served_token`, `metadata`.

        Returns:
            The event's id. When the event cannot be taken, `on_rejected` is told before this returns.
        """
        event_id = str(event_id or uuid.uuid4())
        who = {"userId": user_id, "videoId": video_id, "interactionType": interaction_type}
        try:
            event = encode(event_id, timestamp or datetime.now(UTC), who, details)
        except UnsendableError as error:
            self._process.sender.count_unsendable()
            self._tell([Rejection(event_id, "interaction", str(error), {})])
            return event_id
        refusal = self._process.sender.put(event)
        if refusal:
            self._tell([rejection(event, "", refusal)])
        return event_id

    def flush(self, timeout_s: float | None = None) -> bool:
        """Sends what waits without waiting for company.

        Args:
            timeout_s: Longest wait, in seconds; None: without end.

        Returns:
            Whether each event that was tracked before this call has its answer.
        """
        return self._process.sender.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Flushes, then ends; later events are refused. Without a spool, what has no answer is told.

        Args:
            timeout_s: Longest wait, in seconds; None: `exit_timeout_s` of the settings.

        Returns:
            Whether each event has its answer.
        """
        return self._process.sender.close(timeout_s)

    @property
    def stats(self) -> Stats:
        """Counts so far."""
        return self._process.sender.stats()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()


def _tell(on_rejected: Callable[[Rejection], None], rejections: Sequence[Rejection]) -> None:
    for each in rejections:
        try:
            on_rejected(each)
        except Exception:  # noqa: BLE001  # the caller's own; whoever tracks or sends must go on
            _LOG.exception("on_rejected failed")


def _transport(target: str) -> Transport:
    if "://" in target:
        return HttpTransport(target)
    from interactions.client.grpc_transport import GrpcTransport  # noqa: PLC0415  # 20 MB that a REST caller spares

    return GrpcTransport(target)
