"""How the fits of a run are made: what they begin with, and after how many passes they end."""

from dataclasses import dataclass, replace

from runtime.models.model_bundle import Floats, ModelBundle
from trainer.domain.evaluation import Split, split
from trainer.domain.gate import refuse_data
from trainer.domain.log import InteractionLog
from trainer.domain.user_features import UserFeatures
from trainer.domain.warm_start import start_of
from trainer.fitting import Plan
from trainer.ports import Fitter, Progress, StepwiseFitter
from trainer.settings import TrainerSettings
from trainer.watching import Watch, watchable, watched


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """Plans the fits of a run.

    Args:
        settings: All settings of the trainer.
        fitter: Fits the model.
        progress: Hears what is planned.
        cpus: CPUs that the fit may use.
    """

    settings: TrainerSettings
    fitter: Fitter
    progress: Progress
    cpus: int

    def plain(self, features: UserFeatures) -> Plan:
        """Returns the plan that the settings alone make: from scratch, and with as many passes as they say."""
        settings = self.settings
        return Plan(settings.fit_params(self.cpus), settings.minimums, features, settings.feature_rules)

    def plan(
        self, log: InteractionLog, duration_s: Floats, features: UserFeatures, parts: Split, live: ModelBundle | None
    ) -> Plan:
        """Plans both fits of a run alike, so that what is measured is what serves.

        Args:
            log: All interactions.
            duration_s: Length of each video by row of `log.video_ids`, seconds; 0 or less is unknown.
            features: What is known of users beside.
            parts: The log, parted; nothing of its test is looked at.
            live: The model that serves.
        """
        plan = self.plain(features)
        if refuse_data(parts.facts, self.settings.gate_rules):
            return plan
        if self.settings.trainer_warm_passes:
            reason = self._no_warm_start(plan, parts, live)
            if live and reason is None:
                return self._warm(plan, log, live)
            self.progress.fact("start", model="scratch", reason=reason)
        if self.settings.trainer_patience:
            return self._stopped_early(plan, log, duration_s, parts)
        return plan

    def _no_warm_start(self, plan: Plan, parts: Split, live: ModelBundle | None) -> str | None:
        """Says why fits cannot begin with the model that serves; None: they can."""
        if not isinstance(self.fitter, StepwiseFitter):
            return f"{self.fitter.algorithm} cannot begin with a model"
        if live is None:
            return "no model serves that can be read"
        manifest, wanted = live.manifest, (self.fitter.algorithm, plan.params.dimensions)
        if (manifest.algorithm, manifest.dimensions) != wanted:
            return f"the model that serves is {manifest.algorithm} of {manifest.dimensions} dimensions"
        return None if parts.is_after_live else "the model that serves knows the test"

    def _warm(self, plan: Plan, log: InteractionLog, live: ModelBundle) -> Plan:
        version = live.manifest.model_version
        start = start_of(live.arrays, log.user_ids, log.video_ids)
        self.progress.fact("start", model=version, users=len(start.users.rows), videos=len(start.videos.rows))
        params = replace(
            plan.params,
            learning_rate=self.settings.trainer_warm_learning_rate,
            **_passes_of(self.fitter, self.settings.trainer_warm_passes),
        )
        return replace(plan, params=params, start=start, started_from=version)

    def _stopped_early(self, plan: Plan, log: InteractionLog, duration_s: Floats, parts: Split) -> Plan:
        """Watches what has passes, each by itself, and takes the number of the best one."""
        settings = self.settings
        inner = split(log.before(parts.at_s), duration_s, settings.validation_rules)
        if inner.facts.test_users < settings.trainer_gate_min_test_users:
            self.progress.fact("stopped", passes="not watched", users=inner.facts.test_users)
            return plan
        watch = Watch(inner, settings.stopping_rules, settings.prior_rules)
        for part in watchable(self.fitter):
            with self.progress.step("watch fit", part.passes(plan.params)) as advance:
                *_, seen = watched(part, plan, watch, advance)
            self.progress.fact("stopped", algorithm=part.algorithm, passes=seen.best_passes, ndcg_at_10=seen.best)
            plan = replace(plan, params=replace(plan.params, **_passes_of(part, seen.best_passes)))
        return plan


def _passes_of(fitter: Fitter, passes: int) -> dict[str, int]:
    return {fitter.passes_param: passes} if isinstance(fitter, StepwiseFitter) else {}
