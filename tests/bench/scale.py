"""What a log of 1, 10 and 50 million interactions costs: `python -m tests.bench.scale [MILLIONS …] [--spark]`.

A JSON line for each size and engine: DuckDB and one pass of LightFM, or Spark and one pass of its ALS, here on all CPUs
of this machine. Seconds are wall time, CPU seconds those of the process and of Spark's Java beside it; memory is the
peak of both. It takes minutes, and 1.2 GB of disk for 50 million, so it is in no default run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runtime.settings import load
from trainer.adapters.parquet_files import SCHEMA
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset, build_dataset
from trainer.domain.log import InteractionLog
from trainer.fitters import fitter_of
from trainer.settings import TrainerSettings

SIZES: Final = ("1", "10", "50")
FILE_ROWS: Final = 1_000_000
DAYS: Final = 10
FIRST_MS: Final = 1_756_684_800_000
INTERACTIONS_A_USER: Final = 50
INTERACTIONS_A_VIDEO: Final = 500
TOPICS: Final = 8
MB: Final = 1e6
COLUMNS: Final = ("user_id", "video_id", "interaction_type", "watch_time_s", "event_time", "rating")
KINDS: Final = ("VIEW", "LIKE", "SKIP")
SPARK_DEFAULTS: Final = "spark.driver.memory 10g\nspark.sql.shuffle.partitions 16\nspark.local.dir {folder}\n"


def main(arguments: list[str]) -> None:
    """Measures the sizes that are named, or the one size and folder that a process of its own is told."""
    if arguments[0:1] == ["of"]:
        print(json.dumps(_measured(arguments[1], Path(arguments[2]))), flush=True)
        return
    engines = ("duckdb", "spark") if "--spark" in arguments else ("duckdb",)
    for millions in [each for each in arguments if each.isdecimal()] or SIZES:
        with tempfile.TemporaryDirectory() as name:
            _write(Path(name), int(millions) * 1_000_000)
            for engine in engines:
                print(_output_of(engine, Path(name)), flush=True)


def _output_of(engine: str, folder: Path) -> str:
    (folder / "spark-defaults.conf").write_text(SPARK_DEFAULTS.format(folder=folder))
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.scale", "of", engine, str(folder)],
        env={**os.environ, "SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def _write(folder: Path, rows: int) -> None:
    """Writes a log whose users watch what is popular and what is of their topic, more of them the more they watch."""
    users, videos = rows // INTERACTIONS_A_USER, rows // INTERACTIONS_A_VIDEO
    names = [_names("user", users), _names("video", videos)]
    rng = np.random.default_rng(1)
    for part in range(rows // FILE_ROWS):
        user = (users * rng.random(FILE_ROWS) ** 1.5).astype(np.int32)
        topic = np.where(rng.random(FILE_ROWS) < 0.6, user % TOPICS, rng.integers(0, TOPICS, FILE_ROWS))
        video = ((videos // TOPICS) * rng.random(FILE_ROWS) ** 2).astype(np.int32) * TOPICS + topic.astype(np.int32)
        kind = rng.choice(len(KINDS), FILE_ROWS, p=(0.85, 0.07, 0.08)).astype(np.int32)
        watched_s = 40 * rng.random(FILE_ROWS) ** 2 * np.where(topic == user % TOPICS, 1.0, 0.5)
        time_ms = FIRST_MS + rng.integers(0, DAYS * 86_400_000, FILE_ROWS)
        columns = [
            pa.DictionaryArray.from_arrays(user, names[0]).cast(pa.string()),
            pa.DictionaryArray.from_arrays(video, names[1]).cast(pa.string()),
            pa.DictionaryArray.from_arrays(kind, pa.array(KINDS)).cast(pa.string()),
            pa.array(watched_s),
            pa.array(time_ms).cast(pa.timestamp("ms", tz="UTC")),
            pa.nulls(FILE_ROWS, pa.float64()),
        ]
        table = pa.table(columns, schema=pa.schema([SCHEMA.field(name) for name in COLUMNS]))
        pq.write_table(table, folder / f"part-{part:05}.parquet", compression="zstd")


def _names(kind: str, count: int) -> Any:
    return pa.array([f"{kind}-{number:08}" for number in range(count)])


def _measured(engine: str, folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob("*.parquet"))
    settings = load(TrainerSettings, {"FEED_TRAINER_EPOCHS": "1", "FEED_TRAINER_ALS_PASSES": "1"})
    algorithm = Algorithm.SPARK_ALS if engine == "spark" else Algorithm.LIGHTFM_WARP
    params, fitter = settings.fit_params(os.cpu_count() or 1), fitter_of(algorithm, {})
    found: dict[str, Any] = {"interactions": len(files) * FILE_ROWS, "engine": engine, "algorithm": algorithm.value}
    log = _timed(found, "open", lambda: _on_spark(files) if engine == "spark" else _in_memory(files))
    dataset = _timed(found, "prepare", lambda: _dataset(log, settings))
    found |= {"pairs": len(dataset.seen.videos), "likes": len(dataset.positives)}
    _timed(found, "fit_pass", lambda: fitter.fit(dataset, replace(params, epochs=1), lambda: None))
    return {**found, **_used()}


def _timed(found: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    start = time.monotonic()
    done = work()
    found[f"{name}_s"] = round(time.monotonic() - start, 1)
    return done


def _in_memory(files: list[Path]) -> InteractionLog:
    from trainer.adapters.parquet_log import LogReader  # noqa: PLC0415

    reader = LogReader(len(files) * FILE_ROWS)
    for file in files:
        reader.add(file.read_bytes())
    return reader.log()


def _on_spark(files: list[Path]) -> InteractionLog:
    from trainer.adapters.log_spark import spark_log  # noqa: PLC0415
    from trainer.adapters.spark import spark_session  # noqa: PLC0415

    return spark_log(spark_session(), [str(file) for file in files])


def _dataset(log: InteractionLog, settings: TrainerSettings) -> Dataset:
    durations = np.full(len(log.video_ids), 20.0, np.float32)
    return build_dataset(log, durations, settings.dataset_rules, log.last_s)


def _used() -> dict[str, float]:
    """Returns what this process and those that it started have used; Spark's Java is one of them."""
    ours = os.getpid()
    pids = [ours, *(int(pid) for pid in Path(f"/proc/{ours}/task/{ours}/children").read_text().split())]
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    ticks = sum(int(field) for stat in stats for field in stat[11:13])
    peaks = [_peak_mb(pid) for pid in pids]
    return {"cpu_s": round(ticks / os.sysconf("SC_CLK_TCK"), 1), "peak_mb": round(sum(peaks))}


def _peak_mb(pid: int) -> float:
    (peak,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / MB


if __name__ == "__main__":
    main(sys.argv[1:])
