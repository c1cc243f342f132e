"""The load generator: ghz (its own process, not Python, so that it costs little)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import tools

CONTRACT = Path(__file__).parents[2] / "protos" / "CONTRACT.binpb"


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured.

    Args:
        rps: Answers a second.
        p50_ms: Median latency.
        p99_ms: 99th percentile of the latency.
        max_ms: Slowest answer.
        ok: Answers with status OK.
        total: All calls.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    ok: int
    total: int


def find() -> str:
    """Returns the path of ghz, built if need be; ends the process when it cannot be had."""
    try:
        return str(tools.find(tools.GHZ))
    except tools.ToolMissingError as error:
        raise SystemExit(f"bench: {error}") from error


def run(port: int, call: str, *arguments: str, proto: Path | None = None) -> Load:
    """Runs ghz against a loopback port, by our contract or by another proto file."""
    source = ["--proto", str(proto)] if proto else ["--protoset", str(CONTRACT)]
    command = [find(), "--insecure", *source, "--call", call, "-O", "json", *arguments, f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    latency = {each["percentage"]: each["latency"] / 1e6 for each in report["latencyDistribution"] or ()}
    return Load(
        rps=report["rps"],
        p50_ms=latency.get(50, 0.0),
        p99_ms=latency.get(99, 0.0),
        max_ms=report["slowest"] / 1e6,
        ok=int((report["statusCodeDistribution"] or {}).get("OK", 0)),
        total=report["count"],
    )
