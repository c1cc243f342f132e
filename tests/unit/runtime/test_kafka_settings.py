"""FEED_KAFKA_*: how each way to identify oneself is configured, and which settings contradict each other."""

import pytest

from runtime.settings import CommonSettings, SettingsError, describe, load

SERVERS = {"bootstrap_servers": "kafka:9092"}
SCRAM = {**SERVERS, "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"}
USER = {"sasl_username": "feed-rec-producer", "sasl_password": "hunter2"}
OAUTH = {**SERVERS, "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
OIDC = {"oauth_token_endpoint_url": "https://login/token", "oauth_client_id": "feed", "oauth_client_secret": "hunter2"}
MSK = {**SERVERS, "security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
TOKEN = "FEED_KAFKA_OAUTH_TOKEN"
TLS = {**SERVERS, "security_protocol": "SSL"}


def environ(given: dict[str, str]) -> dict[str, str]:
    return {f"FEED_KAFKA_{name.upper()}": value for name, value in given.items()}


@pytest.mark.parametrize(
    ("given", "config"),
    [
        pytest.param({}, {"security.protocol": "PLAINTEXT"}, id="embedded"),
        pytest.param(SERVERS, {"bootstrap.servers": "kafka:9092", "security.protocol": "PLAINTEXT"}, id="plain"),
        pytest.param(
            SCRAM | USER | {"ssl_ca_location": "/ca.pem"},
            {
                "bootstrap.servers": "kafka:9092",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "feed-rec-producer",
                "sasl.password": "hunter2",
                "ssl.ca.location": "/ca.pem",
            },
            id="SCRAM over TLS",
        ),
        pytest.param(
            TLS | {"ssl_certificate_location": "/c.pem", "ssl_key_location": "/k.pem", "ssl_key_password": "hunter2"},
            {
                "bootstrap.servers": "kafka:9092",
                "security.protocol": "SSL",
                "ssl.certificate.location": "/c.pem",
                "ssl.key.location": "/k.pem",
                "ssl.key.password": "hunter2",
            },
            id="certificate",
        ),
        pytest.param(
            OAUTH | OIDC | {"oauth_scope": "kafka", "oauth_ca_location": "/ca.pem"},
            {
                "bootstrap.servers": "kafka:9092",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": "https://login/token",
                "sasl.oauthbearer.client.id": "feed",
                "sasl.oauthbearer.client.secret": "hunter2",
                "sasl.oauthbearer.scope": "kafka",
                "https.ca.location": "/ca.pem",
            },
            id="token endpoint",
        ),
        pytest.param(
            MSK | {"aws_region": "eu-west-1"},
            {"bootstrap.servers": "kafka:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
            id="MSK IAM",
        ),
    ],
)
def test_settings_become_librdkafkas_configuration(given: dict[str, str], config: dict[str, str]) -> None:
    assert load(CommonSettings, environ(given)).kafka_config() == config


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        pytest.param(
            USER | {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"},
            ["SECURITY_PROTOCOL is set but FEED_KAFKA_BOOTSTRAP_SERVERS is not: events would stay on this machine"],
            id="a password for no broker",
        ),
        pytest.param(
            SCRAM,
            [
                "SASL_MECHANISM SCRAM-SHA-512 needs FEED_KAFKA_SASL_USERNAME or FEED_KAFKA_SASL_USERNAME_FILE",
                "SASL_MECHANISM SCRAM-SHA-512 needs FEED_KAFKA_SASL_PASSWORD or FEED_KAFKA_SASL_PASSWORD_FILE",
            ],
            id="SCRAM without a user",
        ),
        pytest.param(
            SCRAM | USER | {"sasl_password_file": "/password"},
            ["SASL_PASSWORD and FEED_KAFKA_SASL_PASSWORD_FILE exclude each other"],
            id="two passwords",
        ),
        pytest.param(
            SERVERS | USER,
            [
                "SASL_USERNAME is only for FEED_KAFKA_SASL_MECHANISM PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
                "SASL_PASSWORD is only for FEED_KAFKA_SASL_MECHANISM PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
            ],
            id="a user that nobody asks for",
        ),
        pytest.param(
            SERVERS | USER | {"sasl_mechanism": "PLAIN"},
            ["SASL_MECHANISM needs FEED_KAFKA_SECURITY_PROTOCOL SASL_SSL, or SASL_PLAINTEXT"],
            id="a mechanism without SASL",
        ),
        pytest.param(
            SERVERS | {"security_protocol": "SASL_SSL"},
            ["SECURITY_PROTOCOL SASL_SSL and SASL_PLAINTEXT need FEED_KAFKA_SASL_MECHANISM"],
            id="SASL without a mechanism",
        ),
        pytest.param(
            OAUTH,
            [f"SASL_MECHANISM OAUTHBEARER needs either {TOKEN}_FILE or {TOKEN}_ENDPOINT_URL"],
            id="no token",
        ),
        pytest.param(
            OAUTH | {"oauth_token_endpoint_url": "https://login/token"},
            [
                "OAUTH_TOKEN_ENDPOINT_URL needs FEED_KAFKA_OAUTH_CLIENT_ID",
                "OAUTH_TOKEN_ENDPOINT_URL needs FEED_KAFKA_OAUTH_CLIENT_SECRET",
            ],
            id="a token endpoint without a client",
        ),
        pytest.param(
            OAUTH | {"oauth_token_file": "/token", "oauth_client_id": "feed"},
            ["OAUTH_CLIENT_ID is only for FEED_KAFKA_OAUTH_TOKEN_ENDPOINT_URL"],
            id="a client for a token file",
        ),
        pytest.param(
            SCRAM | USER | {"oauth_token_file": "/token"},
            ["OAUTH_TOKEN_FILE is only for FEED_KAFKA_SASL_MECHANISM OAUTHBEARER"],
            id="a token beside a password",
        ),
        pytest.param(
            MSK | {"security_protocol": "SASL_PLAINTEXT"},
            [
                "SASL_MECHANISM AWS_MSK_IAM needs FEED_KAFKA_SECURITY_PROTOCOL SASL_SSL",
                "SASL_MECHANISM AWS_MSK_IAM needs FEED_KAFKA_AWS_REGION",
            ],
            id="MSK without TLS and region",
        ),
        pytest.param(
            SCRAM | USER | {"aws_region": "eu-west-1"},
            ["AWS_REGION is only for FEED_KAFKA_SASL_MECHANISM AWS_MSK_IAM"],
            id="a region for nothing",
        ),
        pytest.param(
            SERVERS | {"ssl_ca_location": "/ca.pem"},
            ["SSL_CA_LOCATION is only for FEED_KAFKA_SECURITY_PROTOCOL SSL and SASL_SSL"],
            id="an authority without TLS",
        ),
        pytest.param(
            TLS | {"ssl_certificate_location": "/c.pem", "ssl_key_password": "hunter2"},
            [
                "SSL_CERTIFICATE_LOCATION and FEED_KAFKA_SSL_KEY_LOCATION need each other",
                "SSL_KEY_PASSWORD needs FEED_KAFKA_SSL_KEY_LOCATION",
            ],
            id="a certificate without its key",
        ),
    ],
)
def test_contradictions_are_told_all_at_once(given: dict[str, str], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(CommonSettings, environ(given))

    assert list(caught.value.problems) == [f"FEED_KAFKA_{problem}" for problem in problems]
    assert "hunter2" not in str(caught.value)


def test_contradictions_are_told_beside_wrong_values() -> None:
    with pytest.raises(SettingsError) as caught:
        load(CommonSettings, environ(SCRAM) | {"FEED_LOG_LEVEL": "LOUD", "FEED_KAFKA_USER": "me"})

    assert len(caught.value.problems) == 4


def test_no_secret_is_printed() -> None:
    secret = SCRAM | USER | {"ssl_key_password": "hunter2", "ssl_key_location": "/k", "ssl_certificate_location": "/c"}
    for given in (secret, OAUTH | OIDC):
        assert "hunter2" not in "\n".join(describe(load(CommonSettings, environ(given))))
