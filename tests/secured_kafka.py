"""A real Kafka as in production: users with passwords, certificates or tokens, and only the declared rights."""

import base64
import json
import time
from pathlib import Path
from typing import Any

from deploy.local.kafka import LocalKafka
from deploy.local.kafka_security import ADMIN, Listener, Security, Tls
from deploy.local.process import free_port
from deploy.topics import declared
from eventlog import topics
from tests.certificates import Authority, Identity

PRODUCER = "feed-rec-producer"
SINK = "feed-rec-sink"
OPERATOR = "feed-rec-operator"
# Without any right, until a test gives them some.
NEWCOMER = "newcomer"
LATECOMER = "latecomer"


class SecuredKafka:
    """The broker; each user's password is the user's name and `-password`.

    Args:
        folder: Of the broker and the certificates.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self._ports = {name: free_port() for name in ("TLS", "CERTIFICATES", "TOKENS")}
        identity, signer = self._authority.identity("broker").both, self._authority.certificate
        listeners = (
            Listener("TLS", self._ports["TLS"], tls=Tls(identity, signer)),
            Listener("CERTIFICATES", self._ports["CERTIFICATES"], "", tls=Tls(identity, signer, "required")),
            Listener("TOKENS", self._ports["TOKENS"], "OAUTHBEARER"),
        )
        users = {user: password(user) for user in (ADMIN, PRODUCER, SINK, OPERATOR, NEWCOMER, LATECOMER)}
        self.server = LocalKafka(folder / "kafka", security=Security(users, listeners))

    def provide(self) -> None:
        """Brings the declared topics and rights."""
        declaration = declared()
        topics.apply(self.config(), specs=declaration.topics, grants=declaration.grants, say=lambda _line: None)

    def config(self, user: str = ADMIN) -> dict[str, Any]:
        """Returns how a user connects with a password, without TLS."""
        return self.server.client_config(user)

    def settings(self, user: str = PRODUCER) -> dict[str, str]:
        """Returns the same as `FEED_KAFKA_*` settings."""
        return {
            "FEED_KAFKA_BOOTSTRAP_SERVERS": self.server.bootstrap_servers,
            "FEED_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "FEED_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "FEED_KAFKA_SASL_USERNAME": user,
            "FEED_KAFKA_SASL_PASSWORD": password(user),
        }

    def address(self, listener: str) -> str:
        """Returns where TLS, CERTIFICATES or TOKENS are taken."""
        return f"127.0.0.1:{self._ports[listener]}"

    @property
    def authority(self) -> Path:
        """PEM file of who signed the broker."""
        return self._authority.certificate

    def identity(self, user: str) -> Identity:
        """Returns files by which somebody is this user."""
        return self._authority.identity(user)


def password(user: str) -> str:
    """Returns a user's password."""
    return f"{user}-password"


def token(user: str, lifetime_s: float) -> str:
    """Returns an unsigned bearer token, which tests' brokers believe."""
    now = time.time()
    claims = {"sub": user, "iat": now - 1, "exp": now + lifetime_s}
    return ".".join(_base64(json.dumps(part)) for part in ({"alg": "none"}, claims)) + "."


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
