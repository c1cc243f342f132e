"""Issue 7: the nightly run is killed (-9) again and again; no half model is ever seen, and the next run succeeds."""

import itertools
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import grpc
import sqlalchemy as sa

from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.secrets.signing import load_or_create_private_key
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions
from tests.chaos.conftest import Reporter
from tests.chaos.publishing import FolderWatch
from tests.chaos.rig import Rig
from tests.commands import bare_environ
from tests.integration.trainer.conftest import DAYS, SMALL, interaction, two_tastes
from tests.polling import wait_for
from tests.system import ROOT
from trainer.adapters.bundle_store import BundleStore

TARGET = "the next run succeeds; no half bundle visible; the live model serves on"
SHORT_KILLS, LONG_KILLS = 3, 10
BOUND_S = 120.0
ASK_EVERY_S = 0.01
# About what a step of so small a training takes.
LONGEST_STEP_S = 0.5


class Caller:
    """Asks a scorer for a ranking again and again, from `with` to its end."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.models: Counter[str] = Counter()
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _ask(self) -> None:
        metadata = ((CONTRACT_KEY, CONTRACT_RELEASE),)
        with grpc.insecure_channel(self._target) as channel:
            scorer = scoring_pb2_grpc.ScoringServiceStub(channel)
            while not self._stopped.wait(ASK_EVERY_S):
                try:
                    ranked = scorer.Rank(pb.RankRequest(user_id="u001", k=5), timeout=BOUND_S, metadata=metadata)
                except grpc.RpcError as error:
                    self.failed.append(str(error))
                else:
                    self.models[ranked.model_version] += len(ranked.video_ids) > 0


class Nights:
    """Runs of the trainer on one log, which grows by a view in between.

    Args:
        folder: The data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1_000_000)
        self._url = f"sqlite:///{folder / 'feed.db'}"
        upgrade(self._url)
        self._add(two_tastes())

    def run(self) -> int:
        """Trains to the end; returns how many lines it said."""
        with self._trainer() as process:
            said, complaint = process.communicate(timeout=BOUND_S)
        assert process.returncode == 0, (said, complaint)
        return len(said.splitlines())

    def kill(self, line: int, after_s: float) -> bool:
        """Trains, and kills the training; tells whether it was still at work.

        Args:
            line: After which line that it says; 0: at once.
            after_s: How long after that, in seconds.
        """
        with self._trainer() as process:
            assert process.stdout is not None
            for _ in range(line):
                process.stdout.readline()
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode < 0

    def _trainer(self) -> "subprocess.Popen[str]":
        # A day that changed, so that there is something to export.
        number = next(self._numbers)
        self._add([interaction(number, 1, 1, number % DAYS)])
        return subprocess.Popen(
            [sys.executable, "-m", "trainer", "run"],
            cwd=ROOT,
            env={**bare_environ(), **SMALL, "FEED_DATA_DIR": str(self._folder), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _add(self, rows: list[dict[str, object]]) -> None:
        engine = sync_engine(self._url)
        with engine.begin() as connection:
            connection.execute(sa.insert(user_interactions), rows)
        engine.dispose()


def test_a_killed_training_harms_nobody_and_the_next_one_succeeds(rig: Rig, long: bool, report: Reporter):
    nights = Nights(rig.folder)
    lines = nights.run()
    models_dir, key_path = rig.folder / "models", rig.folder / "keys" / "model_signing.pem"
    first = BundleStore(models_dir, key_path).live()
    scorer = rig.scorer()
    scorer.wait_until_ready()
    points = [
        (random.randrange(lines), random.uniform(0, LONGEST_STEP_S)) for _ in range(LONG_KILLS if long else SHORT_KILLS)
    ]
    with (
        FolderWatch(models_dir, load_or_create_private_key(key_path).public_key(), ()) as folder,
        Caller(scorer.target) as caller,
    ):
        killed = sum(nights.kill(*point) for point in points)
        nights.run()
        last = BundleStore(models_dir, key_path).live()
        wait_for(lambda: caller.models[str(last)], bool, BOUND_S)

    report(
        "nightly",
        "training killed (-9) at random points of the run",
        target=TARGET,
        met=not folder.problems and not caller.failed,
        killed=killed,
        points=", ".join(f"{line} + {after_s:.2f} s" for line, after_s in sorted(points)),
        models_seen=len(folder.whole),
        partial_seen=len(folder.problems),
        rankings=caller.models.total(),
        failed=len(caller.failed),
    )
    assert killed, "no training was at work when it was to be killed"
    assert (folder.problems, caller.failed) == ([], [])
    assert {first, last} <= set(caller.models) <= folder.whole
    assert [each.name for each in models_dir.glob(".*")] == []
