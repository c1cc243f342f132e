"""The clock of the nightly run, and of what runs every few minutes: APScheduler, and nothing else of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from trainer.domain.runs import JOB_NAME, MISFIRE_GRACE


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
            misfire_grace_time=int(MISFIRE_GRACE.total_seconds()),
        )
        self._scheduler.start()
        self._tell_next()

    def run_now(self) -> None:
        """Runs the job at once, besides its nights; after `start`."""
        self._scheduler.modify_job(JOB_NAME, next_run_time=datetime.now(UTC))

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
