"""The local Kafka with users, passwords, rights and TLS, as a production cluster has them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

# The super user: brings topics and rights, and speaks for the broker to itself.
ADMIN: Final = "admin"
# What the broker calls itself towards its controller.
_BROKER: Final = "broker"
# The listener of the administrator, on the broker's own port.
_MAIN: Final = "ADMIN"
_CONTROLLER: Final = "CONTROLLER"

Mechanism: TypeAlias = Literal["SCRAM-SHA-512", "OAUTHBEARER", ""]

_LOGIN: Final = "org.apache.kafka.common.security"
_LOGIN_MODULES: Final = {
    "SCRAM-SHA-512": f"{_LOGIN}.scram.ScramLoginModule",
    "OAUTHBEARER": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for a listener with TLS.

    Args:
        identity: PEM file of the broker's key (PKCS#8) and certificate.
        authority: PEM file of who signs its clients; the same who signed `identity`.
        clients: Whether a client must show a certificate: `required`, or `none`.
    """

    identity: Path
    authority: Path
    clients: Literal["required", "none"] = "none"


@dataclass(frozen=True, slots=True)
class Listener:
    """One more port for clients.

    Args:
        name: Capital letters; not ADMIN, CONTROLLER.
        port: On loopback.
        mechanism: How users tell who they are; empty: by their certificate alone. The tokens of OAUTHBEARER are
            believed unsigned, which is for tests only.
        tls: Its files; None: no TLS.
        advertised_port: Where clients are sent after their first connection, such as a proxy; 0: `port`.
        max_reauth_ms: After how many milliseconds users must show again who they are, or are cut off; 0: never.
    """

    name: str
    port: int
    mechanism: Mechanism = "SCRAM-SHA-512"
    tls: Tls | None = None
    advertised_port: int = 0
    max_reauth_ms: int = 0

    @property
    def protocol(self) -> str:
        """Kafka's name for it."""
        if not self.mechanism:
            return "SSL"
        return "SASL_SSL" if self.tls else "SASL_PLAINTEXT"

    def properties(self, jaas_options: str = "") -> Iterator[tuple[str, str]]:
        """Yields its lines of `server.properties`."""
        prefix = f"listener.name.{self.name.lower()}"
        if self.mechanism:
            login = f"{prefix}.{self.mechanism.lower()}"
            yield f"{prefix}.sasl.enabled.mechanisms", self.mechanism
            yield f"{login}.sasl.jaas.config", f"{_LOGIN_MODULES[self.mechanism]} required {jaas_options};"
            if self.max_reauth_ms:
                yield f"{login}.connections.max.reauth.ms", str(self.max_reauth_ms)
        if self.tls:
            yield f"{prefix}.ssl.keystore.type", "PEM"
            yield f"{prefix}.ssl.keystore.location", str(self.tls.identity)
            yield f"{prefix}.ssl.truststore.type", "PEM"
            yield f"{prefix}.ssl.truststore.location", str(self.tls.authority)
            yield f"{prefix}.ssl.client.auth", self.tls.clients
            # The common name alone is who somebody is, as a declaration of rights has it.
            yield f"{prefix}.ssl.principal.mapping.rules", "RULE:^CN=([^,]+).*$/$1/,DEFAULT"


@dataclass(frozen=True, slots=True)
class Security:
    """Who there is, and through which ports they come.

    Nobody may do anything but the super user `admin`, until rights are granted.

    Args:
        passwords: By user name, SCRAM-SHA-512; made with the storage, so only a fresh folder takes them. Has `admin`.
        listeners: Ports for clients besides the broker's own, where users come with SCRAM and no TLS.
    """

    passwords: Mapping[str, str]
    listeners: tuple[Listener, ...] = field(default=())

    def client_config(self, user: str) -> dict[str, str]:
        """Returns what a client adds to its configuration to be this user."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.passwords[user],
        }

    def format_arguments(self) -> list[str]:
        """Returns what makes the users when the storage is formatted."""
        users = self.passwords.items()
        return [f"--add-scram=SCRAM-SHA-512=[name={user},password={password}]" for user, password in users]

    def properties(self, port: int, controller_port: int) -> dict[str, str]:
        """Returns lines of `server.properties`.

        Args:
            port: Of the broker.
            controller_port: Of its controller.
        """
        admin = self.passwords[ADMIN]
        main = Listener(_MAIN, port)
        every = (main, *self.listeners)
        controller = f"{_CONTROLLER}://127.0.0.1:{controller_port}"
        protocols = [f"{_CONTROLLER}:SASL_PLAINTEXT", *(f"{each.name}:{each.protocol}" for each in every)]
        return {
            "listeners": ",".join([controller, *(f"{each.name}://127.0.0.1:{each.port}" for each in every)]),
            "advertised.listeners": ",".join(
                f"{each.name}://127.0.0.1:{each.advertised_port or each.port}" for each in every
            ),
            "listener.security.protocol.map": ",".join(protocols),
            "inter.broker.listener.name": _MAIN,
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:{_BROKER}",
            **_between_broker_and_controller(admin),
            **dict(main.properties(f'username="{ADMIN}" password="{admin}"')),
            # A broker with this mechanism wants a name for itself, which it never uses.
            **{key: text for each in self.listeners for key, text in each.properties(_unused_login(each))},
        }


def _unused_login(listener: Listener) -> str:
    return f'unsecuredLoginStringClaim_sub="{_BROKER}"' if listener.mechanism == "OAUTHBEARER" else ""


def _between_broker_and_controller(password: str) -> dict[str, str]:
    """Without a password there, everybody on this machine would be a super user by way of the controller."""
    login = f'username="{_BROKER}" password="{password}" user_{_BROKER}="{password}"'
    prefix = f"listener.name.{_CONTROLLER.lower()}"
    return {
        "sasl.mechanism.controller.protocol": "PLAIN",
        f"{prefix}.sasl.enabled.mechanisms": "PLAIN",
        f"{prefix}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required {login};",
    }
