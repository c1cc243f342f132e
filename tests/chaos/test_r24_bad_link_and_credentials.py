"""R24: the way to Kafka is slow, narrow or cut, or Kafka refuses who comes: the journal takes all, nothing is lost."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.local.kafka import LocalKafka
from deploy.local.kafka_security import ADMIN, Listener, Mechanism, Security
from deploy.local.postgres import LocalPostgres
from deploy.local.process import free_port
from deploy.topics import declared
from storage.database import upgrade
from tests.brokers import as_new, running
from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig, IngestRun
from tests.databases import fresh_postgres_url
from tests.polling import wait_for
from tests.secret_files import write_secret
from tests.secured_kafka import PRODUCER, SINK, password, token
from tests.toxiproxy import Proxy, toxiproxy

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "0 lost; ack P95 < 50 ms; alarm <= 10 s; resumes <= 10 s"
LATENCY_MS = 200
BANDWIDTH_KB_S = 50
RESET_EVERY_MS = 1_000
REFUSALS = "feed_eventlog_authentication_failures_total"
RELAYED = "feed_eventlog_relayed_records_total"
# How long a broker lets a connection live whose user does not show a valid token again.
REAUTH_MS = 5_000
LISTENERS: Mapping[str, Mechanism] = {"PASSWORDS": "SCRAM-SHA-512", "TOKENS": "OAUTHBEARER"}
# Long enough for the service to start and to be loaded for a while.
SHORT_TOKEN_S, LONG_TOKEN_S = 10.0, 20.0


@dataclass(frozen=True)
class Place:
    """The rig behind a bad link.

    Args:
        rig: Its ingest service comes by the proxy, its sink does not.
        proxy: The link.
        secret: The file that holds the service's password or token.
    """

    rig: IngestRig
    proxy: Proxy
    secret: Path


@dataclass(frozen=True)
class Gate:
    """A broker, and by mechanism the links by which its users come."""

    server: LocalKafka
    proxies: Mapping[Mechanism, Proxy]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A broker whose users come with SCRAM-SHA-512 or OAUTHBEARER, each by a link of its own."""
    folder: Path = tmp_path_factory.mktemp("gate")
    users = {user: password(user) for user in (ADMIN, PRODUCER, SINK)}
    with ExitStack() as closing:
        listeners, proxies = [], {}
        for name, mechanism in LISTENERS.items():
            port = free_port()
            proxies[mechanism] = proxy = closing.enter_context(toxiproxy(folder, port))
            listeners.append(Listener(name, port, mechanism, advertised_port=proxy.port, max_reauth_ms=REAUTH_MS))
        security = Security(users, tuple(listeners))
        yield Gate(closing.enter_context(running(LocalKafka(folder / "kafka", security=security))), proxies)


@pytest.fixture
def make_place(
    tmp_path: Path, gate: Gate, postgres: LocalPostgres, long: bool
) -> Iterator[Callable[[Mechanism], Place]]:
    """Makes the rig for users who come with this mechanism."""
    with ExitStack() as closing:

        def make(mechanism: Mechanism) -> Place:
            proxy = gate.proxies[mechanism]
            proxy.heal()
            server = as_new(gate.server, declared().grants)
            change_password(server, PRODUCER, password(PRODUCER))
            url = fresh_postgres_url(postgres.url)
            upgrade(url)
            rig = IngestRig(tmp_path, closing, server, url, long=long)
            rig.environ |= settings(SINK) | {"FEED_KAFKA_SASL_PASSWORD": password(SINK)}
            rig.sink()
            del rig.environ["FEED_KAFKA_SASL_PASSWORD"]
            rig.environ |= settings(PRODUCER) | {"FEED_KAFKA_BOOTSTRAP_SERVERS": proxy.target}
            return Place(rig, proxy, tmp_path / "secret")

        yield make


def settings(user: str) -> dict[str, str]:
    return {
        "FEED_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FEED_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "FEED_KAFKA_SASL_USERNAME": user,
    }


def alarm_after(run: IngestRun, since_s: float) -> float:
    """Waits until refused credentials show in the metrics; returns how long after an instant that was, in seconds."""
    before = run.sample().total(REFUSALS)
    wait_for(lambda: run.sample().total(REFUSALS), lambda count: count > before, run.bound_s)
    return time.monotonic() - since_s


def resumed_after(run: IngestRun, rate: float, since_s: float) -> float:
    """Waits until Kafka takes events again; returns how long after an instant that was, in seconds.

    That is a second's load out of the journal, or an event that went straight to Kafka: the whole journal takes as
    long as there is much in it.
    """
    before = run.sample()

    def takes_events() -> bool:
        made = run.sender.attempts().between(since_s)
        return made.durabilities["KAFKA"] > 0 or before.growth(run.sample(), RELAYED) >= rate

    wait_for(takes_events, bool, run.bound_s)
    return time.monotonic() - since_s


