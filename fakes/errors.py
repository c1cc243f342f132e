"""The errors that a script asks for."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import grpc

from fakes.script.acts import Refusal
from runtime.errors import RequestError

_HTTP: Final[Mapping[grpc.StatusCode, HTTPStatus]] = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,  # as runtime.errors answers it
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


class ScriptedError(RequestError):
    """A refusal out of the script; nobody's fault.

    Args:
        refusal: What the script says.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, refusal.message, retry_after_s=refusal.retry_after_s)
        self.grpc_code = refusal.code  # type: ignore[misc]  # one class for every code
        self.http_status = _HTTP.get(refusal.code, HTTPStatus.INTERNAL_SERVER_ERROR)  # type: ignore[misc]
