"""What product analytics is told: an event a served page, and one for whatever is done with a served video; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from insights.domain.outcome import BY_INTERACTION, STATUSES, Status

# What users do with a video that they take up.
CONSUMING: Final = tuple(name for name, outcome in BY_INTERACTION.items() if STATUSES[outcome] is Status.ACCEPTED)


class EventName(StrEnum):
    """The events."""

    SERVED = "feed_recommendation_served"
    CONSUMED = "feed_recommendation_consumed"


class Destination(StrEnum):
    """Who is told of them."""

    SEGMENT = "segment"
    DATADOG = "datadog"
    CHECK = "check"  # nobody: it is only looked whether each is as it must be


@dataclass(frozen=True, slots=True)
class AnalyticsEvent:
    """One event.

    Args:
        name: What happened.
        message_id: Nobody else has this id, so that a copy can be told from the first.
        user_id: To whom.
        time: When.
        properties: Everything else, by name.
    """

    name: EventName
    message_id: str
    user_id: str
    time: datetime
    properties: Mapping[str, object]


def experiments_of(told: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    """Returns the experiments of a page with the names that warehouses know them by."""
    return [{"experiment_id": each["experiment"], "variant_id": each["variant"]} for each in told or ()]
