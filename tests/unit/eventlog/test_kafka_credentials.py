"""Credentials of Kafka clients: what files say is taken on without a restart."""

import base64
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from eventlog.adapters.kafka_credentials import (
    CredentialsError,
    FileCredentials,
    FixedCredentials,
    MskIam,
    TokenFile,
    credentials_of,
)
from runtime.settings import CommonSettings


class Client:
    """Remembers what it was handed."""

    def __init__(self) -> None:
        self.handed: list[tuple[str, str]] = []

    def set_sasl_credentials(self, username: str, password: str) -> None:
        self.handed.append((username, password))


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("old\n")
    return file


def test_a_new_client_gets_what_the_files_say(password: Path, tmp_path: Path) -> None:
    (tmp_path / "name").write_text("feed")
    files = FileCredentials(tmp_path / "name", password)

    assert files.config() == {"sasl.username": "feed", "sasl.password": "old"}


def test_a_client_is_handed_a_change_once(password: Path) -> None:
    files, client = FileCredentials("feed", password, check_every_s=0), Client()
    files.config()
    files.renew(client)
    assert client.handed == []

    password.write_text("new\r\n")
    files.renew(client)
    files.renew(client)
    assert client.handed == [("feed", "new")]


def test_a_client_that_was_made_after_a_change_is_not_handed_it_again(password: Path) -> None:
    files, client = FileCredentials("feed", password, check_every_s=0), Client()
    files.config()
    password.write_text("new")
    assert files.config()["sasl.password"] == "new"
    files.renew(client)
    assert client.handed == []


def test_files_are_looked_at_once_in_a_while_however_often_it_is_asked(password: Path) -> None:
    files, client = FileCredentials("feed", password, check_every_s=3_600), Client()
    files.config()
    files.renew(client)
    password.write_text("new")
    files.renew(client)
    assert client.handed == []


@pytest.mark.parametrize("kind", ["gone", "empty"])
def test_a_file_that_cannot_be_read_changes_nothing(password: Path, kind: str) -> None:
    """Secrets are replaced by renaming or by rewriting; for a moment there may be nothing."""
    files, client = FileCredentials("feed", password, check_every_s=0), Client()
    files.config()
    _spoil(password, kind)
    files.renew(client)
    assert client.handed == []

    password.write_text("new")
    files.renew(client)
    assert client.handed == [("feed", "new")]


@pytest.mark.parametrize("kind", ["gone", "empty"])
def test_a_process_does_not_start_without_its_password(password: Path, kind: str) -> None:
    _spoil(password, kind)

    with pytest.raises(OSError, match="password"):
        FileCredentials("feed", password).config()


def test_a_token_is_read_each_time_it_is_asked_for(tmp_path: Path) -> None:
    """librdkafka asks again after four fifths of the lifetime it was told, so that a new token goes live in seconds."""
    file = tmp_path / "token"
    file.write_text("one\n")
    ask = TokenFile(file).config()["oauth_cb"]
    before = time.time()
    token, expiry = ask("")
    assert token == "one"
    assert before < expiry < before + 10

    file.write_text("two")
    assert ask("")[0] == "two"
    file.unlink()
    assert ask("")[0] == "two"


def test_a_process_does_not_start_without_its_token(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="token"):
        TokenFile(tmp_path / "token").config()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        pytest.param({}, FixedCredentials, id="nothing"),
        pytest.param({"sasl_username": "u", "sasl_password": "p"}, FixedCredentials, id="in settings"),
        pytest.param({"sasl_username": "u", "sasl_password_file": "/p"}, FileCredentials, id="password file"),
        pytest.param({"sasl_username_file": "/u", "sasl_password": "p"}, FileCredentials, id="name file"),
        pytest.param({"sasl_mechanism": "OAUTHBEARER", "oauth_token_file": "/t"}, TokenFile, id="token file"),
        pytest.param({"sasl_mechanism": "AWS_MSK_IAM", "aws_region": "eu-west-1"}, MskIam, id="MSK"),
    ],
)
def test_settings_choose_the_kind(settings: dict[str, Any], kind: type) -> None:
    named = {f"kafka_{name}": value for name, value in settings.items()}

    assert type(credentials_of(CommonSettings(**named))) is kind


def test_the_token_for_msk_is_signed_for_its_region_and_lives_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With AWS's real signer, which works offline; it tells the expiry in milliseconds, librdkafka wants seconds."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    token, expiry = MskIam("eu-west-1").config()["oauth_cb"]("")

    url = urlparse(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    assert url.hostname == "kafka.eu-west-1.amazonaws.com"
    assert parse_qs(url.query)["Action"] == ["kafka-cluster:Connect"]
    assert 0 < expiry - time.time() <= 900


def test_without_the_library_msk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer.MSKAuthTokenProvider", None)

    with pytest.raises(CredentialsError, match=r"feed-recommendation-bridge\[msk\]"):
        MskIam("eu-west-1").config()


def _spoil(file: Path, kind: str) -> None:
    if kind == "gone":
        file.unlink()
    else:
        os.truncate(file, 0)
