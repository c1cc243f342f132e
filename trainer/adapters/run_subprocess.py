"""Work in a process of its own: its memory goes back, and it never holds up health checks."""

import asyncio
import sys
import time
from typing import Final

import structlog

from trainer.metrics import RunOutcome, RunRecord

_LOG = structlog.get_logger(__name__)

# Exit codes of `feed trainer run`.
EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 3

_OUTCOMES: Final = {0: RunOutcome.SUCCEEDED, EXIT_REFUSED: RunOutcome.REFUSED}

# How long an ended training may take to stop.
_STOP_S: Final = 5.0


async def run_training() -> RunRecord:
    """Runs `feed trainer run` to its end; when cancelled, ends it."""
    start = time.monotonic()
    code = await _run("run")
    outcome = _OUTCOMES.get(code, RunOutcome.FAILED)
    elapsed_s = time.monotonic() - start
    log = _LOG.info if outcome is RunOutcome.SUCCEEDED else _LOG.error
    log("trainer.run_ended", outcome=outcome.value, exit_code=code, elapsed_s=round(elapsed_s, 3))
    return RunRecord(outcome, elapsed_s)


async def count_popularity() -> None:
    """Runs `feed trainer popularity` to its end; when cancelled, ends it."""
    code = await _run("popularity")
    if code:
        _LOG.error("trainer.popularity_not_counted", exit_code=code)


async def _run(command: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "trainer", command)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
