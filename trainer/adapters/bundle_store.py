"""Published models: which one serves, which stay."""

from collections.abc import Sequence
from pathlib import Path

from runtime.models import bundle_files, candidate_file, popularity_file, serving_model
from runtime.models.candidate_file import Candidate
from runtime.models.model_bundle import UNKNOWN_CODE, BundleError, Manifest, ModelArrays, ModelBundle, find_texts
from runtime.models.popularity import Popularity
from runtime.secrets.signing import Verifier, load_or_create_private_key, load_public_key


class ServesAlreadyError(Exception):
    """The model that serves cannot be tried beside itself; the operator names another one."""


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
        return popularity_file.read(self._models_dir, self._public_key())

    def read(self, model_version: str) -> ModelBundle:
        """Reads a published model.

        Raises:
            BundleError: When it is missing or not good.
        """
        return bundle_files.read(self._models_dir, model_version, self._public_key())

    def promote(self, model_version: str) -> None:
        """Makes a published model the one that serves, once its arrays were read back and found good.

        That ends its trial; a trial of another model goes on, beside the one that serves now.

        Raises:
            BundleError: When it is missing or not good; the one that serves stays.
        """
        serving_model.serve(self._models_dir, model_version, self._public_key())

    def rollback(self) -> str:
        """Makes the newest model older than the serving one serve that has served before; returns its version.

        Raises:
            BundleError: When there is no older one.
        """
        return serving_model.roll_back(self._models_dir, self._public_key())

    def live(self) -> str | None:
        """Returns the version that serves."""
        return bundle_files.live_version(self._models_dir)

    def try_out(self, candidate: Candidate) -> None:
        """Makes a published model the candidate, once its arrays were read back and found good.

        Raises:
            BundleError: When it is missing or not good; a candidate before it stays.
            ServesAlreadyError: When it is the one that serves.
        """
        self.read(candidate.model_version)
        if candidate.model_version == self.live():
            raise ServesAlreadyError(f"{candidate.model_version} serves already; name another model")
        candidate_file.write(self._models_dir, candidate)

    def withdraw(self) -> None:
        """Ends the trial of the candidate, whatever the file says."""
        candidate_file.remove(self._models_dir)

    def candidate(self) -> Candidate | None:
        """Returns the model that is tried.

        Raises:
            BundleError: When that cannot be told.
        """
        return candidate_file.read(self._models_dir)

    def tried(self) -> str | None:
        """Returns the candidate's version. A file that holds something else keeps no other command from its work."""
        try:
            candidate = self.candidate()
        except BundleError:
            return None
        return candidate.model_version if candidate else None

    def manifest(self, model_version: str) -> Manifest:
        """Reads the signed facts of a published model, without its arrays.

        Raises:
            BundleError: When they cannot be trusted.
        """
        return bundle_files.read_manifest(self._models_dir, model_version, self._public_key())

    def versions(self) -> list[str]:
        """Returns the versions on disk, oldest first."""
        return bundle_files.published_versions(self._models_dir)

    def prune(self, keep: int) -> list[str]:
        """Deletes what a killed training left, and all models but the newest, the serving one and the one tried.

        Only while nobody else publishes. Returns the models that are gone.
        """
        bundle_files.remove_leftovers(self._models_dir)
        kept = {self.live(), serving_model.tried_version(self._models_dir)}
        gone = [version for version in self.versions()[:-keep] if version not in kept]
        for version in gone:
            bundle_files.remove(self._models_dir, version)
        return gone

    def remove_holding(self, user_ids: Sequence[str]) -> set[str]:
        """Deletes the models that know some users, but the serving one and the one tried; returns whom these two know.

        Only while nobody else publishes.
        """
        kept, known = {self.live(), self.tried()}, set()
        for version in self.versions():
            found = self._known(version, user_ids)
            if version in kept:
                known |= found
            elif found:
                bundle_files.remove(self._models_dir, version)
        return known

    def _known(self, version: str, user_ids: Sequence[str]) -> set[str]:
        """Returns whom of some users a model knows; all of them when that cannot be told."""
        try:
            found = find_texts(self.read(version).arrays.user_ids, user_ids)
        except BundleError:
            return set(user_ids)
        return {user_id for user_id, row in zip(user_ids, found, strict=True) if row != UNKNOWN_CODE}

    def _public_key(self) -> Verifier:
        load_or_create_private_key(self._key_path)
        return load_public_key(self._key_path.with_suffix(".pub"))
