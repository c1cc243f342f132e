"""Experiments: which there are, what came of each, and the forms that make, start and stop one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from insights.domain.experiment_report import METRICS, ExperimentReport, Metric
from insights.domain.statistics import Difference
from insights.page.experiment_form import definition_of, errors_of, field_of, shown_variants
from insights.page.forms import given_form, wrong_admin
from insights.page.views import Door, Entry, SeeOther, View
from insights.page.whiskers import WIDTH, Whisker, whiskers
from insights.ports import ExperimentDesk, ExperimentStory, LedgerUnavailableError
from insights.report_text import relative_text, value_text, verdict
from runtime.errors import NotFoundError
from runtime.experiments import RankedBy, Variant
from storage.audit import Actor
from storage.audit import Door as Through
from storage.experiment_rules import MOST_VARIANTS, RANGES, ExperimentError
from storage.experiments import Status

_PATH: Final = "/experiments"
_NEW_PATH: Final = "/experiments/new"
_ONE_PATH: Final = "/experiments/named/{name}"
_START_PATH: Final = "/experiments/named/{name}/start"
_STOP_PATH: Final = "/experiments/named/{name}/stop"
_SHOWN: Final = 100
_MOST_CHARS: Final = 128
_MOST_REASON_CHARS: Final = 1_000

_MOODS: Final = {Status.DRAFT: "plain", Status.RUNNING: "good", Status.STOPPED: "plain"}
_RANKED_BY: Final = {
    RankedBy.MODEL.value: "the model",
    RankedBy.CANDIDATE.value: "the model that is tried",
    RankedBy.TRENDING.value: "no model: what trends",
}
_DONE: Final = {
    "created": "It is a draft: nobody is part of it until it is started.",
    "started": "It has its users; bridges follow within five seconds.",
    "stopped": "Its users get the feed of all others within five seconds.",
}
# What a form begins with.
_BLANK: Final = {"layer": "feed", "traffic": "1", "v1.name": "control", "v1.weight": "1", "v2.weight": "1"}


@dataclass(frozen=True, slots=True)
class Compared:
    """A variant beside the control, by one metric.

    Args:
        variant: Its name.
        rate: Its rate, as `feed experiment report` writes it.
        relative: By which share of the control's it differs; empty: the control has none.
        low: Lower end of the interval of the difference.
        high: Upper end of it.
        verdict: What is known.
        mood: Whether that is good.
        drawn: The interval.
    """

    variant: str
    rate: str
    relative: str
    low: str
    high: str
    verdict: str
    mood: str
    drawn: Whisker


@dataclass(frozen=True, slots=True)
class MetricTable:
    """A metric of all variants.

    Args:
        metric: Which.
        meaning: In words.
        control: The control's rate.
        guard: When a variant is stopped for it; empty: never.
        compared: The other variants.
    """

    metric: Metric
    meaning: str
    control: str
    guard: str
    compared: list[Compared]


class ExperimentsPage:
    """Experiments, and the few pages that change them.

    Args:
        desk: Where they are.
    """

    entry = Entry(_PATH, "Experiments")

    def __init__(self, desk: ExperimentDesk) -> None:
        self._desk = desk
        self.doors = (
            Door(_PATH, self._list),
            Door(_NEW_PATH, self._ask),
            Door(_NEW_PATH, self._create, "POST"),
            Door(_ONE_PATH, self._show),
            Door(_START_PATH, self._ask_start),
            Door(_START_PATH, self._start, "POST"),
            Door(_STOP_PATH, self._ask_stop),
            Door(_STOP_PATH, self._stop, "POST"),
        )

    async def _list(self, request: Request) -> View:
        everything = request.query_params.get("all") == "1"
        found = await self._desk.newest(_SHOWN)
        shown = [each for each in found if everything or each.status is not Status.STOPPED]
        values = {"experiments": shown, "everything": everything, "moods": _MOODS, "told": told_variant}
        return View("experiments.html", {**values, "most": _SHOWN if len(found) == _SHOWN else None})

    async def _ask(self, _request: Request) -> View:
        return _form(_BLANK, {})

    async def _create(self, request: Request) -> View | SeeOther:
        given = _given(request)
        if "more" in given:
            return _form(given, {})
        definition = definition_of(given)
        try:
            await self._desk.create(definition, Through.PAGE)
        except ExperimentError as error:
            return _form(given, errors_of(given, error))
        return SeeOther(f"{_PATH}/named/{definition.name}", "created")

    async def _show(self, request: Request) -> View:
        story = await self._story(request)
        report, is_slow = None, False
        if story.experiment.status is not Status.DRAFT:
            try:
                report = await self._desk.report(story.experiment.definition)
            except LedgerUnavailableError:
                # The rest of the page is there before.
                is_slow = True
        values = {
            **_told(story),
            "report": report,
            "is_slow": is_slow,
            "tables": list(tables_of(report)) if report else [],
            "harms": list(report.harms()) if report else [],
            "width": WIDTH,
            "done": _DONE.get(request.query_params.get("done", "")),
        }
        return View("experiment.html", values)

    async def _ask_start(self, request: Request) -> View:
        return _asked("experiment_start.html", await self._story(request), {}, {})

    async def _start(self, request: Request) -> View | SeeOther:
        story, given = await self._story(request), _given(request)
        name, admin = story.experiment.definition.name, given.get("adminId", "")
        errors = dict(wrong_admin(admin))
        if not errors:
            try:
                await self._desk.start(name, Actor(admin, Through.PAGE))
            except ExperimentError as error:
                errors = dict(errors_of(given, error))
        if errors:
            return _asked("experiment_start.html", story, given, errors)
        return SeeOther(f"{_PATH}/named/{name}", "started")

    async def _ask_stop(self, request: Request) -> View:
        return _asked("experiment_stop.html", await self._story(request), {}, {})

    async def _stop(self, request: Request) -> View | SeeOther:
        story, given = await self._story(request), _given(request)
        name, admin, reason = story.experiment.definition.name, given.get("adminId", ""), given.get("reason", "")
        errors = {**dict(wrong_admin(admin)), **dict(_wrong_reason(reason))}
        if errors:
            return _asked("experiment_stop.html", story, given, errors)
        await self._desk.stop(name, Actor(admin, Through.PAGE), reason)
        return SeeOther(f"{_PATH}/named/{name}", "stopped")

    async def _story(self, request: Request) -> ExperimentStory:
        name = request.path_params["name"]
        # No name is longer, and no database takes every character.
        found = await self._desk.story(name) if len(name) <= _MOST_CHARS and name.isprintable() else None
        if found is None:
            raise NotFoundError("NOT_FOUND", "There is no such experiment.")
        return found


def tables_of(report: ExperimentReport) -> Iterator[MetricTable]:
    """Yields what is known by metric, in the words and figures of `feed experiment report`."""
    control, *others = report.variants
    for metric, definition in METRICS.items():
        if metric not in control.rates:
            continue
        known = [each for each in others if metric in each.differences]
        drawn = whiskers([each.differences[metric] for each in known])
        yield MetricTable(
            metric,
            definition.meaning,
            value_text(metric, control.rates[metric].value),
            _guard(metric),
            [
                _compared(metric, each.name, each.rates[metric].value, each.differences[metric], whisker)
                for each, whisker in zip(known, drawn, strict=True)
            ],
        )


def told_variant(variant: Variant) -> str:
    """Returns in words what a variant is."""
    said = [f"{name} {value:g}" for name, value in variant.parameters.items()]
    if variant.ranked_by is not RankedBy.MODEL:
        said.insert(0, f"ranked by {_RANKED_BY[variant.ranked_by.value]}")
    return ", ".join(said) or "as everybody's"


def _compared(metric: Metric, name: str, rate: float, found: Difference, drawn: Whisker) -> Compared:
    is_harm = METRICS[metric].harm is not None
    mood = "plain" if not found.is_known else "bad" if (found.value > 0) == is_harm else "good"
    low, high = value_text(metric, found.low, "+"), value_text(metric, found.high, "+")
    return Compared(name, value_text(metric, rate), relative_text(found), low, high, verdict(found), mood, drawn)


def _guard(metric: Metric) -> str:
    definition = METRICS[metric]
    if definition.harm is None:
        return ""
    return (
        f"The experiment is stopped when a variant has certainly more than the control, by {definition.harm:.0%} of the"
        f" control's rate and by {100 * definition.harm_from:g} percentage points at least."
    )


def _told(story: ExperimentStory) -> Mapping[str, object]:
    weights = [each.weight for each in story.experiment.definition.variants]
    return {
        "experiment": story.experiment,
        "definition": story.experiment.definition,
        "shares": [weight / sum(weights) for weight in weights],
        "changes": story.changes,
        "moods": _MOODS,
        "told": told_variant,
    }


def _form(given: Mapping[str, str], errors: Mapping[str, str]) -> View:
    values = {
        "given": given,
        "errors": errors,
        "variants": shown_variants(given),
        "most": MOST_VARIANTS,
        "ranked_by": _RANKED_BY,
        "ranges": {
            name.value: f"{'a whole number' if whole else 'a number'} from {least:g} to {most:g}"
            for name, (least, most, whole) in RANGES.items()
        },
        "field_of": field_of,
    }
    return View("experiment_new.html", values, 422 if errors else 200)


def _asked(template: str, story: ExperimentStory, given: Mapping[str, str], errors: Mapping[str, str]) -> View:
    return View(template, {**_told(story), "given": given, "errors": errors}, 422 if errors else 200)


def _given(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form without NUL, which no database takes in a text."""
    return {name: value.replace("\0", "") for name, value in given_form(request).items()}


def _wrong_reason(reason: str) -> Iterator[tuple[str, str]]:
    if not 1 <= len(reason) <= _MOST_REASON_CHARS:
        yield "reason", f"must be 1 to {_MOST_REASON_CHARS} characters"
