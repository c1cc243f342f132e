"""The caller's W3C trace context."""

import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(given: str) -> str:
    """Returns a well-formed `traceparent`, or an empty string: nothing else goes on into the log's headers."""
    return given if _TRACEPARENT.fullmatch(given) else ""
