"""One answer to /metrics for all workers, whichever is asked."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest

from runtime.workers.worker import Worker

# A scrape waits this long for a worker that hangs; one that is alive answers within a few milliseconds.
ANSWER_BOUND_S: Final = 0.2


class WorkerMetrics:
    """The metrics of a worker, offered to the others, and theirs.

    Args:
        registry: The worker's own.
        worker: Which it is.
    """

    def __init__(self, registry: CollectorRegistry, worker: Worker) -> None:
        self._registry = registry
        self._worker = worker
        self._silent = Counter(
            "feed_process_silent_workers",
            "Times a worker was left out of the metrics because it gave none.",
            registry=registry,
        )
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Lets the other workers ask."""
        path = self._worker.metrics_path(self._worker.number)
        path.unlink(missing_ok=True)  # of the one that had this number before
        self._server = await asyncio.start_unix_server(self._give, path)

    async def stop(self) -> None:
        """Ends that."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def exposition(self) -> bytes:
        """Returns the samples of all workers, each labelled with the number of its worker."""
        numbers = self._worker.others
        texts = dict(zip(numbers, await asyncio.gather(*map(self._ask, numbers)), strict=True))
        self._silent.inc(sum(text is None for text in texts.values()))
        texts[self._worker.number] = self._own()
        return merged({number: text for number, text in sorted(texts.items()) if text is not None}).encode()

    def _own(self) -> str:
        return generate_latest(self._registry).decode()

    async def _give(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._own().encode())
        writer.close()

    async def _ask(self, number: int) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_BOUND_S):
                reader, writer = await asyncio.open_unix_connection(self._worker.metrics_path(number))
                try:
                    return (await reader.read()).decode() or None
                finally:
                    writer.close()
        except OSError:  # a timeout is one too
            return None


def merged(texts: Mapping[int, str]) -> str:
    """Puts expositions in the text format together, each family once, with the label `worker` on every sample.

    Args:
        texts: What each worker exposes, by its number.
    """
    families: dict[str, list[str]] = {}
    for number, text in texts.items():
        header = ""
        for line in text.split("\n"):
            if line.startswith("# HELP "):
                header = line
            elif line.startswith("#"):
                header += "\n" + line
            elif line:
                families.setdefault(header, []).append(_labelled(line, number))
    return "".join(_block(header, samples) for header, samples in families.items())


def _labelled(sample: str, number: int) -> str:
    # The name of a metric holds neither character, so the first of them ends it.
    name, brace, labels = sample.partition("{")
    if brace:
        return f'{name}{{worker="{number}",{labels}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{number}"}} {value}'


def _block(header: str, samples: Iterable[str]) -> str:
    return "\n".join((header, *samples)) + "\n"
