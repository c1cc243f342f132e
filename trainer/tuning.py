"""`feed trainer tune`: settings chosen on the days before the test, held against the present ones on the test."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.lock_file import exclusive
from runtime.settings import PREFIX
from trainer.adapters.study_optuna import OptunaStudy, StudyTrial, Tried
from trainer.domain.bootstrap import Interval
from trainer.domain.comparison import NDCG, Figure, compare_measured
from trainer.domain.early_stopping import StoppingRules
from trainer.domain.evaluation import Split, name_of_test, split
from trainer.domain.gate import refuse_data
from trainer.domain.ranking_metrics import Measured
from trainer.domain.search_space import MOST_PASSES, NotTunableError, Number, search_space
from trainer.domain.segments import ALL
from trainer.domain.user_features import FeatureRules, UserFeatures, features_of
from trainer.fitting import Plan, fit
from trainer.planning import Planner
from trainer.ports import StepwiseFitter
from trainer.service import Training, TrainingData
from trainer.settings import TrainerSettings
from trainer.watching import Watch, measured, watched

STUDIES_FILE: Final = "studies.db"

# With less, a validation that is worse by chance is taken for the end (the scores of KuaiRand go up and down by 0.001).
_STOPPING: Final = StoppingRules(patience=3, every=1)

_PRESENT: Final = "present"
_BEST: Final = "best"


@dataclass(frozen=True, slots=True)
class Bounds:
    """When tuning ends.

    Args:
        trials: So many trials in all, those of earlier calls included.
        timeout_s: No trial but the first begins after so many seconds; 0: all do.
    """

    trials: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of tuning.

    Args:
        trials: How many have ended, those given up included.
        first: What the present settings reached on the validation.
        best: What the best ones did.
        settings: The best ones, by name of the environment's variable.
        reached: NDCG@10 on the test, of which no trial knew: of the present settings, and of the best ones.
        lead: Of the best ones over the present ones there.
    """

    trials: int
    first: Tried
    best: Tried
    settings: Mapping[str, Number]
    reached: tuple[float, float]
    lead: Interval


def tune(job: Training, bounds: Bounds) -> Tuned:
    """Tries settings, goes on where an earlier call ended or was killed, and measures the best ones on the test.

    Raises:
        AlreadyRunningError: While another tuning runs on this data directory.
        NotTunableError: When there is too little to choose by.
    """
    folder = job.settings.data_dir / "tuning"
    with exclusive(folder / "tuning.lock", "tuning"):
        job.export_days()
        trials = Trials(job, job.load())
        study = trials.study(folder)
        trials.run(study, bounds)
        return trials.outcome(study)


