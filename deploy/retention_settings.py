"""Settings of how long rows stay in the database."""

from pydantic import Field

from runtime.settings import CommonSettings
from storage.retention import Retention


class RetentionSettings(CommonSettings):
    """What `feed db prune` needs to know; days, 0: for ever."""

    retention_interactions_days: int = Field(400, ge=0, le=36_500, description="What users did, in days; 0: for ever.")
    # What happens within 30 days of a page still corrects its outcome.
    retention_decisions_days: int = Field(
        90, ge=0, le=36_500, description="What was served and what became of it, in days, 31 or more; 0: for ever."
    )
    retention_trending_days: int = Field(90, ge=0, le=36_500, description="Hourly sums, in days; 0: for ever.")
    retention_experiment_users_days: int = Field(
        180, ge=0, le=36_500, description="Users of an experiment, in days after its end; 0: for ever."
    )
    retention_trainings_days: int = Field(730, ge=0, le=36_500, description="Runs of the training; 0: for ever.")

    @property
    def retention(self) -> Retention:
        """How long rows stay."""
        decisions = self.retention_decisions_days
        return Retention(
            self.retention_interactions_days,
            max(decisions, _LATE_DAYS) if decisions else 0,
            self.retention_trending_days,
            self.retention_experiment_users_days,
            self.retention_trainings_days,
        )


# What happens within 30 days of a page still corrects its outcome.
_LATE_DAYS = 31
