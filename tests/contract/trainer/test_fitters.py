"""Every algorithm fits a model that a bundle can hold and a scorer can serve, on a log whose answers are known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import sqlalchemy as sa

from runtime.models import bundle_files
from runtime.models.model_bundle import BIAS_COLUMNS, find_text
from runtime.secrets.signing import load_public_key
from runtime.settings import load
from scorer.domain.fold_in import Did, Recent
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from storage.database import sync_engine
from storage.tables import user_interactions, videos
from tests.tastes import SMALL_MODEL, TOPICS, VIEWS_A_NEW_USER, fans_of, fill, nearness, new_fans_of, videos_about
from trainer.app import training
from trainer.domain.algorithm import Algorithm
from trainer.domain.cold import Minimums
from trainer.domain.dataset import Dataset, build_dataset
from trainer.domain.model import FactorModel
from trainer.domain.user_features import UserFeatures, features_of
from trainer.fitting import fit
from trainer.planning import Planner
from trainer.ports import SilentProgress
from trainer.service import Training
from trainer.settings import TrainerSettings

NOW: Final = datetime(2025, 9, 9, tzinfo=UTC)
PAGE: Final = 20
# In the catalogue, and in nobody's log.
UNMET: Final = "v999"
# In the log, and has liked nothing.
NO_LIKES: Final = "u999"
STRANGER: Final = "nobody"

# How much of a page is of the topic that is watched or liked; by chance it is an eighth. Measured: 0.25 (BPR) to 0.44
# (combination) of trained users, 0.49 to 0.76 of strangers with one like; a like brings 0.08 to 0.29 more.
WATCHED: Final = 0.2
LIKED: Final = 0.35
GAINED: Final = 0.04

# The gate refuses what is the same for everybody, as popularity is.
ANY_MODEL: Final = {**SMALL_MODEL, "FEED_TRAINER_GATE_MIN_COVERAGE": "0", "FEED_TRAINER_GATE_MAX_OVERLAP": "1"}
# On Spark a pass takes as long as a hundred of the library implicit.
SHORTER: Final = {Algorithm.SPARK_ALS: {"FEED_TRAINER_ALS_PASSES": "5"}}
PERSONAL: Final = [each for each in Algorithm if each is not Algorithm.POPULARITY]

personal = pytest.mark.parametrize("fitted", PERSONAL, indirect=True)


@dataclass(frozen=True)
class Fitted:
    """A published model, the scorer that serves it, and how to fit it once more."""

    job: Training
    dataset: Dataset
    features: UserFeatures
    ranker: Ranker

    def again(self) -> FactorModel:
        planner = Planner(self.job.settings, self.job.fitter, self.job.progress, cpus=1)
        return fit(self.job.fitter, self.dataset, planner.plain(self.features), lambda: None).model

    def row(self, user_id: str) -> int:
        return find_text(self.ranker.bundle.arrays.user_ids, user_id)

    def page(self, user_id: str, *liked: str) -> list[str]:
        """The best videos for a user who has just liked some, these left out."""
        recent = [Recent(video_id, Did.LIKED, 0.0, 0) for video_id in liked]
        wish = Wish(user_id, PAGE, recent=recent, exclude_video_ids=liked)
        return self.ranker.rank(wish, self.ranker.buffer()).video_ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the log of known tastes, and a video and a user of whom nothing is known."""
    folder = tmp_path_factory.mktemp("tastes")
    url = f"sqlite:///{folder / 'feed.db'}"
    fill(url, NOW)
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), [{"video_id": UNMET, "tags": [], "is_active": True}])
        connection.execute(sa.insert(user_interactions), [skip_by(NO_LIKES)])
    engine.dispose()
    return folder


def skip_by(user_id: str) -> dict[str, Any]:
    return {
        "event_id": "00000000-0000-4000-8000-999999999999",
        "user_id": user_id,
        "video_id": "v001",
        "interaction_type": "SKIP",
        "watch_time_s": 1.0,
        "event_time": NOW,
        "ingest_time": NOW,
    }


@pytest.fixture(scope="module", params=list(Algorithm))
def fitted(request: pytest.FixtureRequest, folder: Path) -> Iterator[Fitted]:
    if request.param is Algorithm.SPARK_ALS:
        request.getfixturevalue("spark")
    chosen = {"FEED_DATA_DIR": str(folder), "FEED_TRAINER_ALGORITHM": request.param}
    settings = load(TrainerSettings, {**ANY_MODEL, **chosen, **SHORTER.get(request.param, {})})
    with training(settings, SilentProgress()) as job:
        result = job.run(promote=False)
        key = load_public_key(settings.signing_key_path.with_suffix(".pub"))
        bundle = bundle_files.read(settings.models_dir, result.model_version, key)
        data = job.load()
        dataset = build_dataset(data.log, data.catalogue.item_duration_s, settings.dataset_rules, data.log.last_s)
        yield Fitted(job, dataset, data.features, Ranker(bundle))


def test_the_manifest_names_the_algorithm_and_what_it_adds_up(fitted: Fitted) -> None:
    manifest = fitted.ranker.bundle.manifest
    assert manifest.params["combined"] == "lightfm-warp:1,als:0.25"
    assert manifest.algorithm == fitted.job.settings.trainer_algorithm == fitted.job.fitter.algorithm


