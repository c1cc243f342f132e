"""What the scorer needs from the outside, with the fake that tests use."""

from typing import Protocol

from runtime.models.candidate_file import Candidate
from runtime.models.model_bundle import BundleError, BundleFault, ModelBundle
from runtime.models.popularity import Popularity, PopularityError


class ModelSource(Protocol):
    """Where models come from."""

    def live_version(self) -> str | None:
        """Returns the version that should serve; None when there is none yet.

        Raises:
            BundleError: When that cannot be told.
        """

    def candidate(self) -> Candidate | None:
        """Returns the version that is tried beside it, and how; None when there is none.

        Raises:
            BundleError: When that cannot be told.
        """

    def read(self, model_version: str) -> ModelBundle:
        """Reads and verifies a model.

        Raises:
            BundleError: When it must not be used.
        """

    def popularity_stamp(self) -> int | None:
        """Returns what changes whenever popularity is counted anew; None before the first time."""

    def popularity(self) -> Popularity:
        """Reads and verifies how much each video is watched now.

        Raises:
            PopularityError: When it must not be used.
        """


class MemoryModels:
    """A ModelSource in memory; `live` is what it names, `tried` the candidate, `counted` the popularity."""

    def __init__(self, *bundles: ModelBundle) -> None:
        self.bundles = {bundle.manifest.model_version: bundle for bundle in bundles}
        self.live = bundles[-1].manifest.model_version if bundles else None
        self.tried: Candidate | None = None
        self.counted: Popularity | None = None

    def live_version(self) -> str | None:
        """Returns what `live` says."""
        return self.live

    def candidate(self) -> Candidate | None:
        """Returns what `tried` says."""
        return self.tried

    def read(self, model_version: str) -> ModelBundle:
        """Returns a bundle it was given."""
        try:
            return self.bundles[model_version]
        except KeyError:
            raise BundleError(BundleFault.MISSING, model_version) from None

    def popularity_stamp(self) -> int | None:
        """Returns another number for each count."""
        return id(self.counted) if self.counted else None

    def popularity(self) -> Popularity:
        """Returns what `counted` says."""
        if self.counted is None:
            raise PopularityError("nothing was counted")
        return self.counted
