"""What follows from how the runs of the nightly job go."""

from datetime import datetime, timedelta
from typing import Final

JOB_NAME: Final = "feed_lightfm_retrain"

# How often a run says that it lives.
BEAT_S: Final = 10.0

# Whose heart was silent for so long is dead: twelve beats, or a database that was away for a moment.
SILENT: Final = timedelta(minutes=2)

# One night may fail; the second one must not pass unnoticed.
NO_GOOD_MODEL: Final = timedelta(hours=36)

# A machine that slept at 02:00, or whose scheduler was not there, still trains within this time.
MISFIRE_GRACE: Final = timedelta(hours=6)

_FIRST_RETRY: Final = timedelta(minutes=1)
_LONGEST_RETRY: Final = timedelta(hours=1)


def retry_after(attempts: int) -> timedelta:
    """Returns how long to wait after so many failed attempts, from 1: twice as long each time, an hour at most."""
    doublings = min(attempts - 1, 10)
    return min(_LONGEST_RETRY, _FIRST_RETRY * (1 << doublings))


def was_missed(now: datetime, last_start: datetime | None, hour: int, minute: int) -> bool:
    """Tells whether tonight's run did not begin and still may.

    Args:
        now: When the scheduler started, UTC.
        last_start: When a run began last, UTC; None: none ever did, so that nothing was missed.
        hour: Hour of the nightly run, UTC.
        minute: Its minute.
    """
    planned = planned_before(now, hour, minute)
    return last_start is not None and last_start < planned and now - planned <= MISFIRE_GRACE


def may_begin_again(now: datetime, killed_start: datetime, begun: int, hour: int, minute: int) -> bool:
    """Tells whether a run that was killed was tonight's first, which may begin once more.

    Args:
        now: The present, UTC.
        killed_start: When the killed one began, UTC.
        begun: How many have begun since tonight's time; a run that always kills its machine must end.
        hour: Hour of the nightly run, UTC.
        minute: Its minute.
    """
    planned = planned_before(now, hour, minute)
    return killed_start >= planned and begun == 1 and now - planned <= MISFIRE_GRACE


def planned_before(now: datetime, hour: int, minute: int) -> datetime:
    """Returns when the last nightly run before now was to begin, UTC."""
    planned = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return planned - timedelta(days=1) if planned >= now else planned


def lacks_good_model(now: datetime, last_success: datetime | None) -> bool:
    """Tells whether no good model has come for too long; None: none ever did."""
    return last_success is None or now - last_success > NO_GOOD_MODEL
