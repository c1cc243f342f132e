"""Which settings are tuned, and within which bounds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from trainer.domain.algorithm import Algorithm

Number: TypeAlias = float | int


class NotTunableError(Exception):
    """There is too little in the log to choose settings by; wait for more interactions."""


@dataclass(frozen=True, slots=True)
class Span:
    """A setting that is any number of a range.

    Args:
        setting: Its name, as the trainer's settings have it.
        low: The least.
        high: The most.
        is_log: Whether its size matters rather than its distance, as of a penalty.
        is_whole: Whether it is a whole number.
    """

    setting: str
    low: Number
    high: Number
    is_log: bool = False
    is_whole: bool = False

    def with_present(self, present: Number) -> "Span":
        """Returns a range that the present value lies in."""
        return replace(self, low=min(self.low, present), high=max(self.high, present))


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that is one of some numbers.

    Args:
        setting: Its name, as the trainer's settings have it.
        values: The numbers.
    """

    setting: str
    values: tuple[int, ...]

    def with_present(self, present: Number) -> "Choice":
        """Returns a choice that has the present value."""
        return replace(self, values=tuple(sorted({*self.values, int(present)})))


Dial: TypeAlias = Span | Choice

_PRIOR: Final = (Span("trainer_recent_weight", 0.0, 1.0), Span("trainer_bias_share", 0.0, 1.0))
_DIMENSIONS: Final = Choice("trainer_dimensions", (16, 32, 64, 96, 128))
# On or off: how many there are is up to the data.
_FEATURES: Final = Choice("trainer_features", (0, 1000))
_LIGHTFM: Final = (Choice("trainer_history_length", (0, 10, 30, 60)), Span("trainer_alpha", 1e-7, 1e-3, is_log=True))
_ALS: Final = (
    Span("trainer_als_confidence", 0.05, 2.0, is_log=True),
    Span("trainer_als_penalty", 0.01, 1.0, is_log=True),
)
# So many passes at most are tried, as the settings call them.
MOST_PASSES: Final[Mapping[str, int]] = {"trainer_epochs": 15, "trainer_als_passes": 30}
_OF: Final[Mapping[Algorithm, tuple[Dial, ...]]] = {
    Algorithm.LIGHTFM_WARP: _LIGHTFM,
    Algorithm.LIGHTFM_BPR: _LIGHTFM,
    Algorithm.LIGHTFM_LOGISTIC: _LIGHTFM,
    Algorithm.ALS: _ALS,
    Algorithm.SPARK_ALS: (*_ALS, Span("trainer_als_passes", 1, MOST_PASSES["trainer_als_passes"], is_whole=True)),
    Algorithm.USER_KNN: (Span("trainer_knn_neighbours", 50, 1000, is_log=True, is_whole=True),),
}


def search_space(algorithm: Algorithm, combined: Iterable[Algorithm]) -> tuple[Dial, ...]:
    """Returns what is tuned of an algorithm.

    The passes of one that is fitted pass by pass are none of it: these are found by watching each fit. A combination is
    fitted as a whole, and so is what Spark fits: their passes are chosen as everything else is.

    Args:
        algorithm: Which.
        combined: What a combination adds up.
    """
    if algorithm is Algorithm.POPULARITY:
        return _PRIOR
    if algorithm is not Algorithm.COMBINATION:
        return (*_PRIOR, _FEATURES, _DIMENSIONS, *_OF[algorithm])
    passes = [Span(setting, 1, most, is_whole=True) for setting, most in MOST_PASSES.items()]
    own = [dial for part in combined for dial in _OF[part]]
    return (*_PRIOR, _FEATURES, _DIMENSIONS, *dict.fromkeys((*own, *passes)))


def rounded(dial: Dial, value: Number) -> Number:
    """Returns a value as it is written into settings: of a number with a fraction three digits."""
    return int(value) if isinstance(dial, Choice) or dial.is_whole else float(f"{value:.3g}")
