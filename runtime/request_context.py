"""The id that follows one request through every process and log line."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE

# gRPC metadata key and HTTP header of the id.
REQUEST_ID_KEY = "x-request-id"

# An id from outside is kept only when it cannot break a log line or a header.
_SAFE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@contextmanager
def request_scope(given: str | None) -> Iterator[str]:
    """Binds the caller's request id, or a new one, for the time of one request."""
    request = given if given and _SAFE_ID.fullmatch(given) else uuid.uuid4().hex
    with structlog.contextvars.bound_contextvars(request_id=request):
        yield request


def request_id() -> str:
    """Returns the id of the request being served, or an empty string outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def outgoing_metadata() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that a call to another process of the feed carries."""
    request = request_id()
    contract = (CONTRACT_KEY, CONTRACT_RELEASE)
    return ((REQUEST_ID_KEY, request), contract) if request else (contract,)
