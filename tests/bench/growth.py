"""How rankings and memory grow from 10,000 to 1,000,000 videos: `python -m tests.bench.growth docs/growth.svg`.

Prints a JSON line a size and draws the latencies. Times are those of one thread on its CPU. Memory is that of a scorer
process that serves the model, its peak while it loads it, its peak while it takes another one of the same size, and
what it has after that; P13 allows 120 MB and 1.3 times the arrays, but for the swap.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.models import bundle_files
from runtime.models.model_bundle import ModelBundle
from runtime.secrets.signing import load_or_create_private_key
from scorer.adapters.index_faiss import open_index
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from tests.bench import one_core
from tests.bench.growth_chart import drawn
from tests.bench.large_models import large_model
from tests.http import call_now
from tests.polling import wait_for
from tests.system import free_ports
from trainer.adapters.index_faiss import BuiltIndex, build_index
from trainer.domain.video_index import IndexRules, by_columns

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
CALLS = 60
K = 50
MB = 1e6
# A scorer gives back what the model before took when it looks for the next one, once a second.
SETTLED_S = 3.0
# Told to the kernel, a process's peak begins anew (proc(5)).
_FORGET_PEAK = "5"


def main(arguments: list[str]) -> None:
    """Measures every size, each in a process of its own, and draws; or measures the one size that it is told."""
    if arguments[0].isdecimal():
        print(json.dumps(_measured(int(arguments[0]))), flush=True)
        return
    lines = [one_core.output_of("tests.bench.growth", str(size)) for size in SIZES]
    print("\n".join(lines))
    Path(arguments[0]).write_text(drawn([json.loads(line) for line in lines]))


def _measured(videos: int) -> dict[str, Any]:
    bundle = large_model(videos)
    by_column = ModelBundle(bundle.manifest, by_columns(bundle.arrays))
    found: dict[str, Any] = {"videos": videos, "all_ms": _median_ms(Ranker(by_column))}
    if videos < IndexRules().from_videos:
        return {**found, **_memory(by_column, None)}
    built = build_index(bundle.arrays, IndexRules(), seed=1)
    del by_column
    ranker = Ranker(bundle, open_index(replace(bundle, index=built.content)))
    found |= {"index_ms": _median_ms(ranker), "recall_at_50": built.info.recall_at_50, "probes": built.info.probes}
    return {**found, **_memory(bundle, built)}


def _median_ms(ranker: Ranker) -> float:
    buffer, times = ranker.buffer(), []
    for user in range(CALLS):
        start = time.thread_time()
        ranker.rank(Wish(f"u{user:07}", k=K), buffer)
        times.append(time.thread_time() - start)
    return statistics.median(times) * 1e3


def _memory(bundle: ModelBundle, built: BuiltIndex | None) -> dict[str, float | bool]:
    """Starts a scorer with the model and gives it another one; returns its memory and P13's bound, in MB."""
    arrays_mb = sum(array.nbytes for array in bundle.arrays.named().values()) / MB
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
        _promote(folder, key, "first", bundle, built)
        used = _scorer_mb(folder, lambda: _promote(folder, key, "second", bundle, built))
    most_mb = max(used[name] for name in ("scorer_mb", "loading_mb", "swapped_mb"))
    return {"arrays_mb": arrays_mb, **used, "within_p13": most_mb <= 120 + 1.3 * arrays_mb}


def _promote(folder: Path, key: Ed25519PrivateKey, version: str, bundle: ModelBundle, built: BuiltIndex | None) -> None:
    info, content = (built.info, built.content) if built else (None, None)
    manifest = msgspec.structs.replace(bundle.manifest, model_version=version, index=info)
    bundle_files.publish(folder / "models", manifest, bundle.arrays, key, content)
    bundle_files.promote(folder / "models", version)


def _scorer_mb(folder: Path, swap: Callable[[], None]) -> dict[str, float]:
    grpc_port, http_port = (port for port, _ in zip(free_ports(), range(2), strict=False))
    ports = {"FEED_SCORER_GRPC_PORT": str(grpc_port), "FEED_SCORER_HTTP_PORT": str(http_port)}
    environ = {**os.environ, **ports, "FEED_DATA_DIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-m", "scorer"], env=environ, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _ready(http_port), bool, bound_s=120)
        used = {"scorer_mb": _status_mb(process.pid, "VmRSS"), "loading_mb": _status_mb(process.pid, "VmHWM")}
        Path(f"/proc/{process.pid}/clear_refs").write_text(_FORGET_PEAK)
        swap()
        wait_for(lambda: _serves(http_port, "second"), bool, bound_s=120)
        used["swap_mb"] = _status_mb(process.pid, "VmHWM")
        time.sleep(SETTLED_S)
        return {**used, "swapped_mb": _status_mb(process.pid, "VmRSS")}
    finally:
        process.terminate()
        process.wait()


def _status_mb(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024 / MB


def _serves(http_port: int, version: str) -> bool:
    return f'model_version="{version}"' in call_now(http_port, "GET", "/metrics").text


def _ready(http_port: int) -> bool:
    try:
        return call_now(http_port, "GET", "/readyz").status == HTTPStatus.OK
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
