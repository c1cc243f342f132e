"""What experiments make of a request: of what scorers are asked, of the answer, of what is told of the page."""

from collections.abc import Sequence
from typing import Any

import pytest

from bridge.domain.experiments import UNTREATED, ExperimentsPolicy, KnownExperiments
from bridge.experiments import EXPERIMENTS, ExperimentsFollower, NoExperiments
from bridge.fakes import Act, MemoryLists, Recorder, StoppedClock
from bridge.ports import ListError
from bridge.telemetry import ListFailed, ListTrouble
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.scoring.v1 import scoring_pb2
from runtime.errors import InvalidArgumentError
from runtime.experiments import BUCKETS, Experiment, Parameter, RankedBy, Variant
from tests.unit.bridge.test_service import HANGS, OK, Bridge, bridge, ids

SET = Variant("set", 1.0, parameters={Parameter.SHUFFLE: 0.0, Parameter.MAX_RUN: 3.0, Parameter.PRIOR: 0.0})
TRENDING = Variant("trending", 1.0, RankedBy.TRENDING)
EVERYTHING_ON = scoring_pb2.Stages(shuffle=0.1, diversity=0.2, max_run=2, skip_fold_in=True)


def experiment(name: str, *variants: Variant) -> Experiment:
    return Experiment(name, f"layer of {name}", name, [(0, BUCKETS)], variants)


class Script:
    """The port `ExperimentReader`; without experiments it fails."""

    def __init__(self, *running: Experiment, drafts: Sequence[Experiment] = ()) -> None:
        self.now: KnownExperiments | None = KnownExperiments(running, tuple(drafts))

    async def known(self) -> KnownExperiments:
        if self.now is None:
            raise ListError(EXPERIMENTS)
        return self.now


def follower(
    script: Script, store: MemoryLists | None = None, observer: Recorder | None = None, *, overrides: bool = True
) -> ExperimentsFollower:
    policy = ExperimentsPolicy(poll_s=2.0, overrides=overrides)
    return ExperimentsFollower(script, store or MemoryLists(), policy, StoppedClock(), observer or Recorder())


async def trying(*running: Experiment, acts: Sequence[Act] = (OK,), **known: Any) -> Bridge:
    """A bridge that knows some experiments."""
    made, found = bridge(acts), follower(Script(*running, **known))
    await found.look()
    made.service._knowledge._experiments = found
    return made


def told(page: pb.GetRecommendationsResponse) -> list[tuple[str, str]]:
    return [(each.experiment, each.variant) for each in page.experiments]


def override(experiment: str, variant: str) -> common_pb2.ExperimentAssignment:
    return common_pb2.ExperimentAssignment(experiment=experiment, variant=variant)


async def test_a_variant_sets_what_scorers_are_asked_for() -> None:
    made = await trying(experiment("order", SET))
    made.service._knowledge._policy.stages.CopyFrom(EVERYTHING_ON)
    page = await made.page()
    assert made.scorers[0].requests[0].stages == scoring_pb2.Stages(
        diversity=0.2, max_run=3, skip_prior=True, skip_fold_in=True
    )
    assert told(page) == [("order", "set")]
    assert made.recorder.pages[0].experiments == (("order", "set"),)


async def test_a_variant_of_trending_asks_no_scorer_and_is_no_fallback() -> None:
    made = await trying(experiment("baseline", TRENDING))
    page = await made.page()
    assert (page.source, page.fallback_reason, page.algorithm, page.attempts) == (pb.TRENDING, pb.NONE, "trending", 0)
    assert ids(page) == [f"t{number}" for number in range(20)]
    assert (told(page), made.scorers[0].requests) == ([("baseline", "trending")], [])
    assert not made.recorder.pages[0].fell_back


@pytest.mark.parametrize(
    ("ranked_by", "choice"), [(RankedBy.CANDIDATE, scoring_pb2.CANDIDATE), (RankedBy.MODEL, scoring_pb2.LIVE)]
)
async def test_a_variant_says_which_model_ranks(ranked_by: RankedBy, choice: int) -> None:
    """A canary beside it takes none of the experiment's users: the control must be what it says."""
    made = await trying(experiment("model", Variant("a", 1.0, ranked_by)))
    await made.page()
    assert made.scorers[0].requests[0].model_choice == choice


