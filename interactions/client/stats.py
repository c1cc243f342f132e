"""What a Tracker has done so far."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the Tracker was made, or since this process was forked off.

    Args:
        tracked: Events that were taken, with those found in the spool.
        delivered: Events that the service has acknowledged.
        rejected: Events that the service, or JSON, refuses for what is in them.
        refused: Events that were not taken, because too many waited or the Tracker was closed.
        waiting: Events that wait for their answer now.
        calls: Calls that were made.
        failed_calls: Of them, those that did not get an answer for each event.
        spool_errors: Writes to the spool that failed; those events are in memory only.
        last_error: What the last failed call said; empty when the last call went well.
    """

    tracked: int = 0
    delivered: int = 0
    rejected: int = 0
    refused: int = 0
    waiting: int = 0
    calls: int = 0
    failed_calls: int = 0
    spool_errors: int = 0
    last_error: str = ""
