"""`feed bridge breaker`: looks at the breakers of the running bridge, and holds them open or closed."""

import http.client
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from prometheus_client.parser import text_string_to_metric_families

from bridge.adapters.switch_file import SwitchFile
from bridge.domain.breaker import Mode
from bridge.domain.switch import Switch
from bridge.ports import SwitchError
from bridge.settings import BridgeSettings
from runtime.settings import SettingsError, load
from runtime.tls.identity import TlsFiles, tls_of

ResultT = TypeVar("ResultT")

app = typer.Typer(
    help="The circuit breakers of the bridge.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# The values of these gauges; bridge/metrics.py sets them.
STATE_METRIC: Final = "feed_bridge_breaker_state"
STATES: Final = ("closed", "half-open", "open")
MODE_METRIC: Final = "feed_bridge_breaker_forced"
MODES: Final = (Mode.AUTO, Mode.OPEN, Mode.CLOSED)

# A bridge looks at the switch five times a second.
EFFECT_BOUND_S: Final = 2.0
LOOK_AGAIN_S: Final = 0.1
ANSWER_BOUND_S: Final = 1.0

# Addresses that mean every interface, and how this machine reaches them.
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # nothing is bound

Target = Annotated[str | None, typer.Option("--target", help="HOST:PORT of one scorer; without it, all of them")]


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """What a bridge process says of one breaker."""

    target: str
    worker: str
    state: str
    mode: Mode


@app.command("open")
def open_(target: Target = None) -> None:
    """Hold it open: no call to the scorer, every fresh page from the fallback lists."""
    _turn(Mode.OPEN, target)


@app.command()
def close(target: Target = None) -> None:
    """Hold it closed: every call is made, whatever its outcome."""
    _turn(Mode.CLOSED, target)


@app.command()
def auto(target: Target = None) -> None:
    """Let it go: it decides again, from open by probes, from closed with an empty window."""
    _turn(Mode.AUTO, target)


@app.command()
def status() -> None:
    """Show each breaker of the running bridge, and what is set for the next one."""
    settings = _settings()
    shown = _shown(settings)
    switch = _or_fail(SwitchFile(settings.bridge_dir).read)
    typer.echo(f"set: {_in_words(switch)}")
    if shown is None:
        _fail(f"no bridge answers on {_address(settings)}")
    for each in shown:
        worker = f" (worker {each.worker})" if each.worker else ""
        typer.echo(f"{each.target}{worker}: {each.state}, {'' if each.mode is Mode.AUTO else 'held '}{each.mode}")


def _turn(mode: Mode, target: str | None) -> None:
    settings = _settings()
    if target is not None and target not in settings.scorer_target_list:
        _fail(f"{target} is no scorer of this bridge; FEED_SCORER_TARGETS is {settings.scorer_targets}", code=2)
    store = SwitchFile(settings.bridge_dir)
    switch = _or_fail(lambda: _readable(store)).turned(mode, target)
    _or_fail(lambda: store.write(switch))
    typer.echo(f"set: {_in_words(switch)}")
    _wait_for_effect(settings, switch)


def _readable(store: SwitchFile) -> Switch:
    """Returns what is set; a damaged file holds nothing that is worth keeping."""
    try:
        return store.read()
    except SwitchError as error:
        typer.echo(f"replacing what cannot be read: {error}", err=True)
        return Switch()


def _wait_for_effect(settings: BridgeSettings, switch: Switch) -> None:
    end = time.monotonic() + EFFECT_BOUND_S
    while True:
        shown = _shown(settings)
        if shown is None:
            typer.echo(f"no bridge answers on {_address(settings)}; one that starts on this data folder will obey")
            return
        if shown and all(each.mode is switch.mode(each.target) for each in shown):
            typer.echo(f"the bridge on {_address(settings)} obeys")
            return
        if time.monotonic() > end:
            _fail(f"the bridge on {_address(settings)} does not obey yet: has it the same FEED_DATA_DIR?")
        time.sleep(LOOK_AGAIN_S)


def _shown(settings: BridgeSettings) -> Sequence[Shown] | None:
    """Asks the running bridge; None when none answers."""
    host = _HERE.get(settings.bridge_host, settings.bridge_host)
    connection = _connection(host, settings)
    try:
        connection.request("GET", "/metrics")
        return sorted(_parsed(connection.getresponse().read().decode()))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connection(host: str, settings: BridgeSettings) -> http.client.HTTPConnection:
    port = settings.bridge_http_port
    tls = _tls(settings)
    if tls is None:
        return http.client.HTTPConnection(host, port, timeout=ANSWER_BOUND_S)
    return http.client.HTTPSConnection(host, port, timeout=ANSWER_BOUND_S, context=tls.now().probe)


def _parsed(text: str) -> Iterator[Shown]:
    """Reads the gauges of the breakers; several workers tell theirs apart by the label `worker`."""
    values = {
        (family.name, sample.labels["target"], sample.labels.get("worker", "")): int(sample.value)
        for family in text_string_to_metric_families(text)
        if family.name in (STATE_METRIC, MODE_METRIC)
        for sample in family.samples
    }
    for (name, target, worker), value in values.items():
        if name == STATE_METRIC:
            yield Shown(target, worker, STATES[value], MODES[values.get((MODE_METRIC, target, worker), 0)])


def _in_words(switch: Switch) -> str:
    single = "".join(f", {target} {mode}" for target, mode in sorted(switch.targets.items()))
    return f"{'every scorer' if not single else 'others'} {switch.everywhere}{single}"


def _address(settings: BridgeSettings) -> str:
    return f"{settings.bridge_host}:{settings.bridge_http_port}"


def _settings() -> BridgeSettings:
    try:
        return load(BridgeSettings, os.environ)
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", code=2)


def _tls(settings: BridgeSettings) -> TlsFiles | None:
    try:
        return tls_of(settings) if settings.serves_tls else None
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", code=2)


def _or_fail(act: Callable[[], ResultT]) -> ResultT:
    try:
        return act()
    except SwitchError as error:
        _fail(str(error))


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)
