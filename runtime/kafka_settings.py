"""Where the Kafka brokers are and how a process identifies itself: `FEED_KAFKA_*`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from runtime.secrets.files import SecretFile

# Not a mechanism of its own on the wire: OAUTHBEARER with a token that AWS's signer makes.
MSK_IAM: Final = "AWS_MSK_IAM"
_OAUTH: Final = "OAUTHBEARER"
_WITH_PASSWORD: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_OAUTH_CLIENT: Final = ("oauth_client_id", "oauth_client_secret", "oauth_scope", "oauth_ca_location")
# Of these, what no client can do without.
_OAUTH_NEEDED: Final = _OAUTH_CLIENT[:2]
_TLS: Final = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location", "ssl_key_password")


class KafkaSettings(BaseSettings):
    """The brokers and the credentials. A name that ends in `_file` is read again every few seconds."""

    kafka_bootstrap_servers: str = Field("", description="host:port,… ; empty: the embedded journal.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to."
    )
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] = Field(
        "", description="How this client says who it is; empty: it does not."
    )
    kafka_sasl_username: str = Field("", description="Name, for PLAIN and SCRAM.")
    kafka_sasl_username_file: str = Field("", description="Path of a file that holds the name.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="Password, for PLAIN and SCRAM.")
    kafka_sasl_password_file: SecretFile = Field("", description="Path of a file that holds the password.")
    kafka_oauth_token_file: str = Field("", description="Path of a file that holds a token, kept fresh by others.")
    kafka_oauth_token_endpoint_url: str = Field(
        "", pattern=r"^$|^https?://\S+$", description="Where tokens come from for a client id and secret (OIDC)."
    )
    kafka_oauth_client_id: str = Field("", description="Client id, for OAUTHBEARER.")
    kafka_oauth_client_secret: SecretStr = Field(SecretStr(""), description="Its secret.")
    kafka_oauth_scope: str = Field("", description="What the token is to be good for; empty: what the issuer gives.")
    kafka_oauth_ca_location: str = Field("", description="PEM file of who signs the endpoint; empty: the system's.")
    kafka_aws_region: str = Field("", description="Region of the brokers, for AWS_MSK_IAM.")
    kafka_ssl_ca_location: str = Field("", description="PEM file of who signs the brokers; empty: the system's.")
    kafka_ssl_certificate_location: str = Field("", description="PEM file of this client's certificate (mTLS).")
    kafka_ssl_key_location: SecretFile = Field("", description="PEM file of this client's key (mTLS).")
    kafka_ssl_key_password: SecretStr = Field(
        SecretStr(""), description="Password of this client's key; empty: it has none."
    )

    def kafka_config(self) -> dict[str, str]:
        """Returns the connection part of a librdkafka configuration, without what files and callbacks add."""
        named = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": _OAUTH if self.kafka_sasl_mechanism == MSK_IAM else self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password.get_secret_value(),
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
            "ssl.key.password": self.kafka_ssl_key_password.get_secret_value(),
            **self._oidc(),
        }
        return {name: value for name, value in named.items() if value}

    def _oidc(self) -> dict[str, str]:
        if not self.kafka_oauth_token_endpoint_url:
            return {}
        return {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": self.kafka_oauth_token_endpoint_url,
            "sasl.oauthbearer.client.id": self.kafka_oauth_client_id,
            "sasl.oauthbearer.client.secret": self.kafka_oauth_client_secret.get_secret_value(),
            "sasl.oauthbearer.scope": self.kafka_oauth_scope,
            "https.ca.location": self.kafka_oauth_ca_location,
        }


def contradictions(given: Mapping[str, str]) -> list[str]:
    """Returns what does not fit together, a line each, without values: some are secrets.

    Args:
        given: What was set, by field; each may be wrong by itself.
    """
    kafka = _Given({name.removeprefix("kafka_"): value for name, value in given.items() if name.startswith("kafka_")})
    about = (_about_servers, _about_mechanism, _about_msk, _about_password, _about_oauth, _about_tls)
    return [line for judge in about for line in judge(kafka)]


class _Given:
    """What was set, by its name without `kafka_`; an empty value counts as not set."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.names = tuple(name for name, value in values.items() if value)
        self.protocol = values.get("security_protocol") or "PLAINTEXT"
        self.mechanism = values.get("sasl_mechanism", "")

    def has(self, name: str) -> bool:
        return name in self.names

    def idle(self, names: Sequence[str], only_for: str) -> Iterator[str]:
        """What is set, and nobody would read."""
        for name in names:
            if self.has(name):
                yield f"{_called(name)} is only for {only_for}"


