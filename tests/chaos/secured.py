"""All processes of a system, each with a certificate and only for those who show one."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.processes import Running
from tests.chaos.rig import COMMON, publish
from tests.http import call_now
from tests.integration.bridge.conftest import fill
from tests.system import GRPC, HTTP, free_ports
from tests.tls import TlsFolder

_COMMANDS = {"sink": ("interactions.sink",), "trainer": ("trainer", "schedule")}


class SecuredProcess(Running):
    """One of them, which is asked by TLS whether it is ready."""

    tls: ssl.SSLContext

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it ended at its start"
        try:
            return call_now(self.http_port, "GET", "/readyz", tls=self.tls).status == 200
        except OSError:
            return False


class SecuredSystem:
    """The processes, ready, on one folder.

    Args:
        folder: Their data directory.
        closing: Ends them.
        files: Their certificates.
        names: Which processes.
    """

    def __init__(self, folder: Path, closing: ExitStack, files: TlsFolder, names: tuple[str, ...]) -> None:
        self.names = names
        publish(folder)
        fill(f"sqlite:///{folder / 'feed.db'}")
        ports = free_ports()
        grpc = {name: next(ports) for name in GRPC}
        http = {name: next(ports) for name in HTTP}
        self._environ: Mapping[str, str] = {
            **COMMON,
            **files.environ,
            **{f"FEED_{name.upper()}_GRPC_PORT": str(port) for name, port in grpc.items()},
            **{f"FEED_{name.upper()}_HTTP_PORT": str(port) for name, port in http.items()},
            "FEED_DATA_DIR": str(folder),
            "FEED_SCORER_TARGETS": f"127.0.0.1:{grpc['scorer']}",
            "FEED_BRIDGE_SEEN_SERVED_H": "0",
            "FEED_TRAINER_MLFLOW_ENABLED": "false",
        }
        self._processes = {name: self._launched(name, folder, grpc, http) for name in names}
        for process in self._processes.values():
            closing.callback(process.stop)
            process.tls = files.context
            process.launch()
        for process in self._processes.values():
            process.wait_until_ready()

    def __getitem__(self, name: str) -> SecuredProcess:
        return self._processes[name]

    def doors(self) -> Iterator[tuple[str, int]]:
        """Yields the kind and the port of everything that listens."""
        for name, process in self._processes.items():
            yield "http", process.http_port
            if name in GRPC:
                yield "grpc", process.grpc_port

    def _launched(self, name: str, folder: Path, grpc: Mapping[str, int], http: Mapping[str, int]) -> SecuredProcess:
        command = ("-m", *_COMMANDS.get(name, (name,)))
        return SecuredProcess(name, command, self._environ, folder, grpc.get(name, 0), http[name])
