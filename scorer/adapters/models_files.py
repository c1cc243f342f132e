"""Models from the folder that the trainer publishes to."""

from pathlib import Path

from runtime.models import bundle_files, candidate_file, popularity_file
from runtime.models.candidate_file import Candidate
from runtime.models.model_bundle import BundleError, BundleFault, ModelBundle
from runtime.models.popularity import Popularity, PopularityError
from runtime.secrets.signing import KeyFileError, load_public_key


class FolderModels:
    """A ModelSource on a folder; the key is read anew each time, for the trainer may make it after we started.

    Args:
        models_dir: Where bundles live.
        public_key_path: Key that they must be signed with.
    """

    def __init__(self, models_dir: Path, public_key_path: Path) -> None:
        self._models_dir = models_dir
        self._public_key_path = public_key_path

    def live_version(self) -> str | None:
        """Returns the version that should serve."""
        return bundle_files.live_version(self._models_dir)

    def candidate(self) -> Candidate | None:
        """Returns the version that is tried beside it, and how."""
        return candidate_file.read(self._models_dir)

    def read(self, model_version: str) -> ModelBundle:
        """Reads and verifies a model."""
        try:
            key = load_public_key(self._public_key_path)
        except KeyFileError as error:
            raise BundleError(BundleFault.BAD_SIGNATURE, str(error)) from error
        return bundle_files.read(self._models_dir, model_version, key)

    def popularity_stamp(self) -> int | None:
        """Returns what changes whenever popularity is counted anew."""
        return popularity_file.stamp_of(self._models_dir)

    def popularity(self) -> Popularity:
        """Reads and verifies how much each video is watched now."""
        try:
            key = load_public_key(self._public_key_path)
        except KeyFileError as error:
            raise PopularityError(str(error)) from error
        return popularity_file.read(self._models_dir, key)
