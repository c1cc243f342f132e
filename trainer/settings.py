"""Settings of the trainer; the defaults of the model were chosen on a time split of real data."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator

from storage.recent_views import ViewRules
from trainer.domain.algorithm import Algorithm, parse_combined
from trainer.domain.cold import Minimums
from trainer.domain.dataset import DatasetRules
from trainer.domain.early_stopping import StoppingRules
from trainer.domain.evaluation import EvaluationRules, SplitRules
from trainer.domain.gate import GateRules
from trainer.domain.log import DAY_S
from trainer.domain.model import PriorRules
from trainer.domain.own_lists import PrecomputeRules
from trainer.domain.signal import Kind, SignalRules
from trainer.domain.user_features import FeatureRules
from trainer.domain.video_index import IndexRules
from trainer.ports import FitParams
from trainer.status.settings import StatusSettings


class TrainerSettings(StatusSettings):
    """The trainer's own settings, beside those that every process knows."""

    trainer_host: str = Field("127.0.0.1", description="Address the scheduler listens on.")
    trainer_http_port: int = Field(8084, ge=0, le=65535, description="Port of HTTP; 0: a free one.")
    trainer_schedule_enabled: bool = Field(
        True, description="false: something else starts the nightly run, at the same hour, and what deletes old rows."
    )
    trainer_schedule_hour: int = Field(2, ge=0, le=23, description="Hour of the nightly run, UTC.")
    trainer_schedule_minute: int = Field(0, ge=0, le=59, description="Its minute.")
    trainer_models_dir: Path | None = Field(None, description="Where bundles live; empty: models in the data dir.")
    trainer_keep_models: int = Field(5, ge=1, le=1000, description="How many bundles and reports stay on disk.")

    trainer_view_weight: float = Field(
        0.1, ge=0, le=100, description="What a VIEW adds to the weight of a video for a user."
    )
    trainer_click_weight: float = Field(0.3, ge=0, le=100, description="The same, of CLICK.")
    trainer_like_weight: float = Field(0.7, ge=0, le=100, description="Of LIKE, COMMENT, FOLLOW and RATE.")
    trainer_share_weight: float = Field(1.0, ge=0, le=100, description="Of SHARE.")
    trainer_skip_weight: float = Field(-0.1, ge=-100, le=0, description="Of SKIP.")
    trainer_hide_weight: float = Field(-10.0, ge=-100, le=0, description="Of HIDE.")
    trainer_long_view_s: float = Field(18.0, gt=0, le=3600, description="A view this long is a positive, seconds.")
    trainer_half_life_days: float = Field(14.0, gt=0, le=3650, description="An interaction this old weighs half.")

    trainer_algorithm: Algorithm = Field(Algorithm.LIGHTFM_WARP, description="How models are fitted.")
    trainer_combined: str = Field(
        "lightfm-warp:1,als:0.25", description="algorithm:weight,… of what `combination` adds up."
    )
    trainer_dimensions: int = Field(64, ge=1, le=512, description="Length of the vectors of users and videos.")
    trainer_epochs: int = Field(5, ge=1, le=1000, description="LightFM's passes over the positives.")
    trainer_learning_rate: float = Field(0.05, gt=0, le=10, description="LightFM's first step size.")
    trainer_alpha: float = Field(1e-5, ge=0, le=1, description="L2 penalty of users and videos.")
    trainer_max_sampled: int = Field(20, ge=1, le=1000, description="Most negatives WARP tries for one step.")
    trainer_als_confidence: float = Field(
        0.25, gt=0, le=1000, description="Weight of all likes to ALS, by that of all that is not liked."
    )
    trainer_als_penalty: float = Field(
        0.15, ge=0, le=1000, description="ALS' L2 penalty, by the weight of a mean user's or video's likes."
    )
    trainer_als_passes: int = Field(15, ge=1, le=1000, description="ALS' passes over users and videos.")
    trainer_knn_neighbours: int = Field(400, ge=1, le=100_000, description="Most similar users that count for each.")
    trainer_history_length: int = Field(30, ge=0, le=1000, description="Newest positives that describe a user.")
    trainer_seed: int = Field(42, ge=0, le=2**31 - 1, description="Seed of everything that is drawn by lot.")
    trainer_threads: int = Field(0, ge=0, le=256, description="Threads of the fit; 0: one a CPU.")

    trainer_min_user_positives: int = Field(
        1, ge=1, le=1000, description="A user with fewer is cold: described by likes and features, not learned."
    )
    trainer_min_video_positives: int = Field(
        1, ge=1, le=1000, description="A video with fewer is cold: ranked by the prior alone, not learned."
    )
    trainer_patience: int = Field(
        0, ge=0, le=1000, description="Validations in a row without a better one that end a fit; 0: all passes."
    )
    trainer_validation_days: float = Field(
        2.0, gt=0, le=365, description="Last days before the test that fits are validated and tuned on."
    )
    trainer_validation_users: int = Field(
        2_000, ge=1, le=1_000_000, description="Most users that fits are validated with."
    )
    trainer_validation_passes: int = Field(1, ge=1, le=1000, description="Passes from one validation to the next.")
    trainer_warm_passes: int = Field(
        0, ge=0, le=1000, description="Passes of a fit that begins with the model that serves; 0: from scratch."
    )
    trainer_warm_learning_rate: float = Field(
        0.005, gt=0, le=10, description="First step size of a LightFM that begins with the model that serves."
    )

    trainer_recent_days: float = Field(4.0, gt=0, le=365, description="Age up to which a view is recent.")
    trainer_recent_half_life_days: float = Field(
        1.0, gt=0, le=365, description="Age at which a recent view counts half."
    )
    trainer_popularity_minutes: float = Field(
        5.0, ge=0, le=1440, description="How often what is watched now is counted for the prior, minutes; 0: never."
    )
    trainer_recent_weight: float = Field(0.35, ge=0, le=100, description="Weight of log(1 + recent long views).")
    trainer_bias_share: float = Field(0.5, ge=0, le=1, description="Share of a video's bias that freshness replaces.")

    trainer_features: int = Field(1000, ge=0, le=5000, description="Most features of users, for whom no model knows.")
    trainer_feature_min_users: int = Field(100, ge=1, description="Features that fewer users have are left out.")
    trainer_feature_penalty: float = Field(3.0, gt=0, le=1e6, description="L2 penalty of what a feature says.")

    trainer_precompute_videos: int = Field(
        0, ge=0, le=1000, description="Length of the lists that active users get made beforehand; 0: none are made."
    )
    trainer_precompute_active_days: float = Field(
        7.0, gt=0, le=365, description="Who did something so lately is active."
    )
    trainer_precompute_hours: float = Field(48.0, gt=0, le=8_760, description="How long such a list holds.")

    trainer_index_from_videos: int = Field(200_000, ge=1, description="So many videos and more get an index.")
    trainer_index_lists: int = Field(2048, ge=1, le=65_536, description="Groups of videos in an index.")
    trainer_index_recall: float = Field(0.985, gt=0, le=1, description="Share of the exact best 50 it must find.")

    trainer_test_days: float = Field(2.0, gt=0, le=365, description="Last days of the log that a model is measured on.")
    trainer_test_users: int = Field(10_000, ge=1, le=1_000_000, description="Most users that are measured.")
    trainer_gate_min_interactions: int = Field(1_000, ge=1, description="Fewest interactions worth learning from.")
    trainer_gate_min_users: int = Field(50, ge=1, description="Fewest users with a positive.")
    trainer_gate_min_videos: int = Field(20, ge=1, description="Fewest videos with a positive.")
    trainer_gate_min_test_users: int = Field(20, ge=1, description="Fewest users to measure on.")
    trainer_gate_popularity_ratio: float = Field(
        1.05, ge=0, le=100, description="NDCG@10 must be more than this times popularity's."
    )
    trainer_gate_min_coverage: float = Field(
        0.01, ge=0, le=1, description="Least share of videos in somebody's first ten."
    )
    trainer_gate_max_overlap: float = Field(
        0.8, ge=0, le=1, description="Most that two users' first ten may have in common."
    )
    trainer_gate_max_missing_days: float = Field(
        0.25, ge=0, le=1, description="Largest share of days without an interaction."
    )

    @field_validator("trainer_combined")
    @classmethod
    def _combined_is_readable(cls, text: str) -> str:
        parse_combined(text)
        return text

    @property
    def models_dir(self) -> Path:
        """Where bundles live."""
        return self.trainer_models_dir or self.data_dir / "models"

    @property
    def export_dir(self) -> Path:
        """Where the exported interactions live."""
        return self.data_dir / "export" / "interactions"

    @property
    def reports_dir(self) -> Path:
        """Where the reports of runs live."""
        return self.data_dir / "reports"

    @property
    def signing_key_path(self) -> Path:
        """The key that bundles are signed with; its public half lies beside it."""
        return self.data_dir / "keys" / "model_signing.pem"

    @property
    def weights(self) -> dict[Kind, float]:
        """Weight of each kind of interaction."""
        return {
            Kind.VIEW: self.trainer_view_weight,
            Kind.CLICK: self.trainer_click_weight,
            Kind.LIKE: self.trainer_like_weight,
            Kind.SHARE: self.trainer_share_weight,
            Kind.COMMENT: self.trainer_like_weight,
            Kind.FOLLOW: self.trainer_like_weight,
            Kind.SKIP: self.trainer_skip_weight,
            Kind.HIDE: self.trainer_hide_weight,
            Kind.RATE: self.trainer_like_weight,
        }

    @property
    def combined(self) -> Mapping[Algorithm, float]:
        """Weight of each part of a combination."""
        return parse_combined(self.trainer_combined)

    @property
    def dataset_rules(self) -> DatasetRules:
        """How a dataset is built."""
        return DatasetRules(
            SignalRules(self.weights, self.trainer_long_view_s, self.trainer_half_life_days),
            self.trainer_history_length,
            self.trainer_recent_days,
            self.trainer_recent_half_life_days,
        )

    @property
    def view_rules(self) -> ViewRules:
        """Which views make a video popular, and for how long."""
        return ViewRules(self.trainer_long_view_s, self.trainer_recent_half_life_days * DAY_S)

    @property
    def prior_rules(self) -> PriorRules:
        """How fresh popularity enters the score."""
        return PriorRules(self.trainer_recent_weight, self.trainer_bias_share)

    @property
    def feature_rules(self) -> FeatureRules:
        """Which features of users count, and how much."""
        return FeatureRules(self.trainer_feature_min_users, self.trainer_features, self.trainer_feature_penalty)

    @property
    def minimums(self) -> Minimums:
        """From how many positives on users and videos are learned."""
        return Minimums(self.trainer_min_user_positives, self.trainer_min_video_positives)

    @property
    def stopping_rules(self) -> StoppingRules:
        """When a fit that is watched ends."""
        return StoppingRules(self.trainer_patience, self.trainer_validation_passes)

    @property
    def precompute_rules(self) -> PrecomputeRules:
        """Whose lists are made beforehand, and how long they hold."""
        return PrecomputeRules(
            self.trainer_precompute_videos,
            timedelta(days=self.trainer_precompute_active_days),
            timedelta(hours=self.trainer_precompute_hours),
        )

    @property
    def index_rules(self) -> IndexRules:
        """When a model gets an index, and how good it must be."""
        return IndexRules(self.trainer_index_from_videos, self.trainer_index_lists, self.trainer_index_recall)

    @property
    def gate_rules(self) -> GateRules:
        """The bounds of the gate."""
        return GateRules(
            self.trainer_gate_min_interactions,
            self.trainer_gate_min_users,
            self.trainer_gate_min_videos,
            self.trainer_gate_min_test_users,
            self.trainer_gate_popularity_ratio,
            self.trainer_gate_min_coverage,
            self.trainer_gate_max_overlap,
            self.trainer_gate_max_missing_days,
        )

    @property
    def split_rules(self) -> SplitRules:
        """How a log is parted into past and test."""
        return SplitRules(
            self.dataset_rules, self.trainer_test_days, self.trainer_test_users, self.trainer_gate_min_test_users
        )

    @property
    def validation_rules(self) -> SplitRules:
        """How what is before the test is parted once more, for what is chosen before it is tested."""
        return replace(
            self.split_rules, test_days=self.trainer_validation_days, max_users=self.trainer_validation_users
        )

    @property
    def evaluation_rules(self) -> EvaluationRules:
        """How a model is judged."""
        return EvaluationRules(self.prior_rules, self.gate_rules, self.trainer_seed)

    def fit_params(self, cpus: int) -> FitParams:
        """How the model is fitted on a machine with so many CPUs."""
        return FitParams(
            dimensions=self.trainer_dimensions,
            epochs=self.trainer_epochs,
            learning_rate=self.trainer_learning_rate,
            alpha=self.trainer_alpha,
            max_sampled=self.trainer_max_sampled,
            als_confidence=self.trainer_als_confidence,
            als_penalty=self.trainer_als_penalty,
            als_passes=self.trainer_als_passes,
            knn_neighbours=self.trainer_knn_neighbours,
            seed=self.trainer_seed,
            threads=self.trainer_threads or cpus,
        )
