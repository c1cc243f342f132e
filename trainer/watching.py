"""A fit that is watched: how many passes are best, found on days before the test that it does not learn from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trainer.adapters.fit_combination import CombinationFitter
from trainer.domain.early_stopping import StoppingRules, Watched
from trainer.domain.evaluation import Split, ranked
from trainer.domain.model import PriorRules, item_prior
from trainer.domain.ranking import Scores
from trainer.domain.ranking_metrics import Measured, measure
from trainer.fitting import Fitted, Plan, fit_in_steps
from trainer.ports import Fitter, StepwiseFitter


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What a fit is held against while it runs.

    Args:
        parts: The validation.
        rules: How often, and when it is enough.
        prior: How fresh popularity enters the scores.
    """

    parts: Split
    rules: StoppingRules
    prior: PriorRules


def watchable(fitter: Fitter) -> list[StepwiseFitter]:
    """Returns what of a fitter has passes to be watched: itself, or parts of a combination."""
    parts = [part.fitter for part in fitter.parts] if isinstance(fitter, CombinationFitter) else [fitter]
    return [part for part in parts if isinstance(part, StepwiseFitter)]


def watched(fitter: StepwiseFitter, plan: Plan, watch: Watch, on_pass: Callable[[], None]) -> Iterator[Watched]:
    """Fits until it is over, at most the plan's passes: yields what is seen after each validation, at least one.

    Args:
        fitter: Fits.
        plan: How.
        watch: What it is held against.
        on_pass: Called after each pass.
    """
    seen, most = Watched(), fitter.passes(plan.params)
    for number, model_so_far in enumerate(fit_in_steps(fitter, watch.parts.train, plan), start=1):
        on_pass()
        if number % watch.rules.every and number < most:
            continue
        seen = seen.after(number, measured(watch.parts, model_so_far(), watch.prior).metrics.ndcg_at_10)
        yield seen
        if seen.is_over(watch.rules):
            return


def measured(parts: Split, fitted: Fitted, prior: PriorRules) -> Measured:
    """Measures a model as it would be served."""
    model = fitted.model
    scores = Scores(model.user_factors, model.item_factors, item_prior(parts.train, model, prior))
    return measure(ranked(parts, scores), parts.truth)
