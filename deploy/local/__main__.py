"""`python -m deploy.local kafka|postgres --dir DIR --port PORT`: one real server in the foreground until SIGTERM."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import LocalServerError
from deploy.local.jars import write_lock
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.local.process import LocalServer

_WATCH_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 after SIGTERM or SIGINT; 1 when the server cannot start or ends by itself.
    """
    arguments = _parser().parse_args(argv)
    if arguments.command == "lock-jars":
        _say(f"{write_lock()} jars pinned")
        return 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = _start(arguments)
    except LocalServerError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return _watch(server, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("kafka", "postgres"):
        server = commands.add_parser(name, help=f"run {name} until SIGTERM; its data stays in DIR")
        server.add_argument(
            "--dir", type=Path, required=True, help="folder of this server's data, configuration and log"
        )
        server.add_argument("--port", type=int, default=0, help="loopback port (default: a free one)")
        if name == "kafka":
            server.add_argument("--libs", type=Path, help="folder of the jars (default: in the virtual environment)")
    commands.add_parser("lock-jars", help="resolve maven/pom.xml anew and pin its jars (needs Maven)")
    return parser


def _start(arguments: argparse.Namespace) -> LocalServer:
    if arguments.command == "postgres":
        postgres = LocalPostgres(arguments.dir, port=arguments.port).start()
        _say(f"postgres ready on 127.0.0.1:{postgres.port}, pid {postgres.pid}, password in {arguments.dir}/password")
        return postgres
    kafka = LocalKafka(arguments.dir, port=arguments.port, libs=arguments.libs).start()
    _say(f"kafka ready on {kafka.bootstrap_servers}, pid {kafka.pid}")
    return kafka


def _watch(server: LocalServer, stop: threading.Event) -> int:
    while not stop.wait(_WATCH_S):
        if not server.is_running:
            print(f"ended by itself; see {server.log_path}", file=sys.stderr)  # noqa: T201
            return 1
    server.stop()
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
