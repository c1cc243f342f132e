"""Each way to identify oneself, on a real broker: set by FEED_KAFKA_*, refused when wrong, mended while running."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eventlog import topics
from eventlog.access import Grant, Operation, Resource
from eventlog.adapters.kafka_credentials import credentials_of
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.history import history
from eventlog.ports import Durability, Record
from eventlog.tail import open_tail
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ
from interactions.sink.replay_cli import GROUP as REPLAY_GROUP
from runtime.settings import CommonSettings, load
from tests.certificates import Authority
from tests.polling import until, wait_for
from tests.secret_files import write_secret
from tests.secured_kafka import LATECOMER, OPERATOR, PRODUCER, SecuredKafka, password, token

pytestmark = pytest.mark.kafka

Environ = dict[str, str]


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("eventlog.librdkafka").setLevel(logging.CRITICAL)


@asynccontextmanager
async def publishing(environ: Environ) -> AsyncIterator[KafkaPublisher]:
    settings = load(CommonSettings, environ)
    publisher = KafkaPublisher(
        settings.kafka_config(), topics=[INTERACTIONS], credentials=credentials_of(settings), close_timeout_s=0.5
    )
    await publisher.start()
    yield publisher
    await publisher.close()


async def works(publisher: KafkaPublisher) -> None:
    async def publishes() -> bool:
        return await publisher.publish_many([Record(INTERACTIONS, "u1", b"{}")]) == [Durability.KAFKA]

    await says(publisher, None)
    await until(publishes, expected=True, bound_s=30)


async def says(publisher: KafkaPublisher, *problems: str | None) -> None:
    async def told() -> bool:
        return publisher.not_ready() in problems

    await until(told, expected=True, bound_s=30)


def environ_of(address: str, protocol: str, **more: str | Path) -> Environ:
    named = {"bootstrap_servers": address, "security_protocol": protocol, **more}
    return {f"FEED_KAFKA_{name.upper()}": str(value) for name, value in named.items()}


def scram(kafka: SecuredKafka) -> Environ:
    return kafka.settings()


def scram_over_tls(kafka: SecuredKafka) -> Environ:
    return environ_of(
        kafka.address("TLS"),
        "SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=PRODUCER,
        sasl_password=password(PRODUCER),
        ssl_ca_location=kafka.authority,
    )


def certificate(kafka: SecuredKafka) -> Environ:
    mine = kafka.identity(PRODUCER)
    return environ_of(
        kafka.address("CERTIFICATES"),
        "SSL",
        ssl_ca_location=kafka.authority,
        ssl_certificate_location=mine.certificate,
        ssl_key_location=mine.key,
    )


@pytest.mark.parametrize("way", [scram, scram_over_tls, certificate])
async def test_who_is_known_may_publish(secured_kafka: SecuredKafka, way: Callable[[SecuredKafka], Environ]) -> None:
    async with publishing(way(secured_kafka)) as publisher:
        await works(publisher)


async def test_a_broker_that_somebody_else_signed_is_refused(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").certificate
    async with publishing(scram_over_tls(secured_kafka) | {"FEED_KAFKA_SSL_CA_LOCATION": str(stranger)}) as publisher:
        await says(publisher, "TLS to Kafka fails")


async def test_a_certificate_that_somebody_else_signed_is_refused(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    mine = Authority(tmp_path, "stranger").identity(PRODUCER)
    shown = {
        "FEED_KAFKA_SSL_CERTIFICATE_LOCATION": str(mine.certificate),
        "FEED_KAFKA_SSL_KEY_LOCATION": str(mine.key),
    }
    async with publishing(certificate(secured_kafka) | shown) as publisher:
        # With TLS 1.3 the broker hangs up after the handshake, and does not always get to say why.
        await says(publisher, "TLS to Kafka fails", "no Kafka broker answers")


async def test_a_wrong_password_is_mended_by_writing_its_file(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    file = tmp_path / "password"
    write_secret(file, "wrong")
    environ = secured_kafka.settings() | {"FEED_KAFKA_SASL_PASSWORD": "", "FEED_KAFKA_SASL_PASSWORD_FILE": str(file)}
    async with publishing(environ) as publisher:
        await says(publisher, "Kafka refuses the credentials")
        file.write_text(password(PRODUCER))
        await works(publisher)


async def test_rights_that_come_late_are_used_at_once(secured_kafka: SecuredKafka) -> None:
    """Without them the idempotent producer's error is fatal, and no producer goes on after one."""
    async with publishing(secured_kafka.settings(LATECOMER)) as publisher:
        await says(publisher, f"Kafka lacks the topic {INTERACTIONS}, or this user may not see it")
        await asyncio.to_thread(_grant_writing, secured_kafka, LATECOMER)
        await works(publisher)


def _grant_writing(kafka: SecuredKafka, user: str) -> None:
    grants = [Grant(user, each, Resource.TOPIC, INTERACTIONS) for each in (Operation.WRITE, Operation.DESCRIBE)]
    topics.apply(kafka.config(), specs=[], grants=grants, say=lambda _line: None)


async def test_the_declared_rights_let_the_operator_read_and_write(secured_kafka: SecuredKafka) -> None:
    """`feed replay-dlq` reads dead letters and writes interactions; `feed interactions tail` reads."""
    environ = secured_kafka.settings(OPERATOR)
    settings = load(CommonSettings, environ)
    async with publishing(environ) as publisher:
        await works(publisher)

    assert list(history(settings, INTERACTIONS_DLQ, REPLAY_GROUP)) == []
    tail = open_tail(settings, INTERACTIONS)
    tail.start(from_oldest=True)
    assert wait_for(lambda: tail.poll(10, 1.0), bool)
    tail.close()


async def test_an_expired_token_is_mended_by_writing_its_file(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token(PRODUCER, lifetime_s=-60))
    address = secured_kafka.address("TOKENS")
    environ = environ_of(address, "SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", oauth_token_file=file)
    async with publishing(environ) as publisher:
        await says(publisher, "Kafka refuses the credentials")
        file.write_text(token(PRODUCER, lifetime_s=600))
        await works(publisher)


async def test_a_token_comes_from_an_endpoint_for_a_client_and_its_secret(
    secured_kafka: SecuredKafka, token_endpoint: str
) -> None:
    """librdkafka asks by itself (OIDC); here we show that our settings make it do so."""
    environ = environ_of(
        secured_kafka.address("TOKENS"),
        "SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        oauth_token_endpoint_url=token_endpoint,
        oauth_client_id="feed",
        oauth_client_secret="s3cret",
        oauth_scope="kafka",
    )
    async with publishing(environ) as publisher:
        await works(publisher)


class _TokenEndpoint(BaseHTTPRequestHandler):
    """Gives a token to the client `feed` with its secret."""

    def do_POST(self) -> None:
        known = self.headers["Authorization"] == "Basic ZmVlZDpzM2NyZXQ="  # feed:s3cret
        answer = {"access_token": token(PRODUCER, 600), "token_type": "Bearer", "expires_in": 600} if known else {}
        body = json.dumps(answer).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def token_endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _TokenEndpoint) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
        server.shutdown()
        serving.join()
