"""The clock of the nightly run, and of what runs every few minutes: APScheduler, and nothing else of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

JOB_NAME: Final = "feed_lightfm_retrain"

# A machine that slept at 02:00 still trains when it wakes within this time.
_MISFIRE_GRACE_S: Final = 6 * 3600


class NightlySchedule:
    """Runs the job once a day, never two at once.

    Args:
        hour: Hour, UTC.
        minute: Minute.
        job: What runs.
        on_planned: Told when the next run starts.
    """

    def __init__(
        self, hour: int, minute: int, job: Callable[[], Awaitable[None]], on_planned: Callable[[datetime], None]
    ) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._trigger = CronTrigger(hour=hour, minute=minute, timezone=UTC)
        self._job = job
        self._on_planned = on_planned

    @property
    def is_running(self) -> bool:
        """Whether the clock runs."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Starts the clock."""
        self._scheduler.add_job(
            self._run,
            self._trigger,
            id=JOB_NAME,
            name=JOB_NAME,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=_MISFIRE_GRACE_S,
        )
        self._scheduler.start()
        self._tell_next()

    def add_every(self, minutes: float, job: Callable[[], Awaitable[None]]) -> None:
        """Runs something else every so many minutes, never two of it at once; before `start`."""
        self._scheduler.add_job(job, IntervalTrigger(seconds=minutes * 60), max_instances=1, coalesce=True)

    async def stop(self) -> None:
        """Stops the clock and cancels a job that runs."""
        self._scheduler.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            await self._job()
        finally:
            self._tell_next()

    def _tell_next(self) -> None:
        job = self._scheduler.get_job(JOB_NAME)
        if job is not None and job.next_run_time is not None:
            self._on_planned(job.next_run_time)
