"""Runs the scripted scorer."""

import argparse
import sys
from collections.abc import Sequence

from fakes.command import add_common, run, script_of
from fakes.scorer.server import FakeScorer

NAME = "fake-scorer"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the scripted scorer until SIGTERM; returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"feed {NAME}", description="Runs a scorer that does what a script says.")
    add_common(parser, port=50052, http_port=8082)
    parser.add_argument(
        "--relay", action="store_true", help="let scripts put at run time cut connections (reset, half)"
    )
    given = parser.parse_args(argv)
    script = script_of(parser, given.script, bridge=False)
    return run(
        NAME,
        lambda: FakeScorer(script, host=given.host, port=given.port, http_port=given.http_port, relay=given.relay),
    )


if __name__ == "__main__":
    sys.exit(main())