def judged(run: IngestRun, start_s: float, end_s: float, report: Reporter, what: str, **taken: float) -> None:
    """Reports a run with a fault from one instant to another, and asserts what holds on the busiest machine."""
    meanwhile = run.attempts.between(start_s, end_s)
    p95_ms = meanwhile.latency_ms(0.95)
    in_time = taken["resumed_s"] <= 10 and taken.get("alarm_s", 0.0) <= 10
    report(
        "R24",
        what,
        target=TARGET,
        met=run.right and meanwhile.failed == 0 and p95_ms < 50 and in_time,
        **run.figures(),
        **taken,
        fault_s=end_s - start_s,
        fault_ack_p95_ms=p95_ms,
        fault_ack_max_ms=meanwhile.latency_ms(1.0),
    )
    run.check()
    assert meanwhile.durabilities["JOURNAL"], "the fault was not felt"
    assert meanwhile.failed == 0


def test_the_link_is_slow_narrow_and_cut(make_place: Callable[[Mechanism], Place], long: bool, report: Reporter):
    place = make_place("SCRAM-SHA-512")
    write_secret(place.secret, password(PRODUCER))
    place.rig.environ["FEED_KAFKA_SASL_PASSWORD_FILE"] = str(place.secret)
    interactions = place.rig.interactions()
    with place.rig.under_load(interactions) as run:
        run.pause(20 if long else 1)
        slow = run.pause(0)
        place.proxy.add("latency", latency=LATENCY_MS)
        place.proxy.add("bandwidth", rate=BANDWIDTH_KB_S)
        place.proxy.add("bandwidth", to_upstream=True, rate=BANDWIDTH_KB_S)
        run.pause(60 if long else 4)
        place.proxy.heal()
        place.proxy.add("reset_peer", timeout=RESET_EVERY_MS)
        run.pause(60 if long else 3)
        place.proxy.heal()
        healed = run.pause(0)
        resumed_s = resumed_after(run, place.rig.rate, healed)
        drained_s = run.until_in_kafka(healed) - healed
        run.pause(20 if long else 1)

    what = f"Kafka link with {LATENCY_MS} ms and {BANDWIDTH_KB_S} KB/s, then reset every second"
    judged(run, slow, healed, report, what, resumed_s=resumed_s, drained_s=drained_s)


def test_the_password_is_wrong_and_then_rotated(make_place: Callable[[Mechanism], Place], long: bool, report: Reporter):
    """The broker has the new password first, as when somebody rotates it and the file comes late."""
    place = make_place("SCRAM-SHA-512")
    write_secret(place.secret, password(PRODUCER))
    place.rig.environ["FEED_KAFKA_SASL_PASSWORD_FILE"] = str(place.secret)
    interactions = place.rig.interactions()
    with place.rig.under_load(interactions) as run:
        run.pause(20 if long else 1)
        change_password(place.rig.broker, PRODUCER, "rotated")
        refused = run.pause(0)
        alarm_s = alarm_after(run, refused)
        run.pause(30 if long else 2)
        place.secret.write_text("rotated")
        rotated = run.pause(0)
        resumed_s = resumed_after(run, place.rig.rate, rotated)
        drained_s = run.until_in_kafka(rotated) - rotated
        run.pause(20 if long else 1)

    what = "SCRAM password changed at the broker, then in the file"
    judged(run, refused, rotated, report, what, alarm_s=alarm_s, resumed_s=resumed_s, drained_s=drained_s)


def test_the_token_expires_and_is_renewed(make_place: Callable[[Mechanism], Place], long: bool, report: Reporter):
    place = make_place("OAUTHBEARER")
    del place.rig.environ["FEED_KAFKA_SASL_USERNAME"]
    place.rig.environ |= {
        "FEED_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "FEED_KAFKA_OAUTH_TOKEN_FILE": str(place.secret),
    }
    lifetime_s = LONG_TOKEN_S if long else SHORT_TOKEN_S
    place.secret.write_text(token(PRODUCER, lifetime_s))
    expires = time.monotonic() + lifetime_s
    interactions = place.rig.interactions()
    with place.rig.under_load(interactions) as run:
        run.pause(max(0.0, expires - time.monotonic()))
        alarm_s = alarm_after(run, expires)
        run.pause(30 if long else 2)
        place.secret.write_text(token(PRODUCER, 3_600))
        renewed = run.pause(0)
        resumed_s = resumed_after(run, place.rig.rate, renewed)
        drained_s = run.until_in_kafka(renewed) - renewed
        run.pause(20 if long else 1)

    what = "OAuth token expired, then renewed in its file"
    judged(run, expires, renewed, report, what, alarm_s=alarm_s, resumed_s=resumed_s, drained_s=drained_s)


def change_password(server: LocalKafka, user: str, new: str) -> None:
    """Changes it; connections that there are end with their next reauthentication."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    change = UserScramCredentialUpsertion(user, info, new.encode())
    admin = AdminClient(server.client_config())
    admin.alter_user_scram_credentials([change])[user].result(10)
