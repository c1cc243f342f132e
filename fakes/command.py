"""What the commands of the fakes share: options, the script file, the life of the process."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import structlog
import uvloop

from fakes.script.acts import NO_SCRIPT, Script
from fakes.script.problems import ScriptError
from fakes.script.reading import read
from runtime import logs
from runtime.exit_codes import EXIT_FAILED, EXIT_WRONG_SETTINGS
from runtime.process import settle_memory
from runtime.settings import CommonSettings, SettingsError, load

_LOG = structlog.get_logger(__name__)

_MOST_PORT = 65_535


class Fake(Protocol):
    """A fake that runs."""

    port: int
    http_port: int


def add_common(parser: argparse.ArgumentParser, *, port: int, http_port: int) -> None:
    """Adds the options that every fake has, with its ports."""
    parser.add_argument("--script", type=Path, metavar="FILE", help="what it does (docs/fakes.md); without: no trouble")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=port, help="gRPC; 0: a free one (default %(default)s)")
    parser.add_argument("--http-port", type=_port, default=http_port, help="HTTP; 0: a free one (default %(default)s)")


def script_of(parser: argparse.ArgumentParser, path: Path | None, *, bridge: bool) -> Script:
    """Reads the script file; ends the process with every error when it is wrong."""
    if path is None:
        return NO_SCRIPT
    try:
        return read(path.read_text(encoding="utf-8"), bridge=bridge)
    except (OSError, UnicodeDecodeError) as error:
        parser.exit(EXIT_WRONG_SETTINGS, f"{parser.prog}: {path} cannot be read: {error}\n")
    except ScriptError as error:
        parser.exit(EXIT_WRONG_SETTINGS, f"{parser.prog}: {path} is wrong:\n{error}\n")


def run(name: str, make: Callable[[], AbstractAsyncContextManager[Fake]]) -> int:
    """Runs a fake until SIGTERM or SIGINT; returns its exit code."""
    try:
        logs.configure(name, load(CommonSettings, os.environ).log_level)
        uvloop.run(_run(name, make))
    except SettingsError as error:
        print(f"{name}: wrong settings:\n{error}", file=sys.stderr)  # noqa: T201  # a list for people
        return EXIT_WRONG_SETTINGS
    except OSError as error:
        _LOG.error("process.failed", error=str(error))
        return EXIT_FAILED
    return 0


async def _run(name: str, make: Callable[[], AbstractAsyncContextManager[Fake]]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    async with make() as fake:
        settle_memory()
        _LOG.info("fake.started", fake=name, grpc_port=fake.port, http_port=fake.http_port)
        await stopped.wait()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {_MOST_PORT}")
    return int(text)
