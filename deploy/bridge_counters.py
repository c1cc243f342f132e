"""What bridges count of the pages that they answered, from their metrics."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from insights.domain.page_books import Counters
from runtime.tls.identity import TlsFiles

_TIMEOUT_S: Final = 5.0
_STARTED: Final = "process_start_time_seconds"
# Pages of users who do not want to be known: nobody is told of them.
_WITHHELD: Final = "feed_bridge_pages_withheld_total"
# In the order of `Counters`.
_COUNTED: Final = ("feed_bridge_requests_total", "feed_bridge_served_waiting", "feed_bridge_served_dropped_total")


class BridgeError(Exception):
    """A bridge does not show its metrics: it is down, or the address is another process's."""


class Shown(NamedTuple):
    """What was read.

    Args:
        counters: Of all bridges and workers together.
        started_s: When each of them was started, in Unix seconds.
    """

    counters: Counters
    started_s: Sequence[float]


def read_counters(urls: Sequence[str], tls: TlsFiles | None = None) -> Shown:
    """Reads the metrics of each bridge, https ones with these certificates; raises BridgeError."""
    sums, started = [0, 0, 0], []
    for url in urls:
        samples = [each for family in text_string_to_metric_families(_text(url, tls)) for each in family.samples]
        begun = [each.value for each in samples if each.name == _STARTED]
        if not begun or not any(each.name == _COUNTED[1] for each in samples):
            raise BridgeError(f"{url}: these are not the metrics of a bridge")
        started += begun
        for place, name in enumerate(_COUNTED):
            sums[place] += int(sum(each.value for each in samples if each.name == name))
        sums[0] -= int(sum(each.value for each in samples if each.name == _WITHHELD))
    return Shown(Counters(*sums), started)


def _text(url: str, tls: TlsFiles | None) -> str:
    context = tls.now().client if tls else None
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310  # the operator's own address
            content: bytes = answer.read()
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BridgeError(f"{url}: the bridge does not answer: {error}") from error
    return content.decode()
