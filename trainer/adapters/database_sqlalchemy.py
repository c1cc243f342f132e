"""The database as training sees it: interactions and videos to read, the register of trainings to write."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import chain

import sqlalchemy as sa

from storage import consent, erasures, recent_views, training_outbox, trainings, user_features, user_recommendations
from storage.database import reading, sync_engine
from storage.erasures import Part
from storage.kept_places import KeptPlace, kept_places
from storage.recent_views import Newest, ViewRules
from storage.training_data import DayCount, InteractionRow, catalogue, days, interactions_of
from storage.training_outbox import Backlog, Untold
from storage.trainings import Register, RunStatus
from storage.user_recommendations import Made, UserListRows
from trainer.domain.catalogue import Video


class TrainingDatabase:
    """Reads and writes through one engine.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._engine: sa.Engine = sync_engine(url)

    def days(self, since: date | None, until: date | None) -> list[DayCount]:
        """Counts the interactions of each UTC day, oldest first; None: from the oldest, to the newest."""
        with reading(self._engine) as connection:
            return days(connection, since, until)

    @contextmanager
    def rows_of(self, count: DayCount) -> Iterator[Iterator[InteractionRow]]:
        """Asks for the interactions of one day, and streams them: those of one view side by side, the longest first."""
        with reading(self._engine) as connection:
            yield chain.from_iterable(interactions_of(connection, count.day))

    def videos(self) -> list[Video]:
        """Reads the catalogue."""
        with reading(self._engine) as connection:
            return [Video(*row) for row in catalogue(connection)]

    def user_words(self) -> Iterator[tuple[str, list[str]]]:
        """Streams what is known of users beside what they did."""
        with reading(self._engine) as connection:
            yield from user_features.all_users(connection)

    def erased_users(self) -> list[str]:
        """Returns who was erased, is still marked and has not come back."""
        with reading(self._engine) as connection:
            return list(connection.scalars(consent.erased()))

    def finish_erasures(self, user_ids: Sequence[str], part: Part, now: datetime) -> None:
        """Says that nothing is left of users in the export, or in the models."""
        with self._engine.begin() as connection:
            erasures.finish_sync(connection, user_ids, part, now)

    def newest(self) -> Newest | None:
        """Tells how far the interactions go; None when there are none."""
        with reading(self._engine) as connection:
            return recent_views.newest(connection)

    def long_views(self, rules: ViewRules, after_row: int, until: Newest, since: datetime) -> list[tuple[str, float]]:
        """Sums up the long views of each video; see `storage.recent_views`."""
        with reading(self._engine) as connection:
            return recent_views.long_views(connection, rules, after_row, until, since)

    def kept_places(self, since: datetime) -> list[KeptPlace]:
        """Returns the places that were kept for new videos after a time, with what came of them."""
        with reading(self._engine) as connection:
            return list(kept_places(connection, since))

    def active_users(self, within: timedelta) -> list[str]:
        """Returns who did something within this time before the newest interaction."""
        with reading(self._engine) as connection:
            return user_recommendations.active_users(connection, within)

    def replace_lists(self, lists: Sequence[UserListRows], made: Made) -> None:
        """Writes users' own lists in the place of those that they had."""
        with self._engine.begin() as connection:
            user_recommendations.replace_lists(connection, lists, made)

    def delete_expired_lists(self, now: datetime) -> int:
        """Deletes what holds no longer of users' own lists; returns the number of rows."""
        with self._engine.begin() as connection:
            return user_recommendations.delete_expired(connection, now)

    def fail_dead(self, silent_since: datetime, known: str | None, tell: Collection[str]) -> list[RunStatus]:
        """Marks killed trainings as failed and returns them; see `storage.trainings`."""
        with self._engine.begin() as connection:
            return trainings.fail_dead(connection, silent_since, known, tell)

    def register(self, start: trainings.TrainingStart) -> None:
        """Writes that a training began.

        Raises:
            StillRunningError: When another one of the job did not end.
        """
        with self._engine.begin() as connection:
            trainings.register(connection, start)

    def beat(self, model_version: str, now: datetime) -> None:
        """Writes that a training still runs."""
        with self._engine.begin() as connection:
            trainings.beat(connection, model_version, now)

    def finish(self, model_version: str, end: trainings.TrainingEnd, tell: Collection[str]) -> RunStatus | None:
        """Writes what came of a training, and who is to be told; returns what the register has of it."""
        with self._engine.begin() as connection:
            trainings.finish(connection, model_version, end, tell)
            return trainings.status_of(connection, model_version)

    def status_of(self, model_version: str) -> RunStatus | None:
        """Reads one training; None when there is no such one."""
        with reading(self._engine) as connection:
            return trainings.status_of(connection, model_version)

    def read_register(self, job_name: str) -> Register:
        """Reads how the trainings of a job go."""
        with reading(self._engine) as connection:
            return trainings.read_register(connection, job_name)

    def begun_since(self, job_name: str, time: datetime) -> int:
        """Reads how many trainings of a job have begun since a time."""
        with reading(self._engine) as connection:
            return trainings.begun_since(connection, job_name, time)

    def backlogs(self) -> dict[str, Backlog]:
        """Returns what waits to be told, by destination."""
        with reading(self._engine) as connection:
            return training_outbox.backlogs(connection)

    def untold(self, destination: str) -> list[Untold]:
        """Returns what a destination was not told yet."""
        with reading(self._engine) as connection:
            return training_outbox.untold(connection, destination)

    def told(self, destination: str, item: Untold) -> None:
        """Forgets what was told."""
        with self._engine.begin() as connection:
            training_outbox.told(connection, destination, item)

    def put_off(self, destination: str, item: Untold, until: datetime, error: str) -> None:
        """Remembers that telling failed; the destination is left alone until then."""
        with self._engine.begin() as connection:
            training_outbox.put_off(connection, destination, item, until, error)

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()
