"""How processes that ask, and that do not, begin; and how a bridge shows its scorers who it is."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.adapters.scorer_grpc import GrpcScorer
from bridge.adapters.scorer_key_file import ScorerKeyFile
from bridge.domain.outcome import Outcome
from bridge.ports import ScorerError
from feed.scoring.v1 import scoring_pb2
from runtime.access import api_keys
from runtime.access.guard import guard_of
from runtime.process import Service
from runtime.settings import load
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.system import ROOT
from tests.tokens import Issuer


def run(folder: Path, *command: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a process that ends by itself."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("FEED_")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        env={**bare, "FEED_DATA_DIR": str(folder), **(environ or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_process_that_asks_nobody_does_not_answer_other_machines(tmp_path: Path):
    ended = run(tmp_path, "scorer", environ={"FEED_SCORER_HOST": "0.0.0.0"})
    said = "FEED_AUTH=off is for loopback only, not 0.0.0.0: anybody could act as anybody; set FEED_AUTH"
    assert (ended.returncode, ended.stderr) == (2, f"scorer: wrong settings:\n{said}\n")


def test_keys_that_others_may_write_stop_a_process(tmp_path: Path):
    api_keys.create(tmp_path / "keys" / "api_keys.json", "a", ["admin"])
    (tmp_path / "keys" / "api_keys.json").chmod(0o666)
    ended = run(tmp_path, "scorer", environ=Issuer(tmp_path / "jwks.json").environ)
    assert (ended.returncode, ended.stderr) == (
        2,
        "scorer: wrong settings:\nFEED_AUTH_API_KEYS_FILE: api_keys.json: others may write to it; chmod 600 it\n",
    )


def test_a_key_is_made_listed_and_removed_by_command(tmp_path: Path):
    made = run(tmp_path, "deploy.cli", "keys", "create", "metrics", "--scope", "insights:read")
    assert made.returncode == 0
    caller = api_keys.ApiKeys(tmp_path / "keys" / "api_keys.json").caller(made.stdout.strip())
    assert caller is not None
    assert caller.scopes == {"insights:read"}
    assert run(tmp_path, "deploy.cli", "keys", "list").stdout == "metrics  insights:read\n"
    assert run(tmp_path, "deploy.cli", "keys", "remove", "metrics").returncode == 0
    again = run(tmp_path, "deploy.cli", "keys", "remove", "metrics")
    assert (again.returncode, again.stderr) == (1, "there is no key metrics\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("Metrics", "--scope", "admin"), "a-z 0-9 -", id="name"),
        pytest.param(("metrics", "--scope", "insight:read"), "insights:read", id="scope"),
    ],
)
def test_what_no_key_can_be_is_refused_with_what_can(tmp_path: Path, arguments: tuple[str, ...], named: str):
    ended = run(tmp_path, "deploy.cli", "keys", "create", *arguments)
    assert ended.returncode == 2
    assert named in ended.stderr


async def test_a_bridge_shows_scorers_the_key_in_its_file(tmp_path: Path):
    """Without one, or with another, it is refused; the next one in the file is shown without a restart."""
    clock = [0.0]
    keys, file = tmp_path / "keys" / "api_keys.json", tmp_path / "bridge.key"
    environ = {**Issuer(tmp_path / "jwks.json").environ, "FEED_DATA_DIR": str(tmp_path)}
    good, other = (api_keys.create(keys, name, [scope]) for name, scope in (("a", "scoring:rank"), ("b", "admin:not")))
    settings = load(ScorerSettings, environ)

    async def outcome() -> Outcome:
        clock[0] += 10
        with pytest.raises(ScorerError) as caught:
            await scorer.rank([scoring_pb2.RankRequest(user_id="u1", k=1)], 10.0)
        return caught.value.failure.outcome

    async with Service("scorer", build(settings), guard=guard_of(settings)) as service:
        scorer = GrpcScorer(f"127.0.0.1:{service.grpc_port}", ScorerKeyFile(file, lambda: clock[0]).metadata)
        assert await outcome() is Outcome.REFUSED
        file.write_text(good)
        file.chmod(0o644)  # others may read it: as good as none
        assert await outcome() is Outcome.REFUSED
        file.chmod(0o600)
        file.write_text(other)
        assert await outcome() is Outcome.REFUSED
        file.write_text(f"{good}\n")
        assert await outcome() is Outcome.MODEL_MISSING
        file.unlink()
        assert await outcome() is Outcome.MODEL_MISSING
        await scorer.close()
