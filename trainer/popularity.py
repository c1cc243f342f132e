"""Counts what is watched now, so that the prior of the model that serves stays fresh between two trainings."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.models.popularity import Popularity, PopularityError
from storage.recent_views import Newest, ViewRules
from trainer.adapters.bundle_store import BundleStore
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.domain.popularity import advanced, empty


@dataclass(frozen=True, slots=True)
class PopularityCount:
    """Carries the published count on to now.

    Args:
        database: Where interactions come from.
        store: Where the count is published.
        rules: Which views count, and how much.
        window: Views from longer ago are not counted where there is no count yet.
    """

    database: TrainingDatabase
    store: BundleStore
    rules: ViewRules
    window: timedelta

    def refresh(self) -> Popularity | None:
        """Counts what came since the last time; None when nothing did."""
        newest = self.database.newest()
        if newest is None:
            return None
        before = self._before(newest)
        if newest.row == before.last_row:
            return None
        # An event may be told late: then the newest time is the one before, and only the row is new.
        until = Newest(newest.row, max(newest.event_time, before.counted_until))
        added = self.database.long_views(self.rules, before.last_row, until, until.event_time - self.window)
        counted = advanced(before, added, until.event_time, until.row)
        self.store.publish_popularity(counted)
        return counted

    def _before(self, newest: Newest) -> Popularity:
        try:
            before = self.store.popularity()
        except PopularityError:  # none yet, or not ours: all of the window is counted
            return self._nothing(newest.event_time)
        carries_on = before.half_life_s == self.rules.half_life_s and before.last_row <= newest.row
        return before if carries_on else self._nothing(newest.event_time)

    def _nothing(self, counted_until: datetime) -> Popularity:
        return empty(self.rules.half_life_s, counted_until)
