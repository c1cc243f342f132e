"""The models: how good each was, which one serves, and how another one comes to."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.requests import Request

from insights.page.charts import Chart, Series, Unit
from insights.page.forms import given_form, wrong_admin
from insights.page.views import Door, Entry, SeeOther, View
from insights.ports import Models, ModelsError, PublishedModels, Training, Trainings
from runtime.errors import NotFoundError
from storage.audit import Actor
from storage.audit import Door as Through

_LOG = structlog.get_logger(__name__)

_PATH: Final = "/models"
_SERVE_PATH: Final = "/models/{version}/serve"
_SHOWN: Final = 60

NDCG: Final = "ndcg_at_10"
COVERAGE: Final = "coverage_at_10"
_POPULARITY: Final = "popularity_"

_MOODS: Final = {"succeeded": "good", "refused": "bad", "failed": "bad", "started": "plain"}
_DONE: Final = {"serves": "It serves from now on; scorers take it within seconds."}


class ModelsPage:
    """The trainings, and the models folder where it is on this machine.

    Args:
        trainings: What was trained.
        models: What can serve.
    """

    entry = Entry(_PATH, "Models")

    def __init__(self, trainings: Trainings, models: Models) -> None:
        self._trainings = trainings
        self._models = models
        self.doors: Sequence[Door] = (
            Door(_PATH, self._show),
            Door(_SERVE_PATH, self._ask),
            Door(_SERVE_PATH, self._serve, "POST"),
        )

    async def _show(self, request: Request) -> View:
        trainings = await self._trainings.newest(_SHOWN)
        fault, published = "", None
        try:
            published = await self._models.published()
        except ModelsError as error:
            fault = str(error)
        values = {
            "trainings": trainings,
            "quality": quality_chart(trainings),
            "coverage": coverage_chart(trainings),
            "published": published,
            "fault": fault,
            "unregistered": _unregistered(trainings, published),
            "moods": _MOODS,
            "ndcg": NDCG,
            "popularity": _POPULARITY + NDCG,
            "done": _DONE.get(request.query_params.get("done", "")),
        }
        return View("models.html", values)

    async def _ask(self, request: Request) -> View:
        version = request.path_params["version"]
        return View("models_serve.html", self._asked(version, await self._published(version)))

    async def _serve(self, request: Request) -> View | SeeOther:
        version = request.path_params["version"]
        published = await self._published(version)
        form = given_form(request)
        if form.get("instead_of", "") != (published.live or ""):
            error = "another model serves since this was asked; look again"
            return View("models_serve.html", self._asked(version, published, error), status=409)
        admin = form.get("adminId", "")
        if wrong := dict(wrong_admin(admin)):
            asked = {**self._asked(version, published), "given": form, "errors": wrong}
            return View("models_serve.html", asked, status=422)
        try:
            await self._models.serve(version, published.live, Actor(admin, Through.PAGE))
        except ModelsError as error:
            return View("models_serve.html", self._asked(version, published, str(error)), status=409)
        _LOG.warning("page.model_serves", model_version=version, instead_of=published.live)
        return SeeOther(_PATH, "serves")

    async def _published(self, version: str) -> PublishedModels:
        try:
            published = await self._models.published()
        except ModelsError:
            published = None
        if published is None or version not in published.versions:
            raise NotFoundError("NOT_FOUND", "There is no such model in the models folder of this machine.")
        return published

    def _asked(self, version: str, published: PublishedModels, error: str = "") -> Mapping[str, object]:
        return {
            "version": version,
            "published": published,
            "error": error,
            "given": {},
            "errors": {},
            "is_older": version < (published.live or ""),
        }


def quality_chart(trainings: Sequence[Training]) -> Chart:
    """Returns NDCG over time, of the models and of popularity in the same tests."""
    names = {"model": NDCG, "popularity": _POPULARITY + NDCG}
    return _chart("NDCG@10: how high what users like is ranked", trainings, names, Unit.NUMBER)


def coverage_chart(trainings: Sequence[Training]) -> Chart:
    """Returns over time which share of the videos was in somebody's first ten."""
    names = {"model": COVERAGE, "popularity": _POPULARITY + COVERAGE}
    return _chart("Coverage@10: videos that are in somebody's first ten", trainings, names, Unit.SHARE)


def _chart(title: str, trainings: Sequence[Training], names: Mapping[str, str], unit: Unit) -> Chart:
    measured = sorted((each for each in trainings if each.metrics), key=lambda each: each.started_at)
    series = [Series(name, [each.metrics.get(metric) for each in measured]) for name, metric in names.items()]
    return Chart(title, "Training", [each.started_at for each in measured], series, unit)


def _unregistered(trainings: Sequence[Training], published: PublishedModels | None) -> list[str]:
    """Returns the models that can serve, but are not among these trainings."""
    known = {each.model_version for each in trainings}
    return [each for each in reversed(published.versions) if each not in known] if published else []
