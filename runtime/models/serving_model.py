"""Which published model serves, and how another one comes to: read back and found good before it does."""

from pathlib import Path

from runtime.models import bundle_files, candidate_file
from runtime.models.model_bundle import BundleError, BundleFault
from runtime.secrets.signing import Verifier


def serve(models_dir: Path, model_version: str, key: Verifier) -> None:
    """Makes a published model the one that serves, once its arrays were read back and found good.

    That ends its trial; a trial of another model goes on, beside the one that serves now.

    Raises:
        BundleError: When it is missing or not good; the one that serves stays.
    """
    bundle_files.read(models_dir, model_version, key)
    bundle_files.promote(models_dir, model_version)
    if model_version == tried_version(models_dir):
        candidate_file.remove(models_dir)


def previous_version(models_dir: Path) -> str | None:
    """Returns the newest model older than the serving one that has served; None when there is none.

    Never one that is still tried. Of models that are older than the mark none has it; then all of them count.

    Raises:
        BundleError: When it cannot be told which one serves.
    """
    live, tried = bundle_files.live_version(models_dir), tried_version(models_dir)
    versions = bundle_files.published_versions(models_dir)
    older = [version for version in versions if live and version < live and version != tried]
    return max([each for each in older if bundle_files.has_served(models_dir, each)] or older, default=None)


def roll_back(models_dir: Path, key: Verifier) -> str:
    """Makes the previous model serve; returns its version.

    Raises:
        BundleError: When there is none, or it is not good.
    """
    version = previous_version(models_dir)
    if version is None:
        raise BundleError(BundleFault.MISSING, "no older model is on disk")
    serve(models_dir, version, key)
    return version


def tried_version(models_dir: Path) -> str | None:
    """Returns the candidate's version. A file that holds something else keeps nobody from another work."""
    try:
        candidate = candidate_file.read(models_dir)
    except BundleError:
        return None
    return candidate.model_version if candidate else None
