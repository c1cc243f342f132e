"""The models folder, where the trainer publishes and the scorers look."""

import asyncio
import os
from pathlib import Path

from insights.ports import ModelsError, PublishedModels
from runtime.models import bundle_files, candidate_file, serving_model
from runtime.models.model_bundle import BundleError
from runtime.secrets.signing import KeyFileError, load_public_key


class ModelsFolder:
    """The models folder of this machine; each method raises ModelsError.

    Args:
        models_dir: The folder; it need not be there.
        key_path: The key that bundles are verified with.
    """

    def __init__(self, models_dir: Path, key_path: Path) -> None:
        self._models_dir = models_dir
        self._key_path = key_path

    async def published(self) -> PublishedModels | None:
        """Returns what is there."""
        return await asyncio.to_thread(self._published)

    async def serve(self, model_version: str) -> None:
        """Makes a model serve."""
        await asyncio.to_thread(self._serve, model_version)

    def _published(self) -> PublishedModels | None:
        if not (self._models_dir.is_dir() and os.access(self._models_dir, os.W_OK)):
            return None
        try:
            live, previous = (
                bundle_files.live_version(self._models_dir),
                serving_model.previous_version(self._models_dir),
            )
            candidate = candidate_file.read(self._models_dir)
        except BundleError as error:
            raise ModelsError(str(error)) from error
        trial = f"{candidate.mode}, {candidate.share * 100:g}% of users" if candidate else ""
        tried = candidate.model_version if candidate else None
        return PublishedModels(live, previous, tried, trial, bundle_files.published_versions(self._models_dir))

    def _serve(self, model_version: str) -> None:
        try:
            serving_model.serve(self._models_dir, model_version, load_public_key(self._key_path))
        except (BundleError, KeyFileError, OSError) as error:
            raise ModelsError(str(error)) from error
