"""The nightly job `feed_lightfm_retrain`: export, fit, evaluate, gate, publish, register."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime

import msgspec

from runtime.contract import CONTRACT_RELEASE
from runtime.lock_file import exclusive
from runtime.model_bundle import FORMAT_VERSION, BundleError, Manifest, ModelBundle
from storage.training_data import DayCount
from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from trainer.adapters.bundle_store import BundleStore
from trainer.adapters.collector import paused_collector
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.export_parquet import ExportedDay, ParquetExport
from trainer.adapters.report_store import ReportStore, StoredMeasure
from trainer.domain.bundling import model_arrays
from trainer.domain.catalogue import CatalogueArrays, catalogue_arrays, with_catalogue
from trainer.domain.dataset import Dataset, build_dataset
from trainer.domain.evaluation import LIVE, MODEL, POPULARITY, Evaluation, evaluate, name_of_test, split
from trainer.domain.gate import NOT_FINITE
from trainer.domain.live_scores import published_scores
from trainer.domain.log import InteractionLog
from trainer.domain.model import FactorModel, item_prior
from trainer.domain.user_features import UserFeatures, features_of, learn, with_features
from trainer.domain.video_index import by_columns, wants_index
from trainer.engines import read_log
from trainer.ports import Fitter, Progress
from trainer.precompute import precompute
from trainer.report.page import Run, report_page
from trainer.settings import TrainerSettings


def version_name(now: datetime) -> str:
    """Returns a new name for a model; names sort by time."""
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The log, the catalogue in the same order of videos, and what is known of users in the same order of users."""

    log: InteractionLog
    catalogue: CatalogueArrays
    features: UserFeatures


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A model measured on a time split.

    Args:
        found: What was measured.
        test: Name of the test; see `name_of_test`.
        live: What it was held against, or why not.
    """

    found: Evaluation
    test: str
    live: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run: the model's name, how it ended, and why it was refused."""

    model_version: str
    status: TrainingStatus
    reason: str | None
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Training:
    """One training, put together from its parts.

    Args:
        settings: All settings of the trainer.
        database: Where interactions come from and trainings are registered.
        export: The interactions as files.
        store: Where models are published.
        reports: Where reports are kept.
        fitter: Fits the model.
        progress: Hears how far it is.
        now: Gives the time, UTC.
        cpus: CPUs that the fit may use.
    """

    settings: TrainerSettings
    database: TrainingDatabase
    export: ParquetExport
    store: BundleStore
    reports: ReportStore
    fitter: Fitter
    progress: Progress
    now: Callable[[], datetime]
    cpus: int

    def run(self, *, promote: bool = True) -> Result:
        """Trains a model from what the database holds now; one that the gate lets pass serves at once.

        Args:
            promote: Whether it serves; otherwise it is only published.

        Raises:
            AlreadyRunningError: While another training runs on this data directory.
        """
        with exclusive(self.settings.data_dir / "trainer.lock", "training"):
            version = version_name(self.now())
            self.database.register(self._start(version))
            try:
                result, size = self._train(version, promote=promote)
            except Exception as error:
                self._finish(version, TrainingStatus.FAILED, f"{type(error).__name__}: {error}", None, {})
                raise
            self._finish(version, result.status, result.reason, size, result.metrics)
            self._prune()
            if promote and result.status is TrainingStatus.SUCCEEDED and self.settings.trainer_precompute_videos:
                self.precompute()
            return result

    def measure(self) -> str | None:
        """Measures a model as `run` does, and publishes none; returns why it must not serve, or None."""
        self.export_days()
        data = self.load()
        trial = self.evaluate(data)
        self._report(version_name(self.now()), data, trial, trial.found.refusal)
        self._prune()
        return trial.found.refusal

    def precompute(self) -> int:
        """Writes the lists of active users by the model that serves; returns how many, 0 while none serves."""
        version = self.store.live()
        if version is None:
            return 0
        model = self.store.read(version)
        return precompute(self.database, model, self.settings.precompute_rules, self.now(), self.progress)

    def export_days(self, since: date | None = None, until: date | None = None) -> int:
        """Exports the days that changed since the last time, or were damaged; returns how many those were.

        Args:
            since: First UTC day that is looked at; None: the oldest.
            until: Last UTC day that is looked at; None: the newest.

        Raises:
            AlreadyRunningError: While another export runs on this data directory.
        """
        with exclusive(self.settings.data_dir / "export.lock", "export"):
            self.export.remove_leftovers()
            counts = self.database.days(since, until)
            known = self.export.manifest().days
            changed = [count for count in counts if not self._is_exported(count, known.get(count.day.isoformat()))]
            with self.progress.step("export", len(changed)) as advance, paused_collector():
                for count in changed:
                    self.export.write_day(count, self.database.rows_of(count))
                    advance()
            looked_at = {day for day in known if _is_within(day, since, until)}
            self.export.remove(looked_at - {count.day.isoformat() for count in counts})
            return len(changed)

    def load(self) -> TrainingData:
        """Reads the export, the catalogue and what is known of users."""
        with self.progress.step("load", 1) as advance:
            videos = self.database.videos()
            log = with_catalogue(read_log(self.export, self.settings), videos)
            features = features_of(log.user_ids, self.database.user_words(), self.settings.feature_rules)
            advance()
        return TrainingData(log, catalogue_arrays(log.video_ids, videos), features)

    def evaluate(self, data: TrainingData) -> Trial:
        """Fits on the past and measures on the last days, beside popularity and the model that serves."""
        log, settings = data.log, self.settings
        live, told = self._live()
        known_until_s = live.manifest.data_until.timestamp() if live else None
        parts = split(log, data.catalogue.item_duration_s, settings.split_rules, known_until_s)
        rival = None
        if live and parts.is_after_live:
            rival = published_scores(live.arrays, log.user_ids, log.video_ids)
        elif live:
            told += ", not compared: too little came after what it was trained on"
        found = evaluate(parts, lambda dataset: self._fit("fit on past", dataset), settings.evaluation_rules, rival)
        self._tell(found)
        return Trial(found, name_of_test(parts, log.user_ids, log.video_ids), told)

    def _live(self) -> tuple[ModelBundle | None, str]:
        """Reads the model that serves; also tells which it is, or why there is none to compare with."""
        try:
            version = self.store.live()
            return (self.store.read(version), version) if version else (None, "none")
        except BundleError as error:
            return None, f"not compared: {error}"

    def _tell(self, found: Evaluation) -> None:
        for name, ranking in (("evaluated", MODEL), ("popularity", POPULARITY), ("live", LIVE)):
            if ranking in found.compared.measured:
                self.progress.fact(name, **asdict(found.metrics(ranking)))

    def _is_exported(self, count: DayCount, known: ExportedDay | None) -> bool:
        """Tells whether a day is on disk as the database has it; says which of its files are damaged."""
        if known is None or not known.is_of(count):
            return False
        damaged = self.export.damaged(count.day.isoformat(), known)
        for file in damaged:
            self.progress.fact("damaged", file=file)
        return not damaged

    def _train(self, version: str, *, promote: bool) -> tuple[Result, int]:
        self.export_days()
        data = self.load()
        trial = self.evaluate(data)
        found, refusal, size = trial.found, trial.found.refusal, len(data.log)
        if refusal is None:
            dataset = build_dataset(
                data.log, data.catalogue.item_duration_s, self.settings.dataset_rules, data.log.last_s
            )
            model = self._fit("fit on all", dataset)
            if model.is_finite():
                self._report(version, data, trial, None)
                self._publish(version, data, dataset, model, found)
                if promote:
                    self.store.promote(version)
                return Result(version, TrainingStatus.SUCCEEDED, None, found.named()), size
            refusal = NOT_FINITE
        self._report(version, data, trial, refusal)
        return Result(version, TrainingStatus.REFUSED, refusal, found.named()), size

    def _report(self, version: str, data: TrainingData, trial: Trial, refusal: str | None) -> None:
        measured = trial.found.compared.measured.get(MODEL)
        data_from, data_until = _span(data.log)
        params = {"algorithm": self.fitter.algorithm, **self._params(data.log)}
        run = Run(version, self.now(), data_from, data_until, refusal, trial.live, params)
        stored = StoredMeasure(trial.test, measured) if measured else None
        path = self.reports.write(version, report_page(run, trial.found), stored)
        self.progress.fact("report", path=str(path))

    def _prune(self) -> None:
        keep = self.settings.trainer_keep_models
        self.store.prune(keep)
        self.reports.prune(keep, self.store.versions())

    def _fit(self, step: str, dataset: Dataset) -> FactorModel:
        params = self.settings.fit_params(self.cpus)
        with self.progress.step(step, self.fitter.passes(params)) as advance:
            return self.fitter.fit(dataset, params, advance)

    def _publish(
        self, version: str, data: TrainingData, dataset: Dataset, model: FactorModel, found: Evaluation
    ) -> None:
        prior = item_prior(dataset, model, self.settings.prior_rules)
        told = learn(data.features, dataset, model.user_factors, self.settings.feature_rules)
        described = replace(model, user_factors=with_features(data.features, told, dataset, model.user_factors))
        arrays = model_arrays(data.log.user_ids, data.log.video_ids, dataset, described, prior, data.catalogue, told)
        manifest = self._manifest(version, data.log, model, found)
        if not wants_index(arrays, self.settings.index_rules):
            self.store.publish(manifest, by_columns(arrays))
            return
        # faiss is 44 MB, which only large catalogues are worth.
        from trainer.adapters.index_faiss import build_index  # noqa: PLC0415

        with self.progress.step("index", 1) as advance:
            built = build_index(arrays, self.settings.index_rules, self.settings.trainer_seed)
            advance()
        self.progress.fact("indexed", **msgspec.structs.asdict(built.info))
        self.store.publish(msgspec.structs.replace(manifest, index=built.info), arrays, built.content)

    def _manifest(self, version: str, log: InteractionLog, model: FactorModel, found: Evaluation) -> Manifest:
        params = self.settings.fit_params(self.cpus)
        data_from, data_until = _span(log)
        return Manifest(
            format_version=FORMAT_VERSION,
            model_version=version,
            algorithm=self.fitter.algorithm,
            contract=CONTRACT_RELEASE,
            created_time=self.now(),
            data_from=data_from,
            data_until=data_until,
            seed=params.seed,
            threads=params.threads,
            dimensions=model.dimensions,
            params=self._params(log),
            metrics=found.named(),
        )

    def _params(self, log: InteractionLog) -> dict[str, float | int | str]:
        return {
            **asdict(self.settings.fit_params(self.cpus)),
            **asdict(self.settings.prior_rules),
            "long_view_s": self.settings.trainer_long_view_s,
            "combined": self.settings.trainer_combined,
            "history_length": self.settings.trainer_history_length,
            "interactions": len(log),
        }

    def _start(self, version: str) -> TrainingStart:
        weights = {kind.name: weight for kind, weight in self.settings.weights.items()}
        return TrainingStart(version, self.fitter.algorithm, weights, asdict(self.settings.gate_rules), self.now())

    def _finish(
        self, version: str, status: TrainingStatus, error: str | None, size: int | None, metrics: dict[str, float]
    ) -> None:
        self.database.finish(version, TrainingEnd(status, self.now(), error, size, metrics))
        self.progress.fact("finished", model_version=version, status=status.value, error=error)


def _span(log: InteractionLog) -> tuple[datetime, datetime]:
    """Returns the times of the oldest and the newest interaction."""
    return datetime.fromtimestamp(log.first_s, UTC), datetime.fromtimestamp(log.last_s, UTC)


def _is_within(day: str, since: date | None, until: date | None) -> bool:
    return (since or date.min).isoformat() <= day <= (until or date.max).isoformat()
