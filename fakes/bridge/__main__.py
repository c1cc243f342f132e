"""Runs the fake bridge."""

import argparse
import os
import sys
from collections.abc import Sequence

from fakes.bridge.server import FakeBridge
from fakes.command import add_common, run, script_of

NAME = "fake-bridge"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the fake bridge until SIGTERM; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=f"feed {NAME}", description="Runs a bridge on its own that gives every answer a bridge can give."
    )
    add_common(parser, port=50051, http_port=8080)
    given = parser.parse_args(argv)
    script = script_of(parser, given.script, bridge=True)
    return run(
        NAME,
        lambda: FakeBridge(script, host=given.host, port=given.port, http_port=given.http_port, environ=os.environ),
    )


if __name__ == "__main__":
    sys.exit(main())
