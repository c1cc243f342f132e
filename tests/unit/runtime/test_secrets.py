"""Secrets of the settings: never shown, never named in errors, and their files for their user alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.settings import BridgeSettings
from deploy.processes import NAMES
from insights.settings import InsightsSettings
from interactions.settings import InteractionsSettings
from interactions.sink.settings import SinkSettings
from runtime.secrets.files import SecretFileError, require_private
from runtime.secrets.signing import KeyFileError, load_or_create_private_key, load_or_create_secret
from runtime.settings import CommonSettings, SettingsError, describe, load
from scorer.settings import ScorerSettings
from trainer.settings import TrainerSettings

CANARY = "canary"
CLASSES = (BridgeSettings, InsightsSettings, InteractionsSettings, ScorerSettings, SinkSettings, TrainerSettings)
# A name with one of these words in it is a secret's, or of something about it that ends in one of those.
SECRET_WORDS = ("password", "secret", "token", "_key", "credential")
ABOUT_SECRETS = ("_file", "_path", "_location", "_url", "_ttl_s", "_enabled")
# Each setting with a secret in it, and one that holds the canary and is fine otherwise.
GIVEN = {
    "FEED_DATABASE_URL": f"postgresql://feed:{CANARY}@db.example:5432/feed?sslpassword={CANARY}",
    "FEED_KAFKA_SASL_PASSWORD": CANARY,
    "FEED_KAFKA_OAUTH_CLIENT_SECRET": CANARY,
    "FEED_KAFKA_SSL_KEY_PASSWORD": CANARY,
    "FEED_AUTH_JWKS_URL": f"https://feed:{CANARY}@login.example/jwks?key={CANARY}",
    "FEED_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": f"https://feed:{CANARY}@login.example/token?key={CANARY}",
}


def secret_settings() -> Iterator[tuple[str, Any]]:
    """Each setting that is named as a secret is, with its type."""
    for cls in CLASSES:
        for name, field in cls.model_fields.items():
            if any(word in name for word in SECRET_WORDS) and not name.endswith(ABOUT_SECRETS):
                yield name, field.annotation


def test_each_process_is_looked_at():
    assert len(CLASSES) == len(NAMES)


def test_what_is_named_as_a_secret_is_of_a_type_that_hides_itself():
    found = dict(secret_settings())
    assert set(found) == {"kafka_sasl_password", "kafka_oauth_client_secret", "kafka_ssl_key_password"}
    assert set(found.values()) == {SecretStr}


def test_every_file_of_a_secret_is_held_to_its_mode(tmp_path: Path):
    """But for a token that a platform keeps fresh, and gives the mode that it likes, and for hashes of API keys."""
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    file.chmod(0o644)
    names = {
        name
        for cls in CLASSES
        for name in cls.model_fields
        if any(word in name for word in SECRET_WORDS) and name.endswith(("_file", "_path", "_location"))
    }
    open_to_all = {name for name in names if not _refused(name, file)}
    assert open_to_all == {
        "auth_api_keys_file",
        "kafka_oauth_token_file",
        "scorer_model_public_key_path",
        "insights_model_public_key_path",
        "tls_key_file",  # read, and judged, with its certificate: tests/unit/runtime/test_tls.py
    }


def _refused(name: str, file: Path) -> bool:
    cls = next(each for each in CLASSES if name in each.model_fields)
    with pytest.raises(SettingsError) as caught:
        load(cls, {f"FEED_{name.upper()}": str(file), "FEED_SCORER_GRPC_PORT": "x", "FEED_NOT_THERE": "x"})
    return any("secret: others may read or change it; chmod 600 it" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("cls", CLASSES)
def test_no_process_shows_a_secret(cls: type[CommonSettings]):
    kafka = {
        "FEED_KAFKA_BOOTSTRAP_SERVERS": "k:9092",
        "FEED_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "FEED_KAFKA_SASL_MECHANISM": "PLAIN",
        "FEED_KAFKA_SASL_USERNAME": "feed",
    }
    given = {**kafka, **{key: GIVEN[key] for key in ("FEED_DATABASE_URL", "FEED_KAFKA_SASL_PASSWORD")}}
    shown = "\n".join(describe(load(cls, given)))
    assert "FEED_DATABASE_URL=postgresql://(hidden)@db.example:5432/feed?(hidden)" in shown
    assert "FEED_KAFKA_SASL_PASSWORD=**********" in shown
    assert CANARY not in shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        pytest.param("postgresql://u:p@h:5432/d", "postgresql://(hidden)@h:5432/d", id="who logs in"),
        pytest.param("postgresql://u:p@q@h/d", "postgresql://(hidden)@h/d", id="a password with an @"),
        pytest.param("postgresql://u:p?q@h/d", "postgresql://(hidden)@h/d", id="a password with a question mark"),
        pytest.param("postgresql://h/d?user=u&password=p", "postgresql://h/d?(hidden)", id="a query"),
        pytest.param("postgresql://h/d", "postgresql://h/d", id="nothing to hide"),
        pytest.param("sqlite:////var/feed.db", "sqlite:////var/feed.db", id="a file"),
    ],
)
def test_of_an_address_only_the_place_is_shown(given: str, shown: str):
    assert f"FEED_DATABASE_URL={shown}" in describe(load(CommonSettings, {"FEED_DATABASE_URL": given}))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({name: f"x{value}"}, id=name)  # not one of them is right by now
        for name, value in {**GIVEN, "FEED_DATABASE_URL": f"postgres:/feed:{CANARY}@h"}.items()
    ],
)
def test_no_error_names_a_secret(given: Mapping[str, str]):
    with pytest.raises(SettingsError) as caught:
        load(CommonSettings, given)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "is_private"), [(0o600, True), (0o400, True), (0o640, True), (0o440, True), (0o644, False), (0o660, False)]
)
def test_others_may_not_read_a_secret_and_a_group_may_not_change_it(tmp_path: Path, mode: int, is_private: bool):
    file = tmp_path / "secret"
    file.touch()
    file.chmod(mode)
    if is_private:
        require_private(file)
    else:
        with pytest.raises(SecretFileError, match="secret: others may read or change it; chmod 600 it"):
            require_private(file)


@pytest.mark.parametrize("read", [load_or_create_private_key, load_or_create_secret])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, read: Any):
    path = tmp_path / "key"
    read(path)
    read(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="key: others may read or change it; chmod 600 it"):
        read(path)
