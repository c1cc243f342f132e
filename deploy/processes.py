"""The processes of the system: what starts each, and where it says whether it can serve."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NamedTuple

from runtime.settings import load
from runtime.tls.identity import TlsFiles, tls_of

# The command of this very installation, whatever else is on the PATH.
FEED: Final = (sys.executable, "-m", "deploy.cli")


class _Process(NamedTuple):
    """A process: its command, and where its settings are. They are imported by who asks: each takes a while."""

    command: tuple[str, ...]
    module: str
    settings: str
    niceness: int = 0


# Nobody waits for what they do, but somebody for a page: by turns, a busy machine served a fifth fewer pages, and the
# slowest of a hundred took nearly twice as long.
_BEHIND: Final = 10

_PROCESSES: Final = {
    "scorer": _Process(("scorer",), "scorer.settings", "ScorerSettings"),
    "bridge": _Process(("bridge",), "bridge.settings", "BridgeSettings"),
    "interactions": _Process(("interactions",), "interactions.settings", "InteractionsSettings"),
    "sink": _Process(("sink",), "interactions.sink.settings", "SinkSettings", _BEHIND),
    "insights": _Process(("insights",), "insights.settings", "InsightsSettings", _BEHIND),
    "trainer": _Process(("trainer", "schedule"), "trainer.settings", "TrainerSettings", _BEHIND),
}
NAMES: Final = tuple(_PROCESSES)
# Module and class of the settings of each.
SETTINGS: Final = {name: (process.module, process.settings) for name, process in _PROCESSES.items()}

# Who listens everywhere is asked from here.
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # compared, not listened on


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process that is to run.

    Args:
        name: Its name, also the name of its log and pid file.
        command: What to start.
        ready_url: Answers 200 once the process can serve.
        tls: How it is asked; None: in plain text.
        niceness: How far it stands back behind others when the machine is busy, 0 to 19.
    """

    name: str
    command: tuple[str, ...]
    ready_url: str
    tls: TlsFiles | None = None
    niceness: int = 0


def spec_of(name: str, environ: Mapping[str, str]) -> ProcessSpec:
    """Returns how a process of `NAMES` is run, at the address that its settings give it.

    Raises:
        SettingsError: When they are wrong.
    """
    process = _PROCESSES[name]
    settings = load(getattr(import_module(process.module), process.settings), environ)
    host, port = getattr(settings, f"{name}_host"), getattr(settings, f"{name}_http_port")
    tls = tls_of(settings) if settings.serves_tls else None
    url = f"{'https' if tls else 'http'}://{_HERE.get(host, host)}:{port}/readyz"
    return ProcessSpec(name, (*FEED, *process.command), url, tls, process.niceness)


def not_ready(spec: ProcessSpec) -> str | None:
    """Asks a process whether it can serve; returns why not, None when it can."""
    try:
        context = spec.tls.now().probe if spec.tls else None
        with urllib.request.urlopen(spec.ready_url, timeout=1, context=context):  # noqa: S310  # built here
            return None
    except urllib.error.HTTPError as error:
        return error.read(1000).decode(errors="replace").strip() or str(error)
    except OSError as error:
        return f"{spec.ready_url}: {getattr(error, 'reason', error)}"
