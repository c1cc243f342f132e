"""S04: who shows no good certificate is refused at every door; certificates change under load and no call fails."""

import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge.adapters.scorer_grpc import GrpcScorer
from runtime.process import Service
from runtime.settings import CommonSettings, load
from runtime.tls.identity import tls_of
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.certificates import LIFETIME, Authority, Identity, self_signed
from tests.chaos.conftest import Reporter
from tests.chaos.load import Load, open_loop
from tests.chaos.rig import GRACE_S, SHORT_BOUND_S
from tests.chaos.secured import SecuredSystem
from tests.chaos.watching import read_metrics
from tests.polling import wait_for
from tests.system import HTTP
from tests.tls import TlsFolder, grpc_outcome, https_outcome, plain_grpc_outcome, plain_http_outcome

REFUSED = "100 % refused at gRPC and REST of every process"
ROTATED = "0 failed calls, of clients and of the bridge at its scorer; each step live <= 60 s"
REQUESTS = "feed_bridge_requests_total"
ATTEMPTS = "feed_bridge_attempts_total"
# Both of them twice over: then a certificate's two days are over, or have not begun.
LATER = 3 * LIFETIME


def wrong_identities(folder: Path, authority: Authority) -> Mapping[str, Identity | None]:
    """What callers and servers may show that is no good, by name."""
    folder.mkdir()
    return {
        "none": None,
        "self-signed": self_signed(folder, "self-signed"),
        "expired": authority.identity("expired", begun=-LATER),
        "not yet valid": authority.identity("early", begun=LATER),
        "another authority's": Authority(folder, "stranger").identity("theirs"),
    }


def test_who_shows_no_good_certificate_is_refused_everywhere(tmp_path: Path, report: Reporter, long: bool) -> None:
    """The long form asks every process; the short one a process with gRPC, and one without."""
    files = TlsFolder(tmp_path / "tls")
    wrong = wrong_identities(tmp_path / "wrong", files.authority)
    good = files.authority.identity("good")
    with ExitStack() as closing:
        system = SecuredSystem(tmp_path, closing, files, HTTP if long else ("scorer", "sink"))
        doors = list(system.doors())
        asked: dict[str, Callable[[int, Identity | None], str]] = {
            "grpc": lambda port, shown: grpc_outcome(port, files.authority.certificate, shown),
            "http": lambda port, shown: https_outcome(port, files.authority.certificate, shown),
        }
        let_in = [asked[kind](port, good) for kind, port in doors]
        outcomes = {
            (name, kind, port): asked[kind](port, shown) for name, shown in wrong.items() for kind, port in doors
        }
        plain = {"grpc": plain_grpc_outcome, "http": plain_http_outcome}
        outcomes |= {("plain text", kind, port): plain[kind](port) for kind, port in doors}
    broken = [line for name in system.names for line in _lines(tmp_path / f"{name}.log") if not _is_json(line)]
    refused = sum(outcome in {"UNAVAILABLE", "REFUSED"} for outcome in outcomes.values())
    report(
        "S04",
        "callers with no, a self-signed, an expired, an early, another authority's certificate and in plain text",
        target=REFUSED,
        met=refused == len(outcomes),
        doors=len(doors),
        tried=len(outcomes),
        refused=refused,
        broken_log_lines=len(broken),
    )
    assert broken == []
    assert set(let_in) == {"OK", "200"}
    assert {each for each in outcomes.values() if each not in {"UNAVAILABLE", "REFUSED"}} == set()


async def test_a_bridge_refuses_who_is_no_scorer_of_its_authority(tmp_path: Path, report: Reporter) -> None:
    """Whoever takes a scorer's address without its key gets to hear no user's id."""
    files = TlsFolder(tmp_path / "tls")
    shown = wrong_identities(tmp_path / "wrong", files.authority)
    shown = {**shown, "another name": files.authority.identity("elsewhere", at=["scorer.example"])}
    good = tls_of(load(CommonSettings, files.environ))
    refused = {}
    for name, identity in shown.items():
        environ = dict(files.environ)
        if identity is not None:
            environ |= {"FEED_TLS_CERT_FILE": str(identity.certificate), "FEED_TLS_KEY_FILE": str(identity.key)}
        settings = load(ScorerSettings, {**environ, "FEED_DATA_DIR": str(tmp_path)})
        tls = tls_of(settings) if identity else None
        async with Service("scorer", build(settings), tls=tls) as service:
            scorer = GrpcScorer(f"127.0.0.1:{service.grpc_port}", tls=good)
            refused[name] = not await scorer.serving(10.0)
            await scorer.close()
    report(
        "S04",
        "a scorer in plain text, and with a self-signed, expired, early, another authority's or name's certificate",
        target="100 % refused by the bridge",
        met=all(refused.values()),
        tried=len(refused),
        refused=sum(refused.values()),
    )
    assert [name for name, did in refused.items() if not did] == []


