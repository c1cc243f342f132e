"""Forms: from whom a POST is taken, and what stands in it."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from runtime.errors import InvalidArgumentError, RequestError, UnsupportedMediaTypeError, Violation
from runtime.servers.json_http import read_body

_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_ADMIN_CHARS: Final = 128
# Far above any form of ours.
_MOST_FIELDS: Final = 100


class ForeignOriginError(RequestError):
    """A POST that another site's page sends, or nobody's; it is not done."""

    http_status = HTTPStatus.FORBIDDEN


def require_same_origin(request: Request) -> None:
    """Refuses what does not come from a page of ours.

    Browsers say where a request comes from, and no page can make them lie: Sec-Fetch-Site, or Origin where that is not
    known. A request with neither is not a browser's.

    Raises:
        ForeignOriginError: It comes from elsewhere.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        is_ours = urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "")
    if not is_ours:
        raise ForeignOriginError("FOREIGN_ORIGIN", "This can only be done from a page of this site.")


def given_form(request: Request) -> Mapping[str, str]:
    """Returns the fields of the form that is posted; the site has read them, and held them to who sends it."""
    form: Mapping[str, str] = request.state.form
    return form


async def read_form(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form, stripped; of those that are given twice the last.

    Raises:
        UnsupportedMediaTypeError: It is not a plain form.
        TooLargeError: It is too long.
        InvalidArgumentError: It cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM_TYPE:
        raise UnsupportedMediaTypeError("UNSUPPORTED_MEDIA_TYPE", f"content-type must be {_FORM_TYPE}")
    body = await read_body(request)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:  # also of what is not UTF-8
        raise InvalidArgumentError([Violation("body", f"must be a form of at most {_MOST_FIELDS} fields")]) from error
    return {name: value.strip() for name, value in fields}


def wrong_admin(name: str) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with the name of who changes something, by its field."""
    if not (1 <= len(name) <= _ADMIN_CHARS and name.isprintable()):
        yield "adminId", f"must be 1 to {_ADMIN_CHARS} characters"
