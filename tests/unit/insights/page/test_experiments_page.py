"""What the page of an experiment shows while its figures cannot be had, and which texts stand for which figures."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from insights.domain.experiment_report import ExperimentReport, Metric, report
from insights.domain.statistics import Sums
from insights.page import text
from insights.page.experiments import ExperimentsPage, tables_of, told_variant
from insights.page.views import View
from insights.ports import ExperimentStory, LedgerUnavailableError
from runtime.experiments import Experiment, Parameter, RankedBy, Variant
from storage.audit import Actor, Door
from storage.experiment_rules import Definition
from storage.experiments import Status, StoredExperiment

NOW = datetime(2026, 11, 22, tzinfo=UTC)
VARIANTS = [Variant("a", 1.0), Variant("b", 3.0)]
DEFINITION = Definition("tried", "feed", 0.5, VARIANTS, "", "ann")
RUNNING = StoredExperiment(
    DEFINITION, Status.RUNNING, Experiment("tried", "feed", "s", [(0, 5_000)], VARIANTS), NOW, NOW, None, None
)


class SlowDesk:
    """An `ExperimentDesk` whose reports take longer than a page may."""

    async def newest(self, limit: int) -> Sequence[StoredExperiment]:
        return [RUNNING] * limit

    async def story(self, name: str) -> ExperimentStory | None:
        return ExperimentStory(RUNNING, []) if name == "tried" else None

    async def report(self, definition: Definition) -> ExperimentReport:
        raise LedgerUnavailableError(definition.name)

    async def create(self, definition: Definition, door: Door) -> None:
        raise AssertionError((definition, door))

    async def start(self, name: str, admin: Actor) -> None:
        raise AssertionError((name, admin))

    async def stop(self, name: str, admin: Actor, reason: str) -> None:
        raise AssertionError((name, admin, reason))


async def shown(path: str) -> str:
    """What a path of the page says."""
    door = next(each for each in ExperimentsPage(SlowDesk()).doors if each.path == path and each.method == "GET")
    scope = {"type": "http", "path_params": {"name": "tried"}, "query_string": b"all=1", "headers": []}
    view = await door.handler(Request(scope))
    assert isinstance(view, View)
    made = Environment(loader=PackageLoader("insights.page"), autoescape=True, undefined=StrictUndefined)
    made.filters.update(text.FILTERS)
    made.globals.update(asset=str, navigation=[], signs_in=False, may=lambda _name: True)
    return made.get_template(view.template).render(path=path, retry_after_s=None, visitor=None, **view.values)


async def test_the_rest_of_the_page_is_there_when_its_figures_are_not() -> None:
    page = await shown("/experiments/named/{name}")
    assert "The figures take longer than a page may." in page
    assert "75.0\u202f%" in page
    assert "Stop it" in page
    assert "It was made before changes were told." in page


async def test_a_long_list_says_that_it_is_not_all() -> None:
    assert "Of the newest 100" in await shown("/experiments")


def test_what_is_more_is_good_or_bad_by_its_metric() -> None:
    few, many = (
        Sums(4_000, 4_000, 80_000, 8_000, 1_600_000, 80_000),
        Sums(4_000, 8_000, 80_000, 24_000, 1_600_000, 160_000),
    )
    found = report({"a": 1, "b": 1}, {Metric.ACCEPTED: {"a": few, "b": many}, Metric.LATE: {"a": few, "b": many}})
    tables = {table.metric: table for table in tables_of(found)}
    assert {metric: (each.compared[0].verdict, each.compared[0].mood) for metric, each in tables.items()} == {
        Metric.ACCEPTED: ("more", "good"),
        Metric.LATE: ("more", "bad"),
    }
    assert tables[Metric.ACCEPTED].guard == ""
    assert tables[Metric.LATE].guard.endswith("by 20% of the control's rate and by 2 percentage points at least.")
    assert (tables[Metric.LATE].control, tables[Metric.LATE].compared[0].rate) == ("5.000%", "10.000%")


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant("a", 1.0), "as everybody's"),
        (Variant("a", 1.0, RankedBy.TRENDING), "ranked by no model: what trends"),
        (
            Variant("a", 1.0, RankedBy.CANDIDATE, {Parameter.SHUFFLE: 0.5}),
            "ranked by the model that is tried, shuffle 0.5",
        ),
    ],
)
def test_a_variant_is_told_in_words(variant: Variant, said: str) -> None:
    assert told_variant(variant) == said