def test_certificates_and_their_authority_change_under_load(tmp_path: Path, report: Reporter, long: bool) -> None:
    """As operators do it: trust both authorities, show the new certificates, no longer trust the old authority."""
    files = TlsFolder(tmp_path / "tls")
    old, old_authority = files.authority.identity("old"), _copied(files.authority.certificate, "old-authority")
    spare = TlsFolder(tmp_path / "spare")
    lasted: list[float] = []
    with ExitStack() as closing:
        system = SecuredSystem(tmp_path, closing, files, ("scorer", "bridge"))
        bridge, doors = system["bridge"], list(system.doors())
        before = read_metrics(bridge.http_port, tls=files.context)
        load_ = Load(bridge.grpc_port, tmp_path, *_pace(files, long))
        closing.callback(load_.stop)
        with newcomers(bridge.http_port, bridge.grpc_port, files) as outcomes:
            _both(files, old_authority, spare)
            lasted.append(_waited(lambda: all(_greeted(*door, files, spare.identity) for door in doors)))
            wait_for(lambda: len(bridge.events("bridge.scorer_channel_renewed")), lambda count: count >= 1)
            _replace(spare.identity, files.identity)
            lasted.append(_waited(lambda: all(_shown(port, files) == _der(spare.identity) for _, port in doors)))
            _copy(spare.authority.certificate, files.authority.certificate)
            lasted.append(_waited(lambda: not any(_greeted(*door, files, old) for door in doors)))
            time.sleep(10 if long else 1)  # the load goes on: a duration, not a wait for something
        calls = load_.finish(60 + GRACE_S) if long else load_.end(GRACE_S)
        after = read_metrics(bridge.http_port, tls=files.context)
        renewed = len(bridge.events("bridge.scorer_channel_renewed"))

    served = before.growth(after, REQUESTS)
    degraded = served - before.growth(after, REQUESTS, source="LIGHTFM")
    unconnected = before.growth(after, ATTEMPTS, outcome="unavailable")
    failed = len(calls.failed) + sum(outcome not in {"OK", "200"} for outcome in outcomes)
    report(
        "S04",
        "all certificates and their authority replaced under load, in three steps",
        target=ROTATED,
        met=not failed and not unconnected and not calls.refused and max(lasted) <= 60,
        calls=len(calls),
        new_connections=len(outcomes),
        failed=failed,
        refused=calls.refused,
        attempts_without_connection=unconnected,
        degraded=degraded,
        slowest_step_s=max(lasted),
        channels_renewed=renewed,
        p99_ms=calls.p99_ms,
    )
    assert calls.failed == []
    assert set(outcomes) == {"OK", "200"}
    assert unconnected == 0
    assert renewed >= 2


@contextmanager
def newcomers(http_port: int, grpc_port: int, files: TlsFolder) -> Iterator[list[str]]:
    """Callers who connect anew for each call, with what is in the files; gives how they fared."""
    outcomes: list[str] = []
    stopped = threading.Event()

    def come() -> None:
        while not stopped.wait(0.1):
            outcomes.append(https_outcome(http_port, files.authority.certificate, files.identity))
            outcomes.append(grpc_outcome(grpc_port, files.authority.certificate, files.identity))

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield outcomes
    finally:
        stopped.set()
        thread.join()


def _pace(files: TlsFolder, long: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    shown = ("--cert", str(files.identity.certificate), "--key", str(files.identity.key))
    pace = open_loop(100, 60) if long else open_loop(50, SHORT_BOUND_S)
    return pace, ("--cacert", str(files.authority.certificate), *shown)


def _greeted(kind: str, port: int, files: TlsFolder, shown: Identity) -> bool:
    ask = grpc_outcome if kind == "grpc" else https_outcome
    return ask(port, files.authority.certificate, shown) in {"OK", "200"}


def _shown(port: int, files: TlsFolder) -> bytes | None:
    """The certificate that a server shows."""
    context = files.context
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        return secured.getpeercert(binary_form=True)


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _der(identity: Identity) -> bytes:
    return ssl.PEM_cert_to_DER_cert(identity.certificate.read_text())


def _waited(done: Callable[[], bool]) -> float:
    start = time.monotonic()
    wait_for(done, bool, 60.0)
    return time.monotonic() - start


def _both(files: TlsFolder, old: Path, spare: TlsFolder) -> None:
    both = files.folder / "both.pem"
    both.write_bytes(old.read_bytes() + spare.authority.certificate.read_bytes())
    both.replace(files.authority.certificate)


def _replace(new: Identity, place: Identity) -> None:
    """One after the other: for a moment the key is not the certificate's."""
    _copy(new.key, place.key)
    _copy(new.certificate, place.certificate)


def _copy(source: Path, place: Path) -> None:
    temporary = place.with_suffix(".new")
    shutil.copy2(source, temporary)
    temporary.replace(place)


def _copied(path: Path, name: str) -> Path:
    copy = path.with_name(f"{name}.pem")
    shutil.copy2(path, copy)
    return copy
