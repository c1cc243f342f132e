"""A trainer that publishes models without end, to be killed in the midst; and who looks at the folder meanwhile."""

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import msgspec

from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError
from runtime.secrets.signing import Verifier
from tests.bench.large_models import large_model
from tests.polling import wait_for
from tests.system import ROOT
from trainer.adapters.bundle_store import BundleStore

LOOK_EVERY_S: Final = 0.002
# A trainer runs on another machine; here it gets what the servers leave it.
BEHIND: Final = ("nice", "-n", "19", sys.executable, "-m")
VIDEOS: Final = 5_000


class Publisher:
    """Publishes in a process of its own, from its making until it is killed.

    Args:
        folder: The data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._models_dir = folder / "models"
        self._process = subprocess.Popen([*BEHIND, "tests.chaos.publishing", str(folder)], cwd=ROOT)

    def kill_in_the_midst(self) -> bool:
        """Kills it (-9) while a bundle is being written; tells whether it was."""
        try:
            wait_for(self._unfinished, bool, bound_s=120)
        finally:
            self._process.kill()
            self._process.wait()
        return self._unfinished() > 0

    def _unfinished(self) -> int:
        own = f".{self._process.pid}."
        return sum(own in each.name for each in self._models_dir.glob(".*"))


@dataclass
class FolderWatch:
    """Lists the models all the time, from `with` to its end, and reads each when it is first seen.

    Args:
        models_dir: The folder.
        key: What bundles are signed with.
        bad: Names of bundles that are known to be bad.
        whole: Versions that were seen and found whole.
        problems: What was seen and should not have been.
    """

    models_dir: Path
    key: Verifier
    bad: Iterable[str]
    whole: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        known = {bundle_files.LIVE_FILE, *self.bad}
        while not self._stopped.wait(LOOK_EVERY_S):
            for name in {each.name for each in self.models_dir.glob("[!.]*")} - known:
                known.add(name)
                self._look_at(name)
            self._look_at_pointer()

    def _look_at(self, name: str) -> None:
        try:
            bundle_files.read(self.models_dir, name, self.key)
        except BundleError as error:
            self.problems.append(f"{name}: {error}")
        else:
            self.whole.add(name)

    def _look_at_pointer(self) -> None:
        try:
            version = bundle_files.live_version(self.models_dir)
        except BundleError as error:
            self.problems.append(f"LIVE: {error}")
        else:
            if version is None or not (self.models_dir / version).exists():
                self.problems.append(f"LIVE names {version}")


def _publish_without_end(folder: Path) -> None:
    store = BundleStore(folder / "models", folder / "keys" / "model_signing.pem")
    bundle = large_model(VIDEOS, users=100)
    for number in itertools.count():
        name = f"published-{os.getpid()}-{number}"
        store.publish(msgspec.structs.replace(bundle.manifest, model_version=name), bundle.arrays)


if __name__ == "__main__":
    _publish_without_end(Path(sys.argv[1]))
