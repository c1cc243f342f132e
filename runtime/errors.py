"""What a handler raises when a request cannot be answered; the servers turn it into gRPC status and problem+json."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final, Literal

import grpc

# More broken rules than these are counted only: gRPC's clients take 8 KB of an error, and refuse the answer otherwise.
MAX_TOLD_VIOLATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a request.

    Args:
        field: Path of the field by its JSON names, such as `interactions[2].watchTime`.
        reason: What is wrong and the accepted range, fit to be shown to the caller.
    """

    field: str
    reason: str


class RequestError(Exception):
    """A request that is refused, with everything the caller may know.

    Args:
        reason: Machine-readable reason in UPPER_SNAKE_CASE.
        message: A sentence for the caller. Never holds internals.
        violations: The broken rules, for INVALID_ARGUMENT.
        retry_after_s: When it is worth trying again, in seconds; None when it is not.
    """

    grpc_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    http_status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self, reason: str, message: str, violations: Sequence[Violation] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s


class InvalidArgumentError(RequestError):
    """The caller's fault: a field breaks a rule. Mend it; sending it again as it is fails again.

    Args:
        violations: The broken rules; the first MAX_TOLD_VIOLATIONS are told.
    """

    grpc_code = grpc.StatusCode.INVALID_ARGUMENT
    http_status = HTTPStatus.BAD_REQUEST

    def __init__(self, violations: Sequence[Violation]) -> None:
        told, more = violations[:MAX_TOLD_VIOLATIONS], len(violations) - MAX_TOLD_VIOLATIONS
        message = "; ".join(f"{violation.field}: {violation.reason}" for violation in told)
        super().__init__("INVALID_ARGUMENT", f"{message}; and {more} more" if more > 0 else message, told)


class UnprocessableError(InvalidArgumentError):
    """The same, for a REST body that is well-formed JSON but breaks a rule."""

    http_status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooLargeError(RequestError):
    """The caller's fault: more bytes than are read. Send less at once."""

    grpc_code = grpc.StatusCode.RESOURCE_EXHAUSTED
    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaTypeError(RequestError):
    """The caller's fault: the body is not of a kind that is read."""

    grpc_code = grpc.StatusCode.INVALID_ARGUMENT
    http_status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnauthenticatedError(RequestError):
    """The caller's fault: he does not say, or cannot prove, who he is. Come again with a valid token."""

    grpc_code = grpc.StatusCode.UNAUTHENTICATED
    http_status = HTTPStatus.UNAUTHORIZED


class PermissionDeniedError(RequestError):
    """The caller's fault: it is known who he is, and he may not do this. Trying again does not help.

    Args:
        reason: As RequestError's.
        message: As RequestError's.
        caller: Who, for the audit line; never told to him.
    """

    grpc_code = grpc.StatusCode.PERMISSION_DENIED
    http_status = HTTPStatus.FORBIDDEN

    def __init__(self, reason: str, message: str, caller: str) -> None:
        super().__init__(reason, message)
        self.caller = caller


class NotFoundError(RequestError):
    """What was asked for is not there, or not any more."""

    grpc_code = grpc.StatusCode.NOT_FOUND
    http_status = HTTPStatus.NOT_FOUND


class FailedPreconditionError(RequestError):
    """The system is not in a state to answer; trying again at once does not help."""

    grpc_code = grpc.StatusCode.FAILED_PRECONDITION
    http_status = HTTPStatus.CONFLICT


class ResourceExhaustedError(RequestError):
    """Too much at once; nothing was done. Try again after `retry_after_s`."""

    grpc_code = grpc.StatusCode.RESOURCE_EXHAUSTED
    http_status = HTTPStatus.TOO_MANY_REQUESTS


class ThrottledError(ResourceExhaustedError):
    """The caller's fault: he calls more often than he may. Nothing was done. Try again after `retry_after_s`.

    Args:
        who: Whose calls are too many.
        retry_after_s: When the next one is let through, in seconds.
    """

    def __init__(self, who: Literal["user", "peer"], retry_after_s: float) -> None:
        super().__init__(f"{who.upper()}_RATE", f"this {who} calls too often", retry_after_s=retry_after_s)
        self.kind = f"{who}_rate"


class UnavailableError(RequestError):
    """Something this needs is down; nothing was acknowledged. Try again after `retry_after_s`."""

    grpc_code = grpc.StatusCode.UNAVAILABLE
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
