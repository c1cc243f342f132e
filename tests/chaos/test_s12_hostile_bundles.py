"""S12: whatever is wrong with a bundle, it is refused at once, none of its code runs, and the old model goes on."""

import pickle
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError, ModelArrays
from runtime.secrets.signing import load_or_create_private_key
from scorer.adapters.index_faiss import open_index
from scorer.adapters.models_files import FolderModels
from scorer.domain.wish import Wish
from scorer.metrics import ScorerMetrics
from scorer.models import ModelSlot
from tests.bench.large_models import large_model
from tests.chaos.conftest import Reporter
from tests.chaos.hostile_bundles import FILES, Files, Hostile, RunsCode, Workshop, attacks
from trainer.adapters.index_faiss import build_index
from trainer.domain.video_index import IndexRules

TARGET = "100 % refused <= 1 s; 0 code executed; the old model serves"
ATTACKS = 200
VIDEOS, USERS = 1_000, 50
WISH = Wish("u0000001", k=50)


class Offered:
    """A scorer's model slot on a folder with a good model in use, to which bad ones are offered."""

    def __init__(self, folder: Path) -> None:
        self._key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
        self.models_dir = folder / "models"
        self.slot = ModelSlot(
            FolderModels(self.models_dir, folder / "keys" / "model_signing.pub"),
            ScorerMetrics(CollectorRegistry()),
            open_index,
        )
        arrays, self.files = self._published("good", seed=1)
        _, other = self._published("other", seed=2)
        self.slot.swap(self.slot.load("good"))
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        self.shop = Workshop(self._key, arrays, other, elsewhere, folder / "marker")

    def offer(self, number: int, hostile: Hostile) -> float:
        """Offers a bad bundle, good but for its attack; returns after how many seconds it was refused, or fails."""
        version = f"bad-{number:03}"
        files = self.shop.signed(self.files, model_version=version)
        hostile.write(self.models_dir / version, number, self.shop, files)
        start = time.monotonic()
        with pytest.raises(BundleError):
            self.slot.load(version)
        elapsed_s = time.monotonic() - start
        # Or the disk would be busy with them for long.
        shutil.rmtree((self.models_dir / version).resolve())
        return elapsed_s

    def _published(self, version: str, seed: int) -> tuple[ModelArrays, Files]:
        """Publishes a good model with an index."""
        model = large_model(VIDEOS, USERS, seed=seed)
        described = np.arange(USERS + 1, dtype=np.int64) * 5
        histories = np.random.default_rng(seed).integers(0, VIDEOS, USERS * 5, dtype=np.int32)
        arrays = replace(model.arrays, history_offsets=described, history_items=histories)
        built = build_index(arrays, IndexRules(lists=16, users=USERS), seed=seed)
        manifest = msgspec.structs.replace(model.manifest, model_version=version, index=built.info)
        bundle_files.publish(self.models_dir, manifest, arrays, self._key, built.content)
        return arrays, {name: (self.models_dir / version / name).read_bytes() for name in FILES}


@pytest.fixture
def offered(tmp_path: Path) -> Offered:
    return Offered(tmp_path)


def test_every_bad_bundle_is_refused(offered: Offered, report: Reporter):
    hostiles = attacks()
    assert len(hostiles) >= ATTACKS
    serving = offered.slot.current
    assert serving is not None
    ranking = serving.ranker.rank(WISH, serving.loop_buffer)
    _forget_peak()
    before_mb = _memory_mb("VmHWM")
    seconds: dict[str, float] = {}
    taken: list[str] = []
    for number, hostile in enumerate(hostiles):
        try:
            seconds[hostile.name] = offered.offer(number, hostile)
        except BaseException as error:  # noqa: BLE001  # whatever is no refusal
            taken.append(f"{hostile.name}: {type(error).__name__}: {error}")
        assert serving.ranker.rank(WISH, serving.loop_buffer) == ranking
    slowest = max(seconds, key=lambda name: seconds[name])
    executed = offered.shop.marker.exists()
    report(
        "S12",
        "bad bundles offered to a scorer",
        target=TARGET,
        met=not taken and not executed and seconds[slowest] <= 1,
        offered=len(hostiles),
        refused=len(seconds),
        slowest_ms=seconds[slowest] * 1000,
        slowest=slowest,
        memory_grown_mb=_memory_mb("VmHWM") - before_mb,
        code_executed=executed,
    )
    assert not taken, taken
    assert not executed
    assert offered.slot.current is serving


def test_the_bundle_is_good_when_nothing_is_changed(offered: Offered):
    """Otherwise it would not be the attack that is refused."""
    hostile = Hostile("signed anew", lambda _draw, shop, files: shop.with_arrays(files))
    files = offered.shop.signed(offered.files, model_version="signed-anew")
    hostile.write(offered.models_dir / "signed-anew", 0, offered.shop, files)
    assert offered.slot.load("signed-anew").version == "signed-anew"


def test_the_marker_would_show(tmp_path: Path):
    """Otherwise a pickle that never worked would count as not executed."""
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(RunsCode(marker)))
    assert marker.exists()


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mb(what: str) -> float:
    (kilobytes,) = re.findall(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e6
