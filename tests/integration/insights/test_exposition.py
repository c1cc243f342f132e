"""Reading the metrics of a process that is well, and of some that are not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from insights.adapters.exposition_http import HttpExposition
from insights.domain.scrapes import Sample
from insights.ports import ExpositionError

WANTED = ("pages_total", "took_bucket")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def process(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A process that answers in its own way; its URL."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"


def says(content: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return answer


async def test_what_is_wanted_is_read_and_nothing_else():
    registry = CollectorRegistry()
    pages = Counter("pages", "Pages.", ("source",), registry=registry)
    pages.labels('a "quoted" one').inc(3)
    Counter("pages_total_of_another", "Others.", registry=registry).inc()
    Histogram("took", "Time.", buckets=(0.1,), registry=registry).observe(0.05)
    async with process(says(HEAD + generate_latest(registry))) as url:
        found = await HttpExposition(WANTED).read(url)
    assert found == {
        "pages_total": [Sample({"source": 'a "quoted" one'}, 3.0)],
        "took_bucket": [Sample({"le": "0.1"}, 1.0), Sample({"le": "+Inf"}, 1.0)],
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", id="not-ready"),
        pytest.param(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\n\r\n", id="sends-elsewhere"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another-protocol"),
        pytest.param(HEAD + b"pages_total{source= 3\n", id="no-exposition"),
        pytest.param(HEAD + b"\xff\xfe", id="no-text"),
        pytest.param(HEAD + b"x" * (9 << 20), id="too-much"),
    ],
)
async def test_whatever_else_it_tells_is_one_error(content: bytes):
    async with process(says(content)) as url:
        with pytest.raises(ExpositionError):
            await HttpExposition(WANTED).read(url)


async def test_nobody_there_is_the_same_error():
    with pytest.raises(ExpositionError):
        await HttpExposition(WANTED).read("http://127.0.0.1:9/metrics")


async def test_a_process_that_hangs_is_given_up():
    hung = asyncio.Event()

    async def hangs(_writer: asyncio.StreamWriter) -> None:
        await hung.wait()

    async with process(hangs) as url:
        with pytest.raises(ExpositionError):
            await HttpExposition(WANTED, timeout_s=0.2).read(url)
        hung.set()


async def test_a_process_that_drips_is_given_up():
    """Each of its bytes comes in time; all of them never would."""

    async def drips(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(b"#")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with process(drips) as url:
        with pytest.raises(ExpositionError, match="too slow"):
            await HttpExposition(WANTED, timeout_s=0.2).read(url)
