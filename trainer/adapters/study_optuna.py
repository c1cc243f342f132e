"""What was tried so far: the one place that imports optuna.

Each trial is drawn from a seed of its own and from the trials that ended before it, so that a study that was killed and
gone on with tries the same as one that was not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from trainer.domain.search_space import Choice, Dial, Number, rounded

_PASSES: Final = "passes"
# No trial is given up before so many have ended, nor before this pass.
_TRIALS_BEFORE_PRUNING: Final = 5
_PRUNED_FROM_PASS: Final = 2


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that ended.

    Args:
        values: The settings it was fitted with.
        passes: Passes after which it was best; 0: as many as the settings say.
        reached: What was reached then.
    """

    values: Mapping[str, Number]
    passes: int
    reached: float


class StudyTrial:
    """A trial that runs.

    Args:
        study: Of which.
        trial: optuna's own.
        values: The settings to fit with.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, values: Mapping[str, Number]) -> None:
        self._study = study
        self._trial = trial
        self.values = values

    def validated(self, passes: int, reached: float) -> bool:
        """Takes down a validation; returns whether the trial is worth going on with."""
        self._trial.report(reached, passes)
        return not self._trial.should_prune()

    def ended(self, passes: int, reached: float) -> None:
        """Takes down what came of it; see `Tried`."""
        self._trial.set_user_attr(_PASSES, passes)
        self._study.tell(self._trial, reached)

    def given_up(self) -> None:
        """Takes down that it was not worth going on with."""
        self._study.tell(self._trial, state=TrialState.PRUNED)


class OptunaStudy:
    """A study in a file of its own, which outlives the process.

    Args:
        path: The file, SQLite; made when missing. It may hold several studies.
        name: Which of them; trials of one are fitted and measured alike.
        space: What is chosen.
        present: What is tried first, by setting.
        seed: Of everything that is drawn.
    """

    def __init__(self, path: Path, name: str, space: Sequence[Dial], present: Mapping[str, Number], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._space = {dial.setting: dial for dial in space}
        self._seed = seed
        self._study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(_TRIALS_BEFORE_PRUNING, _PRUNED_FROM_PASS),
            load_if_exists=True,
        )
        for killed in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            self._study.tell(killed.number, state=TrialState.FAIL)
        if not self.count and not self._study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
            self._study.enqueue_trial(dict(present))

    @property
    def count(self) -> int:
        """How many trials have ended, given up or not."""
        return len(self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED]))

    def begin(self) -> StudyTrial:
        """Begins the next trial."""
        self._study.sampler = optuna.samplers.TPESampler(seed=self._seed + self.count)
        trial = self._study.ask({name: _distribution(dial) for name, dial in self._space.items()})
        return StudyTrial(self._study, trial, self._values(trial.params))

    def first(self) -> Tried:
        """Returns the trial of the present settings.

        Raises:
            ValueError: When none has ended.
        """
        return self._tried(self._ended()[0])

    def best(self) -> Tried:
        """Returns the best trial; of equal ones the first.

        Raises:
            ValueError: When none has ended.
        """
        return self._tried(max(self._ended(), key=lambda each: each.value or 0.0))

    def _ended(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])

    def _tried(self, trial: optuna.trial.FrozenTrial) -> Tried:
        return Tried(self._values(trial.params), trial.user_attrs[_PASSES], trial.value or 0.0)

    def _values(self, params: Mapping[str, Number]) -> dict[str, Number]:
        return {name: rounded(dial, params[name]) for name, dial in self._space.items()}


def _distribution(dial: Dial) -> BaseDistribution:
    if isinstance(dial, Choice):
        return CategoricalDistribution(dial.values)
    if dial.is_whole:
        return IntDistribution(int(dial.low), int(dial.high), log=dial.is_log)
    return FloatDistribution(dial.low, dial.high, log=dial.is_log)