def _about_servers(kafka: _Given) -> Iterator[str]:
    others = [name for name in kafka.names if name != "bootstrap_servers"]
    if others and not kafka.has("bootstrap_servers"):
        servers = _called("bootstrap_servers")
        yield f"{_called(others[0])} is set but {servers} is not: events would stay on this machine"


def _about_mechanism(kafka: _Given) -> Iterator[str]:
    protocol, mechanism = _called("security_protocol"), _called("sasl_mechanism")
    sasl = kafka.protocol.startswith("SASL_")
    if kafka.mechanism and not sasl:
        yield f"{mechanism} needs {protocol} SASL_SSL, or SASL_PLAINTEXT"
    if sasl and not kafka.mechanism:
        yield f"{protocol} SASL_SSL and SASL_PLAINTEXT need {mechanism}"


def _about_msk(kafka: _Given) -> Iterator[str]:
    asked = f"{_called('sasl_mechanism')} {MSK_IAM}"
    if kafka.mechanism != MSK_IAM:
        yield from kafka.idle(("aws_region",), asked)
        return
    if kafka.protocol == "SASL_PLAINTEXT":
        yield f"{asked} needs {_called('security_protocol')} SASL_SSL"
    if not kafka.has("aws_region"):
        yield f"{asked} needs {_called('aws_region')}"


def _about_password(kafka: _Given) -> Iterator[str]:
    for name in ("sasl_username", "sasl_password"):
        file = f"{name}_file"
        if kafka.mechanism not in _WITH_PASSWORD:
            yield from kafka.idle((name, file), f"{_called('sasl_mechanism')} {', '.join(_WITH_PASSWORD)}")
        elif kafka.has(name) and kafka.has(file):
            yield f"{_called(name)} and {_called(file)} exclude each other"
        elif not kafka.has(name) and not kafka.has(file):
            yield f"{_called('sasl_mechanism')} {kafka.mechanism} needs {_called(name)} or {_called(file)}"


def _about_oauth(kafka: _Given) -> Iterator[str]:
    file, endpoint = "oauth_token_file", "oauth_token_endpoint_url"
    asked = f"{_called('sasl_mechanism')} {_OAUTH}"
    if kafka.mechanism != _OAUTH:
        yield from kafka.idle((file, endpoint, *_OAUTH_CLIENT), asked)
        return
    if kafka.has(file) == kafka.has(endpoint):
        yield f"{asked} needs either {_called(file)} or {_called(endpoint)}"
    if not kafka.has(endpoint):
        yield from kafka.idle(_OAUTH_CLIENT, _called(endpoint))
        return
    for name in _OAUTH_NEEDED:
        if not kafka.has(name):
            yield f"{_called(endpoint)} needs {_called(name)}"


def _about_tls(kafka: _Given) -> Iterator[str]:
    certificate, key, password = _TLS[1:]
    if kafka.protocol not in {"SSL", "SASL_SSL"}:
        yield from kafka.idle(_TLS, f"{_called('security_protocol')} SSL and SASL_SSL")
        return
    if kafka.has(certificate) != kafka.has(key):
        yield f"{_called(certificate)} and {_called(key)} need each other"
    if kafka.has(password) and not kafka.has(key):
        yield f"{_called(password)} needs {_called(key)}"


def _called(name: str) -> str:
    return f"FEED_KAFKA_{name.upper()}"
