"""What the REST sides have in common: query parameters, JSON bodies and answers, with errors that name the field."""

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from runtime.errors import InvalidArgumentError, Violation
from runtime.servers.json_http import json_response

_BodyT = TypeVar("_BodyT")

# A name from outside is cut here before it is told back.
_TOLD_CHARS: Final = 128


def parameters(request: Request, known: Collection[str]) -> Mapping[str, str]:
    """Returns the query parameters.

    Raises:
        InvalidArgumentError: With each that is unknown or given twice.
    """
    given: dict[str, str] = {}
    broken: list[Violation] = []
    for name, value in request.query_params.multi_items():
        if name not in known:
            accepted = f"known are {', '.join(known)}" if known else "there are none"
            broken.append(Violation(name[:_TOLD_CHARS], f"unknown parameter; {accepted}"))
        elif name in given:
            broken.append(Violation(name, "must be given once"))
        given[name] = value
    if broken:
        raise InvalidArgumentError(broken)
    return given


def decoded(body: bytes, decoder: msgspec.json.Decoder[_BodyT]) -> _BodyT:
    """Returns what a body says.

    Raises:
        InvalidArgumentError: When it is no JSON, or of another form.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, msgspec.MsgspecError) else "must be JSON in UTF-8"
        raise InvalidArgumentError([Violation("body", text[:_TOLD_CHARS])]) from error


def answer(message: Message) -> Response:
    """Answers with a message as protobuf's JSON."""
    payload: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return json_response(payload)
