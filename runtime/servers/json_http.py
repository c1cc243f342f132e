"""JSON over HTTP: answers, problem+json errors, and bodies read within a bound."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from runtime.errors import (
    InvalidArgumentError,
    RequestError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
    Violation,
)
from runtime.request_context import request_id

# A body above this is refused unread: 100 events of 640 bytes fit (facts: 64 KiB a message).
MAX_BODY_BYTES = 65_536

JSON_TYPE = "application/json"

# Said instead of what went wrong inside.
INTERNAL_TEXT = "The server failed to answer. Quote the request id when you report it."

# RFC 6750: the error is named only to who came with a token.
_CHALLENGE = 'Bearer realm="feed"'
_CHALLENGE_ANEW = f'{_CHALLENGE}, error="invalid_token"'

_ENCODER = msgspec.json.Encoder()


def json_response(payload: Any, status: int = 200) -> Response:
    """Answers with JSON."""
    return Response(_ENCODER.encode(payload), status, media_type=JSON_TYPE)


def problem(error: RequestError) -> Response:
    """Answers with an RFC 9457 problem: fixed texts, the request id, and the broken rules by field."""
    payload = {
        "type": f"urn:feed:problem:{error.reason.lower().replace('_', '-')}",
        "title": error.http_status.phrase,
        "status": int(error.http_status),
        "detail": error.message,
        "reason": error.reason,
        "requestId": request_id(),
        "violations": [{"field": each.field, "reason": each.reason} for each in error.violations],
    }
    headers = {} if error.retry_after_s is None else {"Retry-After": str(max(1, round(error.retry_after_s)))}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = _CHALLENGE if error.reason == "TOKEN_MISSING" else _CHALLENGE_ANEW
    body = _ENCODER.encode(payload)
    return Response(body, int(error.http_status), headers, media_type="application/problem+json")


class PathError(RequestError):
    """An HTTP request that no route takes: unknown path, or known path and wrong method."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.name, status.phrase)
        self.http_status = status  # type: ignore[misc]  # one class for 404 and 405


async def read_json(
    request: Request, max_bytes: int = MAX_BODY_BYTES, content_types: Collection[str] = (JSON_TYPE,)
) -> bytes:
    """Returns the body of a JSON request.

    Args:
        request: The request.
        max_bytes: Size of the largest body that is read, in bytes.
        content_types: What it may say that its body is.

    Raises:
        UnsupportedMediaTypeError: When it says something else.
        TooLargeError: As soon as it exceeds `max_bytes`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in content_types:
        raise UnsupportedMediaTypeError("UNSUPPORTED_MEDIA_TYPE", f"content-type must be {' or '.join(content_types)}")
    return await read_body(request, max_bytes)


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Returns the body of a request of any kind.

    Raises:
        TooLargeError: As soon as it exceeds `max_bytes`.
        InvalidArgumentError: It ended early; nobody hears that, but it is counted as what it is.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                reason = f"must be at most {max_bytes} bytes"
                raise TooLargeError("BODY_TOO_LARGE", f"the body {reason}", [Violation("body", reason)])
    except ClientDisconnect as error:
        raise InvalidArgumentError([Violation("body", "must be sent whole")]) from error
    return bytes(body)