class Trials:
    """Trials on one log.

    Args:
        job: The training, with the present settings.
        data: The log, and what is known beside.

    Raises:
        NotTunableError: When there is too little to choose by.
    """

    def __init__(self, job: Training, data: TrainingData) -> None:
        self._job = job
        self._data = data
        test = self._test(job.settings)
        _refuse(test, job.settings)
        self._early = data.log.before(test.at_s)
        self._validation = self._validated_on(job.settings)
        _refuse(self._validation, job.settings)
        dials = search_space(job.settings.trainer_algorithm, job.settings.combined)
        self._space = tuple(dial.with_present(getattr(job.settings, dial.setting)) for dial in dials)
        self._features: dict[int, UserFeatures] = {}
        fitter = job.fitter
        self._passes_setting = f"trainer_{fitter.passes_param}" if isinstance(fitter, StepwiseFitter) else ""

    def study(self, folder: Path) -> OptunaStudy:
        """Opens the study of these trials; on another log, or with other settings at present, it is another one."""
        settings = self._job.settings
        fixed = (settings.fit_params(cpus=1), settings.dataset_rules, settings.prior_rules, settings.minimums)
        test = name_of_test(self._validation, self._early.user_ids, self._early.video_ids)
        told = repr((test, self._space, fixed, settings.feature_rules, settings.combined))
        name = f"{settings.trainer_algorithm}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        present = {dial.setting: getattr(settings, dial.setting) for dial in self._space}
        return OptunaStudy(folder / STUDIES_FILE, name, self._space, present, settings.trainer_seed)

    def run(self, study: OptunaStudy, bounds: Bounds) -> None:
        """Runs the trials that are left; the first one always, for nothing is known without it."""
        start = time.monotonic()
        with self._job.progress.step("tune", bounds.trials) as advance:
            for _ in range(study.count):
                advance()
            while study.count < bounds.trials:
                is_late = bounds.timeout_s and time.monotonic() - start > bounds.timeout_s
                if study.count and is_late:
                    break
                self._try(study.begin())
                advance()

    def outcome(self, study: OptunaStudy) -> Tuned:
        """Measures the best settings and the present ones on the test, each fitted on all that is before it."""
        best, present = study.best(), self._job.settings
        chosen = self._settings_of(best.values, best.passes)
        found = {_BEST: self._on_test(chosen, "fit the best"), _PRESENT: self._on_test(present, "fit the present")}
        values = {name: {ALL: each.values} for name, each in found.items()}
        names = [*best.values, *([self._passes_setting] if self._passes_setting else [])]
        return Tuned(
            trials=study.count,
            first=study.first(),
            best=best,
            settings={f"{PREFIX}{name.upper()}": getattr(chosen, name) for name in names},
            reached=(found[_PRESENT].metrics.ndcg_at_10, found[_BEST].metrics.ndcg_at_10),
            lead=compare_measured(found, values, present.trainer_seed).leads[Figure(_PRESENT, ALL, NDCG)],
        )

    def _try(self, trial: StudyTrial) -> None:
        settings = self._settings_of(trial.values, MOST_PASSES.get(self._passes_setting, 0))
        fitter, plan = self._job.fitter, self._plan(settings)
        parts = self._validated_on(settings)
        if not isinstance(fitter, StepwiseFitter):
            fitted = fit(fitter, parts.train, plan, lambda: None)
            trial.ended(0, measured(parts, fitted, settings.prior_rules).metrics.ndcg_at_10)
            return
        for seen in watched(fitter, plan, Watch(parts, _STOPPING, settings.prior_rules), lambda: None):
            if not trial.validated(seen.passes, seen.reached):
                trial.given_up()
                return
        trial.ended(seen.best_passes, seen.best)

    def _on_test(self, settings: TrainerSettings, step: str) -> Measured:
        parts, plan, fitter = self._test(settings), self._plan(settings), self._job.fitter
        with self._job.progress.step(step, fitter.passes(plan.params)) as advance:
            return measured(parts, fit(fitter, parts.train, plan, advance), settings.prior_rules)

    def _settings_of(self, values: Mapping[str, Number], passes: int) -> TrainerSettings:
        """Returns the present settings with others in their places; of `passes` only where a fit is watched."""
        watched_passes = {self._passes_setting: passes} if self._passes_setting else {}
        return self._job.settings.model_copy(update={**values, **watched_passes})

    def _test(self, settings: TrainerSettings) -> Split:
        return split(self._data.log, self._data.catalogue.item_duration_s, settings.split_rules)

    def _validated_on(self, settings: TrainerSettings) -> Split:
        return split(self._early, self._data.catalogue.item_duration_s, settings.validation_rules)

    def _plan(self, settings: TrainerSettings) -> Plan:
        planner = Planner(settings, self._job.fitter, self._job.progress, self._job.cpus)
        return planner.plain(self._features_of(settings.feature_rules))

    def _features_of(self, rules: FeatureRules) -> UserFeatures:
        if rules.most not in self._features:
            words = self._job.database.user_words()
            self._features[rules.most] = features_of(self._data.log.user_ids, words, rules)
        return self._features[rules.most]


def _refuse(parts: Split, settings: TrainerSettings) -> None:
    refusal = refuse_data(parts.facts, settings.gate_rules)
    if refusal:
        raise NotTunableError(f"too little to choose settings by: {refusal}")
