"""What a script says, once it is read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import grpc

ActT = TypeVar("ActT")

DEFAULT_SEED = 1
DEFAULT_VIDEOS = 1_000
DEFAULT_MODEL_VERSION = "fake-2"


class Does(StrEnum):
    """How the scorer treats a call. The values are the names of the script's fields, but for the first."""

    RANK = "rank"
    STATUS = "status"
    HANG = "hang"
    RESET = "reset"
    HALF = "half"
    RAGGED = "ragged"
    NAN = "nan"
    DUPLICATES = "duplicates"
    EMPTY = "empty"
    WRONG_CONTRACT = "wrong_contract"
    MODEL_MISSING = "model_missing"
    CRASH = "crash"


class Fallback(StrEnum):
    """The best list that the fake bridge has when its scorer has no ranking; the lesser ones are there too."""

    PRECOMPUTED = "precomputed"
    TRENDING = "trending"
    EDITORIAL = "editorial"
    NOTHING = "nothing"


# These cut the connection of the call, which only the relay can.
CUTTING = frozenset({Does.RESET, Does.HALF})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer.

    Args:
        code: The gRPC status.
        reason: Machine-readable reason.
        message: A sentence for the caller.
        retry_after_s: When the caller may try again, in seconds; None: not said.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something takes: evenly spread from one bound to the other, in seconds."""

    least_s: float = 0.0
    most_s: float = 0.0

    def draw(self, chance: float) -> float:
        """Returns seconds; `chance` is a random number in [0, 1)."""
        return self.least_s + chance * (self.most_s - self.least_s)


NO_LATENCY = Latency()


@dataclass(frozen=True, slots=True)
class Act:
    """What the scorer does with one call of Rank or RankBatch.

    Args:
        does: How the call is treated.
        latency: How long that takes.
        refusal: The answer when `does` is STATUS.
        stale_model: Whether an old model answers.
    """

    does: Does = Does.RANK
    latency: Latency = NO_LATENCY
    refusal: Refusal | None = None
    stale_model: bool = False

    @property
    def label(self) -> str:
        """Its name in counts: the status, or the field of the script."""
        return self.refusal.code.name if self.refusal else self.does.value


@dataclass(frozen=True, slots=True)
class PageAct:
    """What the fake bridge does with one request for a page.

    Args:
        latency: The answer takes this long at least, from the request's arrival.
        refusal: What is answered instead of the page.
        late: Whether the answer is held until the deadline has passed.
    """

    latency: Latency = NO_LATENCY
    refusal: Refusal | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Step(Generic[ActT]):
    """What happens for some calls in a row.

    Args:
        choices: What may happen to each, with its share; what is missing to 1 is treated plainly.
        repeat: For how many calls; None: for ever.
        serving: What the health service says meanwhile.
    """

    choices: tuple[tuple[float, ActT], ...]
    repeat: int | None = None
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script.

    Args:
        acts: What the scorer does, in order; after the last it ranks plainly.
        pages: What the fake bridge does, in order.
        seed: Of everything drawn at random.
        videos: Size of the invented catalogue.
        model_version: The model that the scorer says it uses.
        fallback: What the fake bridge falls back on.
    """

    acts: tuple[Step[Act], ...] = ()
    pages: tuple[Step[PageAct], ...] = ()
    seed: int = DEFAULT_SEED
    videos: int = DEFAULT_VIDEOS
    model_version: str = DEFAULT_MODEL_VERSION
    fallback: Fallback = Fallback.TRENDING

    @property
    def cuts(self) -> bool:
        """Whether some act cuts connections."""
        return any(act.does in CUTTING for step in self.acts for _, act in step.choices)


PLAIN = Act()
PLAIN_PAGE = PageAct()
NO_SCRIPT = Script()
