"""The metrics of other processes, over HTTP: within a bound of time and of size."""

import asyncio
import http.client
import ssl
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from insights.domain.scrapes import Sample, Samples
from insights.ports import ExpositionError
from runtime.tls.identity import TlsFiles

_TIMEOUT_S: Final = 2.0
# Many times what a bridge with eight workers tells.
_MAX_BYTES: Final = 8 << 20
_CHUNK_BYTES: Final = 1 << 16


class HttpExposition:
    """The port `Exposition` over HTTP.

    Args:
        names: Of the metrics that are kept.
        timeout_s: Longest time of one answer, in seconds.
        tls: The certificates for https; None: the system's authorities.
    """

    def __init__(self, names: Collection[str], timeout_s: float = _TIMEOUT_S, tls: TlsFiles | None = None) -> None:
        self._prefixes = tuple(f"{name}{end}" for name in names for end in ("{", " "))
        self._timeout_s = timeout_s
        self._tls = tls

    async def read(self, url: str) -> Samples:
        """Returns what a process tells."""
        try:
            return await asyncio.to_thread(self._read, url)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:  # the last two: no exposition
            raise ExpositionError(str(error) or type(error).__name__) from error

    def _read(self, url: str) -> Samples:
        text = _fetched(url, self._timeout_s, self._tls.now().client if self._tls else None).decode()
        # Of an untyped metric the parser wants no more than its lines.
        lines = "\n".join(line for line in text.splitlines() if line.startswith(self._prefixes))
        found: defaultdict[str, list[Sample]] = defaultdict(list)
        for family in text_string_to_metric_families(f"{lines}\n"):
            for sample in family.samples:
                found[sample.name].append(Sample(sample.labels, sample.value))
        return dict(found)


def _fetched(url: str, timeout_s: float, tls: ssl.SSLContext | None) -> bytes:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=tls)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    )
    try:
        connection.request("GET", parts.path or "/", headers={"accept": "text/plain"})
        return b"".join(_within(connection.getresponse(), time.monotonic() + timeout_s))
    finally:
        connection.close()


def _within(answer: http.client.HTTPResponse, end_s: float) -> Iterator[bytes]:
    if answer.status != http.client.OK:
        raise ValueError(f"status {answer.status}")
    size = 0
    while chunk := answer.read1(_CHUNK_BYTES):
        size += len(chunk)
        if size > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        if time.monotonic() > end_s:
            raise TimeoutError("too slow")
        yield chunk
