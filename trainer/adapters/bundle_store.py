"""Published models: which one serves, which stay."""

from pathlib import Path

from runtime import bundle_files, popularity_file
from runtime.model_bundle import BundleError, BundleFault, Manifest, ModelArrays, ModelBundle
from runtime.popularity import Popularity
from runtime.signing import load_or_create_private_key


class BundleStore:
    """The models folder, and the key that signs.

    Args:
        models_dir: Where bundles live.
        key_path: The signing key; made at first use.
    """

    def __init__(self, models_dir: Path, key_path: Path) -> None:
        self._models_dir = models_dir
        self._key_path = key_path

    def publish(self, manifest: Manifest, arrays: ModelArrays, index: bytes | None = None) -> ModelBundle:
        """Writes a signed bundle; it does not serve yet."""
        key = load_or_create_private_key(self._key_path)
        return bundle_files.publish(self._models_dir, manifest, arrays, key, index)

    def publish_popularity(self, counted: Popularity) -> None:
        """Writes how much each video is watched now, signed; scorers take it at once."""
        popularity_file.publish(self._models_dir, counted, load_or_create_private_key(self._key_path))

    def popularity(self) -> Popularity:
        """Reads what was written last.

        Raises:
            PopularityError: When there is nothing, or nothing of ours.
        """
        return popularity_file.read(self._models_dir, load_or_create_private_key(self._key_path).public_key())

    def read(self, model_version: str) -> ModelBundle:
        """Reads a published model.

        Raises:
            BundleError: When it is missing or not good.
        """
        public = load_or_create_private_key(self._key_path).public_key()
        return bundle_files.read(self._models_dir, model_version, public)

    def promote(self, model_version: str) -> None:
        """Makes a published model the one that serves, once its arrays were read back and found good.

        Raises:
            BundleError: When it is missing or not good; the one that serves stays.
        """
        self.read(model_version)
        bundle_files.promote(self._models_dir, model_version)

    def rollback(self) -> str:
        """Makes the newest model older than the serving one serve; returns its version.

        Raises:
            BundleError: When there is no older one.
        """
        live = self.live()
        older = [version for version in bundle_files.published_versions(self._models_dir) if live and version < live]
        if not older:
            raise BundleError(BundleFault.MISSING, "no older model is on disk")
        self.promote(older[-1])
        return older[-1]

    def live(self) -> str | None:
        """Returns the version that serves."""
        return bundle_files.live_version(self._models_dir)

    def versions(self) -> list[str]:
        """Returns the versions on disk, oldest first."""
        return bundle_files.published_versions(self._models_dir)

    def prune(self, keep: int) -> list[str]:
        """Deletes all but the newest models and the one that serves, and what a killed training left half-written.

        Only while nobody else publishes. Returns the models that are gone.
        """
        bundle_files.remove_leftovers(self._models_dir)
        gone = [version for version in self.versions()[:-keep] if version != self.live()]
        for version in gone:
            bundle_files.remove(self._models_dir, version)
        return gone
