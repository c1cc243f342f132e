"""What `feed.served.v1` has of the pages since a time, and what is wrong with its records."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridge.domain.served_record import ServedRecord
from eventlog.ports import StoredRecord
from insights.adapters.analytics_database import event_of_page
from insights.domain.quality import Problem, problems_of
from interactions.domain.log_record import UnreadableError
from interactions.domain.served_page import Served, read
from storage.analytics import ServedRow

# What the bridge always writes, by its name in the JSON.
REQUIRED: Final = tuple(each.encode_name for each in msgspec.structs.fields(ServedRecord) if each.required)


@dataclass
class ServedLog:
    """What was found.

    Args:
        videos: How many videos each page has.
        copies: How many records are copies of one before.
        contradicted: Pages that have records which are not.
        problems: How many records have each problem.
        count: How many records there are.
        reaches_back: Whether there are older ones than were asked for.
    """

    videos: dict[str, int] = field(default_factory=dict)
    copies: int = 0
    contradicted: set[str] = field(default_factory=set)
    problems: Counter[Problem] = field(default_factory=Counter)
    count: int = 0
    reaches_back: bool = False
    _digests: dict[str, int] = field(default_factory=dict)

    def take(self, record: StoredRecord) -> None:
        """Takes one more record."""
        self.count += 1
        if not record.intact:
            self.problems[Problem("record", "must be the bytes that were written")] += 1
            return
        missing = _missing(record.value)
        try:
            served = read(record.value)
        except UnreadableError as error:
            self.problems.update(missing or [Problem("record", f"cannot be read: {error}")])
            return
        digest = hash(record.value)
        if served.key not in self._digests:
            self._digests[served.key] = digest
            self.videos[served.key] = len(served.page.video_ids)
        elif self._digests[served.key] == digest:
            self.copies += 1
            return
        else:
            self.contradicted.add(served.key)
        self.problems.update(missing + problems_of(event_of_page(_row(served))))


def read_log(records: Iterable[StoredRecord], since_s: float) -> ServedLog:
    """Reads records.

    Args:
        records: Those of the topic.
        since_s: Only what the log took at this time or later, in Unix seconds.
    """
    found = ServedLog()
    for record in records:
        if record.append_time_ms < since_s * 1000:
            found.reaches_back = True
        else:
            found.take(record)
    return found


def _missing(value: bytes) -> list[Problem]:
    try:
        told = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return []
    return [Problem(name, "is missing") for name in REQUIRED if name not in told]


def _row(served: Served) -> ServedRow:
    page = served.page
    experiments = [{"experiment": each.experiment, "variant": each.variant} for each in page.experiments]
    of_page = (page.recommendation_id, page.user_id, page.feed_session_id, page.algorithm, page.source)
    of_model = (page.fallback_reason, page.model_version, page.first_position, page.video_ids)
    return ServedRow(*of_page, *of_model, experiments, served.served_time)
