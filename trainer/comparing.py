"""Two models held against each other, fairly: on interactions that neither was trained on."""

from dataclasses import dataclass
from typing import Final

from runtime.models.model_bundle import BundleError, BundleFault
from trainer.domain.comparison import Comparison, compare, compare_measured
from trainer.domain.evaluation import ranked, split_at
from trainer.domain.live_scores import published_scores
from trainer.domain.log import just_after_s
from trainer.domain.segments import ALL, segments_of
from trainer.service import Training

# Said for the version that serves.
LIVE: Final = "live"


class NotComparableError(Exception):
    """Nothing was found that both models could be measured on; wait for more interactions, or train both anew."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedModels:
    """Two models held against each other.

    Args:
        versions: Names of the two; leads are those of the first.
        how: On what.
        compared: What they reached.
    """

    versions: tuple[str, str]
    how: str
    compared: Comparison


def compare_models(job: Training, first: str, second: str) -> ComparedModels:
    """Compares what two runs measured where it was the same test, else the published models on what came after both.

    Args:
        job: Where models, reports and interactions are.
        first: A version, or "live".
        second: Another one.

    Raises:
        BundleError: When a model is not there or not good.
        NotComparableError: When both are the same, or too few users liked something since they were trained.
    """
    versions = named_version(job, first), named_version(job, second)
    if versions[0] == versions[1]:
        raise NotComparableError(f"{versions[0]} and {versions[1]} are one model; name two")
    return _by_their_runs(job, versions) or _on_what_came_after(job, versions)


def named_version(job: Training, name: str) -> str:
    """Returns the version that is meant: the one that serves for "live"; raises BundleError when none does."""
    version = job.store.live() if name == LIVE else name
    if version is None:
        raise BundleError(BundleFault.MISSING, "no model serves")
    return version


def _by_their_runs(job: Training, versions: tuple[str, str]) -> ComparedModels | None:
    found = {version: stored for version in versions if (stored := job.reports.measured(version))}
    if len(found) < len(versions) or len({stored.test for stored in found.values()}) > 1:
        return None
    measured = {version: stored.measured for version, stored in found.items()}
    values = {version: {ALL: each.values} for version, each in measured.items()}
    how = "as their runs measured them, in the same test and fitted on what came before it"
    return ComparedModels(versions, how, compare_measured(measured, values, job.settings.trainer_seed))


def _on_what_came_after(job: Training, versions: tuple[str, str]) -> ComparedModels:
    bundles = [job.store.read(version) for version in versions]
    known_until = max(bundle.manifest.data_until for bundle in bundles)
    job.export_days()
    data = job.load()
    log, rules = data.log, job.settings.split_rules
    parts = split_at(log, data.catalogue.item_duration_s, rules, just_after_s(known_until.timestamp()))
    since = f"what came after {known_until:%Y-%m-%d %H:%M:%S} UTC, of which both know nothing"
    if parts.facts.test_users < rules.min_users:
        users = f"{parts.facts.test_users} users, at least {rules.min_users} are needed"
        raise NotComparableError(f"their runs had other tests each, and {since}, is of {users}")
    rankings = {
        version: ranked(parts, published_scores(bundle.arrays, log.user_ids, log.video_ids))
        for version, bundle in zip(versions, bundles, strict=True)
    }
    segments = segments_of(parts.train, parts.truth)
    return ComparedModels(
        versions, f"as published, on {since}", compare(rankings, parts.truth, segments, job.settings.trainer_seed)
    )
