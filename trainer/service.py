"""The nightly job `feed_lightfm_retrain`: export, fit, evaluate, gate, publish, register."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime

import msgspec

from runtime.contract import CONTRACT_RELEASE
from runtime.lock_file import exclusive
from runtime.models.model_bundle import FORMAT_VERSION, BundleError, Manifest, ModelBundle
from storage.erasures import Part
from storage.training_data import DayCount
from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from trainer.adapters.ahead import opened_ahead
from trainer.adapters.bundle_store import BundleStore
from trainer.adapters.collector import paused_collector
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.export_parquet import ExportedDay, ParquetExport
from trainer.adapters.report_store import ReportStore, StoredMeasure
from trainer.domain.bundling import model_arrays
from trainer.domain.catalogue import CatalogueArrays, catalogue_arrays, with_catalogue
from trainer.domain.dataset import Dataset, build_dataset
from trainer.domain.evaluation import LIVE, MODEL, POPULARITY, Evaluation, Split, evaluate, name_of_test, split
from trainer.domain.gate import NOT_FINITE
from trainer.domain.live_scores import published_scores
from trainer.domain.log import InteractionLog
from trainer.domain.model import item_prior
from trainer.domain.runs import JOB_NAME
from trainer.domain.user_features import UserFeatures, features_of
from trainer.domain.video_index import by_columns, wants_index
from trainer.engines import read_log
from trainer.fitting import Fitted, Plan, fit
from trainer.planning import Planner
from trainer.ports import Fitter, Progress
from trainer.precompute import precompute
from trainer.report.page import Run, report_page
from trainer.settings import TrainerSettings
from trainer.status.recorder import Recorder
from trainer.status.steps import TimedProgress


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
        plan: How it was fitted.
    """

    found: Evaluation
    test: str
    live: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run.

    Args:
        model_version: Name of the model, and of the run.
        status: How it ended.
        reason: Why it failed, or was refused.
        metrics: What was measured.
        counts: How much it was trained on.
        params: How.
    """

    model_version: str
    status: TrainingStatus
    reason: str | None
    metrics: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    params: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """One training, put together from its parts.

    Args:
        settings: All settings of the trainer.
        database: Where interactions come from and trainings are registered.
        export: The interactions as files.
        store: Where models are published.
        reports: Where reports are kept.
        recorder: Keeps the register true while a run goes on.
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
    recorder: Recorder
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
            StillRunningError: While another one runs elsewhere, by the register.
        """
        with exclusive(self.settings.data_dir / "trainer.lock", "training"):
            version, timed = version_name(self.now()), TimedProgress(self.progress)
            self.recorder.begin(self._start(version))
            try:
                with self.recorder.beating(version):
                    result = replace(self, progress=timed)._train(version, promote=promote)  # noqa: SLF001  # ours
            except Exception as error:
                failed = Result(version, TrainingStatus.FAILED, f"{type(error).__name__}: {error}")
                self._finish(failed, timed.seconds)
                raise
            self._finish(result, timed.seconds)
            self._prune()
            self._forget_erased()
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
            erased = self.database.erased_users()
            counts = self.database.days(since, until)
            known = self.export.manifest().days
            changed = [count for count in counts if not self._is_exported(count, known.get(count.day.isoformat()))]
            opened = opened_ahead(self.database.rows_of(count) for count in changed)
            with self.progress.step("export", len(changed)) as advance, paused_collector(), closing(opened):
                for count, rows in zip(changed, opened, strict=True):
                    self.export.write_day(count, rows)
                    advance()
            looked_at = {day for day in known if _is_within(day, since, until)}
            self.export.remove(looked_at - {count.day.isoformat() for count in counts})
            if since is None and until is None:
                self.database.finish_erasures(erased, Part.EXPORT, self.now())
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
        plan = self._plan(data, parts, live)
        found = evaluate(
            parts, lambda dataset: self._fit("fit on past", dataset, plan).model, settings.evaluation_rules, rival
        )
        self._tell(found)
        return Trial(found, name_of_test(parts, log.user_ids, log.video_ids), told, plan)

    def _plan(self, data: TrainingData, parts: Split, live: ModelBundle | None) -> Plan:
        planner = Planner(self.settings, self.fitter, self.progress, self.cpus)
        return planner.plan(data.log, data.catalogue.item_duration_s, data.features, parts, live)

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

    def _train(self, version: str, *, promote: bool) -> Result:
        exported = self.export_days()
        data = self.load()
        trial = self.evaluate(data)
        found, refusal = trial.found, trial.found.refusal
        counts, params = {**_counts(data.log), "exported_days": exported}, self._params(data.log, trial.plan)
        if refusal is None:
            dataset = build_dataset(
                data.log, data.catalogue.item_duration_s, self.settings.dataset_rules, data.log.last_s
            )
            fitted = self._fit("fit on all", dataset, trial.plan)
            if fitted.model.is_finite():
                self._report(version, data, trial, None)
                self._publish(version, data, fitted, trial)
                if promote:
                    self.store.promote(version)
                return Result(version, TrainingStatus.SUCCEEDED, None, found.named(), counts, params)
            refusal = NOT_FINITE
        self._report(version, data, trial, refusal)
        return Result(version, TrainingStatus.REFUSED, refusal, found.named(), counts, params)

    def _report(self, version: str, data: TrainingData, trial: Trial, refusal: str | None) -> None:
        measured = trial.found.compared.measured.get(MODEL)
        data_from, data_until = _span(data.log)
        params = {"algorithm": self.fitter.algorithm, **self._params(data.log, trial.plan)}
        run = Run(version, self.now(), data_from, data_until, refusal, trial.live, params)
        stored = StoredMeasure(trial.test, measured) if measured else None
        path = self.reports.write(version, report_page(run, trial.found), stored)
        self.progress.fact("report", path=str(path))

    def _prune(self) -> None:
        keep = self.settings.trainer_keep_models
        self.store.prune(keep)
        self.reports.prune(keep, self.store.versions())

    def _forget_erased(self) -> None:
        """Deletes the models that know users who were erased: nobody may go back to them. The one that serves stays."""
        erased = self.database.erased_users()
        if erased:
            still_known = self.store.remove_holding(erased)
            gone = [user_id for user_id in erased if user_id not in still_known]
            self.database.finish_erasures(gone, Part.MODELS, self.now())

    def _fit(self, step: str, dataset: Dataset, plan: Plan) -> Fitted:
        with self.progress.step(step, self.fitter.passes(plan.params)) as advance:
            return fit(self.fitter, dataset, plan, advance)

    def _publish(self, version: str, data: TrainingData, fitted: Fitted, trial: Trial) -> None:
        prior = item_prior(fitted.known, fitted.model, self.settings.prior_rules)
        arrays = model_arrays(
            data.log.user_ids, data.log.video_ids, fitted.known, fitted.model, prior, data.catalogue, fitted.told
        )
        manifest = self._manifest(version, data.log, fitted, trial)
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

    def _manifest(self, version: str, log: InteractionLog, fitted: Fitted, trial: Trial) -> Manifest:
        params = trial.plan.params
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
            dimensions=fitted.model.dimensions,
            params=self._params(log, trial.plan),
            metrics=trial.found.named(),
        )

    def _params(self, log: InteractionLog, plan: Plan) -> dict[str, float | int | str]:
        return {
            **asdict(plan.params),
            "min_user_positives": plan.minimums.user,
            "min_video_positives": plan.minimums.video,
            "started_from": plan.started_from,
            **asdict(self.settings.prior_rules),
            "long_view_s": self.settings.trainer_long_view_s,
            "combined": self.settings.trainer_combined,
            "history_length": self.settings.trainer_history_length,
            "interactions": len(log),
        }

    def _start(self, version: str) -> TrainingStart:
        weights = {kind.name: weight for kind, weight in self.settings.weights.items()}
        return TrainingStart(
            version, self.fitter.algorithm, weights, asdict(self.settings.gate_rules), self.now(), JOB_NAME
        )

    def _finish(self, result: Result, durations_s: Mapping[str, float]) -> None:
        end = TrainingEnd(
            result.status, self.now(), result.reason, result.counts, result.metrics, result.params, durations_s
        )
        self.recorder.end(result.model_version, end)
        self.progress.fact(
            "finished", model_version=result.model_version, status=result.status.value, error=result.reason
        )


def _counts(log: InteractionLog) -> dict[str, int]:
    return {"interactions": len(log), "users": len(log.user_ids), "videos": len(log.video_ids)}


def _span(log: InteractionLog) -> tuple[datetime, datetime]:
    """Returns the times of the oldest and the newest interaction."""
    return datetime.fromtimestamp(log.first_s, UTC), datetime.fromtimestamp(log.last_s, UTC)


def _is_within(day: str, since: date | None, until: date | None) -> bool:
    return (since or date.min).isoformat() <= day <= (until or date.max).isoformat()
