"""Settings of how long rows stay in the database."""

from typing import Final

from pydantic import Field, field_validator

from runtime.settings import CommonSettings
from storage.retention import Retention

# What happens within 30 days of a page still corrects its outcome.
_LEAST_DECISIONS_DAYS: Final = 31
_MOST_DAYS: Final = 36_500


class RetentionSettings(CommonSettings):
    """What `feed db prune` needs to know."""

    retention_interactions_days: int = Field(
        400, ge=0, le=_MOST_DAYS, description="What users did stays so long; 0: for ever."
    )
    retention_decisions_days: int = Field(
        90, ge=0, le=_MOST_DAYS, description="What was served and what became of it; 31 or more, 0: for ever."
    )
    retention_trending_days: int = Field(90, ge=0, le=_MOST_DAYS, description="Sums of an hour; 0: for ever.")
    retention_experiment_users_days: int = Field(
        180, ge=0, le=_MOST_DAYS, description="Users of an experiment, after its end; 0: for ever."
    )
    retention_trainings_days: int = Field(730, ge=0, le=_MOST_DAYS, description="Runs of the training; 0: for ever.")

    @field_validator("retention_decisions_days")
    @classmethod
    def _leaves_time_to_correct(cls, days: int) -> int:
        if 0 < days < _LEAST_DECISIONS_DAYS:
            raise ValueError(f"must be 0 or {_LEAST_DECISIONS_DAYS} to {_MOST_DAYS}")
        return days

    @property
    def retention(self) -> Retention:
        """How long rows stay."""
        return Retention(
            interactions=self.retention_interactions_days,
            decisions=self.retention_decisions_days,
            trending=self.retention_trending_days,
            experiment_users=self.retention_experiment_users_days,
            trainings=self.retention_trainings_days,
        )