async def test_a_page_of_the_ladder_is_part_of_the_experiment_too() -> None:
    """Else a variant that breaks the scorer would look good: only its good pages would count."""
    made = await trying(experiment("order", SET), acts=[HANGS])
    page = await made.page()
    assert (page.fallback_reason, told(page)) == (pb.DEADLINE, [("order", "set")])
    assert made.recorder.pages[0].experiments == (("order", "set"),)


async def test_several_experiments_hold_together_and_the_later_one_wins() -> None:
    other = Variant("b", 1.0, parameters={Parameter.MAX_RUN: 9.0, Parameter.EXPLORATION: 0.25})
    made = await trying(experiment("order", SET), experiment("run", other))
    page = await made.page()
    assert told(page) == [("order", "set"), ("run", "b")]
    assert made.scorers[0].requests[0].stages == scoring_pb2.Stages(max_run=9, exploration=0.25, skip_prior=True)


async def test_a_scroll_stays_what_it_was_when_it_was_ranked() -> None:
    made = await trying(experiment("order", SET))
    first = await made.page()
    made.service._knowledge._experiments = NoExperiments()
    second = await made.page(page_token=first.next_page_token)
    anew = await made.page()
    assert (told(second), told(anew)) == ([("order", "set")], [])
    assert made.recorder.pages[1].experiments == (("order", "set"),)


async def test_a_tester_sees_the_variant_of_his_choice_and_counts_for_none() -> None:
    draft = experiment("soon", TRENDING)
    made = await trying(experiment("order", SET), drafts=[draft])
    page = await made.page(page_size=10, experiment_overrides=[override("soon", "trending")])
    assert (page.source, told(page)) == (pb.TRENDING, [("order", "set"), ("soon", "trending")])
    again = await made.page(page_size=10, page_token=page.next_page_token)
    assert told(again) == told(page)
    assert [each.experiments for each in made.recorder.pages] == [(), ()]


@pytest.mark.parametrize(("name", "variant"), [("order", "other"), ("over", "set"), ("", "")])
async def test_a_tester_cannot_have_what_there_is_not(name: str, variant: str) -> None:
    made = await trying(experiment("order", SET))
    with pytest.raises(InvalidArgumentError, match=r"experimentOverrides\[1\]: must name a variant of an experiment"):
        await made.page(experiment_overrides=[override("order", "set"), override(name, variant)])


async def test_overrides_may_be_switched_off() -> None:
    found = follower(Script(experiment("order", SET)), overrides=False)
    await found.look()
    for each in (found, NoExperiments()):
        with pytest.raises(InvalidArgumentError, match="experimentOverrides: is switched off here"):
            each.of(pb.GetRecommendationsRequest(user_id="u1", experiment_overrides=[override("order", "set")]))


async def test_a_stopped_experiment_is_over_with_the_next_look() -> None:
    script = Script(experiment("order", SET))
    found = follower(script)
    request = pb.GetRecommendationsRequest(user_id="u1")
    await found.look()
    assert found.of(request).membership.variants == (("order", "set"),)
    script.now = KnownExperiments((experiment("order", TRENDING),))
    await found.look()
    assert found.of(request).ranked_by is RankedBy.TRENDING
    script.now = KnownExperiments()
    await found.look()
    assert found.of(request) is UNTREATED


async def test_without_the_database_experiments_go_on_even_over_a_restart() -> None:
    script, store = Script(experiment("order", SET), drafts=[experiment("soon", TRENDING)]), MemoryLists()
    before = follower(script, store)
    await before.look()
    script.now = None
    recorder = Recorder()
    after = follower(script, store, recorder)
    await after.start()
    request = pb.GetRecommendationsRequest(user_id="u1", experiment_overrides=[override("soon", "trending")])
    assert (after.of(request), after.count) == (before.of(request), 1)
    assert recorder.list_failures == [ListFailed(EXPERIMENTS, ListTrouble.NOT_REFRESHED)]
    await after.stop()