def test_factors_have_the_form_that_scores_are_made_of(fitted: Fitted) -> None:
    """float32, finite, one row each, the columns before the embeddings as `ModelArrays` says."""
    model = fitted.again()
    columns = model.dimensions + BIAS_COLUMNS
    assert model.dimensions >= 1
    assert model.user_factors.shape == (fitted.dataset.users, columns)
    assert model.item_factors.shape == model.history_factors.shape == (fitted.dataset.videos, columns)
    assert {each.dtype for each in (model.user_factors, model.item_factors, model.history_factors)} == {
        np.dtype(np.float32)
    }
    assert model.is_finite()
    assert (model.user_factors[:, 0] == 1).all()
    assert (model.item_factors[:, 1] == 1).all()
    assert (model.history_factors[:, 0] == 0).all()


def test_one_thread_and_a_seed_give_the_published_bytes_again(fitted: Fitted) -> None:
    arrays, model = fitted.ranker.bundle.arrays, fitted.again()
    for name in ("user_factors", "item_factors", "history_factors"):
        assert getattr(model, name).tobytes() == getattr(arrays, name).tobytes(), name


def test_each_pass_is_told(fitted: Fitted) -> None:
    told: list[None] = []
    params = fitted.job.settings.fit_params(1)
    fitted.job.fitter.fit(fitted.dataset, params, lambda: told.append(None))
    assert len(told) == fitted.job.fitter.passes(params)


def test_the_scorer_serves_the_models_own_scores(fitted: Fitted) -> None:
    """Every video that the user has not seen, by the products of the factors and the prior, in their order."""
    arrays = fitted.ranker.bundle.arrays
    user = fitted.row("u003")
    expected = arrays.user_factors[user] @ arrays.item_factors.T + arrays.item_prior
    expected[arrays.seen_of(user)] = -np.inf
    found = fitted.ranker.rank(Wish("u003", len(expected)), fitted.ranker.buffer())
    unseen = np.sort(expected[np.isfinite(expected)])[::-1]
    np.testing.assert_allclose(found.scores, unseen, rtol=0, atol=1e-4)
    rows = [find_text(arrays.video_ids, video_id) for video_id in found.video_ids]
    np.testing.assert_allclose(expected[rows], found.scores, rtol=0, atol=1e-4)


def test_a_video_that_nobody_met_is_ranked(fitted: Fitted) -> None:
    found = fitted.ranker.rank(Wish("u003", fitted.dataset.videos), fitted.ranker.buffer())
    assert np.isfinite(found.scores[found.video_ids.index(UNMET)])


def test_a_user_without_a_like_gets_what_all_like(fitted: Fitted) -> None:
    arrays = fitted.ranker.bundle.arrays
    row = arrays.user_factors[fitted.row(NO_LIKES)]
    assert row.tolist() == [1.0] + [0.0] * (len(row) - 1)


@personal
def test_pages_are_about_what_users_watch(fitted: Fitted) -> None:
    near = [
        nearness(videos_about(topic)[0], fitted.page(user)) for topic in range(TOPICS) for user in fans_of(topic)[:5]
    ]
    assert np.mean(near) > WATCHED


@personal
def test_pages_of_users_who_are_not_learned_are_about_what_they_watched(fitted: Fitted) -> None:
    """With less than the minimum nothing of them is in the fit, and their two likes say the rest."""
    job, arrays = fitted.job, fitted.ranker.bundle.arrays
    untold = features_of(arrays.user_ids, (), job.settings.feature_rules)
    plan = Planner(job.settings, job.fitter, job.progress, cpus=1).plain(untold)
    minimums = Minimums(user=VIEWS_A_NEW_USER + 1, video=1)
    found = fit(job.fitter, fitted.dataset, replace(plan, minimums=minimums), lambda: None)
    near = []
    for topic in range(TOPICS):
        for user_id in new_fans_of(topic)[:5]:
            user = fitted.row(user_id)
            assert user not in found.known.positives.user
            best = np.argsort(-(found.model.item_factors @ found.model.user_factors[user]))[:PAGE]
            near.append(nearness(videos_about(topic)[0], [arrays.video_ids[row].decode() for row in best]))
    assert np.mean(near) > WATCHED


@personal
def test_a_like_brings_a_strangers_page_nearer(fitted: Fitted) -> None:
    """Whom the model has never met is described by the like alone; before it, there is no page at all."""
    assert fitted.page(STRANGER) == []
    liked = [videos_about(topic)[7] for topic in range(TOPICS)]
    assert np.mean([nearness(each, fitted.page(STRANGER, each)) for each in liked]) > LIKED


@personal
def test_a_like_brings_a_known_users_page_nearer(fitted: Fitted) -> None:
    """Those who have watched two videos of one topic like one of the next."""
    gained = [
        nearness(liked, fitted.page(user, liked)) - nearness(liked, fitted.page(user))
        for topic in range(TOPICS)
        for liked in videos_about((topic + 1) % TOPICS)[7:8]
        for user in new_fans_of(topic)[:5]
    ]
    assert np.mean(gained) > GAINED


@pytest.mark.parametrize("fitted", [Algorithm.POPULARITY], indirect=True)
def test_popularity_is_the_views_of_late_for_everybody(fitted: Fitted) -> None:
    seen = fitted.dataset.seen.of(fitted.row("u003"))
    views = fitted.dataset.recent_views.copy()
    views[seen] = -1
    arrays = fitted.ranker.bundle.arrays
    expected = [arrays.video_ids[row].decode() for row in np.argsort(-views, kind="stable")[:PAGE]]
    assert fitted.page("u003") == expected
    assert not arrays.history_factors.any(), "what anybody likes says nothing"
