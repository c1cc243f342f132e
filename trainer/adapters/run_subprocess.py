"""Work in a process of its own: its memory goes back, and it never holds up health checks."""

import asyncio
import subprocess
import sys
import time
from typing import Final

import structlog

from trainer.metrics import RunOutcome

_LOG = structlog.get_logger(__name__)

# Exit codes of `feed trainer run`.
EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 3

_OUTCOMES: Final = {0: RunOutcome.SUCCEEDED, EXIT_REFUSED: RunOutcome.REFUSED}

# The libraries take some 5 s to start, far more on a busy machine; a Snowflake that is away takes 15 s.
_TELL_S: Final = 120.0

# Another program: what it does besides the database, the trainer knows nothing of.
_PRUNE: Final = (sys.executable, "-m", "deploy.cli", "db", "prune")

# How long an ended training may take to stop.
_STOP_S: Final = 5.0


async def run_training() -> RunOutcome:
    """Runs `feed trainer run` to its end; when cancelled, ends it."""
    start = time.monotonic()
    code = await _run(*_command("run"))
    outcome = _OUTCOMES.get(code, RunOutcome.FAILED)
    elapsed_s = time.monotonic() - start
    log = _LOG.info if outcome is RunOutcome.SUCCEEDED else _LOG.error
    log("trainer.run_ended", outcome=outcome.value, exit_code=code, elapsed_s=round(elapsed_s, 3))
    return outcome


async def count_popularity() -> None:
    """Runs `feed trainer popularity` to its end; when cancelled, ends it."""
    code = await _run(*_command("popularity"))
    if code:
        _LOG.error("trainer.popularity_not_counted", exit_code=code)


async def prune() -> None:
    """Runs `feed db prune` to its end; when cancelled, ends it."""
    code = await _run(*_PRUNE)
    if code:
        _LOG.error("trainer.not_pruned", exit_code=code)


async def tell() -> None:
    """Runs `feed trainer tell` to its end; when cancelled, or after too long, ends it."""
    try:
        await asyncio.wait_for(_run(*_command("tell")), _TELL_S)
    except TimeoutError:
        _LOG.warning("trainer.telling_ended", after_s=_TELL_S)


def tell_and_wait() -> None:
    """The same for who has no event loop. Its libraries take seconds and 200 MB, and know time limits of minutes."""
    try:
        subprocess.run(_command("tell"), check=False, timeout=_TELL_S)  # noqa: S603  # this very program
    except subprocess.TimeoutExpired:
        _LOG.warning("trainer.telling_ended", after_s=_TELL_S)


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "trainer", name]


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
