"""The files of certificates: which go together, who may read a key, and how they are followed."""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from runtime.settings import CommonSettings, SettingsError, load
from runtime.tls.identity import TlsFiles, tls_of
from tests.tls import TlsFolder


@pytest.fixture
def files(tmp_path: Path) -> TlsFolder:
    return TlsFolder(tmp_path / "tls")


class Clock:
    """A second passes each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def settings_of(environ: Mapping[str, str]) -> CommonSettings:
    return load(CommonSettings, environ)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param(["CERT_FILE", "CA_FILE"], "FEED_TLS_CERT_FILE and FEED_TLS_KEY_FILE need each other", id="no key"),
        pytest.param(
            ["CERT_FILE", "KEY_FILE"],
            "FEED_TLS_CERT_FILE needs FEED_TLS_CA_FILE: processes call each other by TLS, too",
            id="no authority",
        ),
        pytest.param(["CLIENT_CA_FILE"], "FEED_TLS_CLIENT_CA_FILE needs FEED_TLS_CERT_FILE", id="no certificate"),
    ],
)
def test_what_does_not_go_together_is_refused(names: list[str], problem: str):
    with pytest.raises(SettingsError) as caught:
        settings_of({f"FEED_TLS_{name}": "/x.pem" for name in names})
    assert caught.value.problems == (problem,)


def test_names_in_certificates_need_certificates():
    with pytest.raises(SettingsError) as caught:
        settings_of({"FEED_AUTH": "keys", "FEED_AUTH_CERTIFICATES": "a=admin"})
    assert caught.value.problems == (
        "FEED_AUTH_CERTIFICATES needs FEED_TLS_CLIENT_CA_FILE: else nobody shows a certificate",
    )


def test_without_an_authority_there_is_no_tls():
    assert tls_of(settings_of({})) is None


def test_an_authority_alone_is_for_who_only_calls(files: TlsFolder):
    held = TlsFiles(settings_of({"FEED_TLS_CA_FILE": str(files.authority.certificate)})).now()
    assert (held.server, held.certificate, held.client.check_hostname) == (None, b"", True)


def open_to_others(files: TlsFolder) -> None:
    files.identity.key.chmod(0o604)


def writable_by_the_group(files: TlsFolder) -> None:
    files.identity.key.chmod(0o620)


def of_another_certificate(files: TlsFolder) -> None:
    files.identity.key.write_bytes(files.authority.identity("other").key.read_bytes())


def gone(files: TlsFolder) -> None:
    files.authority.certificate.unlink()


def no_certificate(files: TlsFolder) -> None:
    files.authority.certificate.write_text("hello")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(
            open_to_others,
            "FEED_TLS_KEY_FILE: service-key.pem: others may read or change it; chmod 600 it",
            id="others may read the key",
        ),
        pytest.param(
            writable_by_the_group,
            "FEED_TLS_KEY_FILE: service-key.pem: others may read or change it; chmod 600 it",
            id="the group may change the key",
        ),
        pytest.param(
            of_another_certificate,
            "FEED_TLS_CERT_FILE and FEED_TLS_KEY_FILE are no pair: KEY_VALUES_MISMATCH",
            id="another key",
        ),
        pytest.param(gone, "FEED_TLS_CA_FILE: authority.pem: No such file or directory", id="no file"),
        pytest.param(no_certificate, "FEED_TLS_CLIENT_CA_FILE: authority.pem: holds no certificate", id="no PEM"),
    ],
)
def test_wrong_files_stop_a_process_and_are_named(files: TlsFolder, spoil: Callable[[TlsFolder], None], problem: str):
    settings = settings_of(files.environ)
    spoil(files)
    with pytest.raises(SettingsError) as caught:
        tls_of(settings)
    assert caught.value.problems == (problem,)


def test_a_group_may_read_a_key(files: TlsFolder):
    """So Kubernetes hands secrets to a process that is not root (`fsGroup`)."""
    files.identity.key.chmod(0o440)
    assert tls_of(settings_of(files.environ)) is not None


def test_what_they_hold_is_the_same_until_it_changes(files: TlsFolder):
    followed = TlsFiles(settings_of(files.environ), Clock())
    first = followed.now()
    assert followed.now() is first
    files.renew()
    second = followed.now()
    assert second.certificate == files.identity.certificate.read_bytes() != first.certificate
    assert followed.now() is second


def test_half_of_a_new_pair_is_waited_for(files: TlsFolder):
    """A certificate and its key come one after the other; until both are there, the ones before serve."""
    followed = TlsFiles(settings_of(files.environ), Clock())
    before = followed.now()
    new = files.authority.identity("new")
    files.identity.key.write_bytes(new.key.read_bytes())
    assert followed.now() is before
    assert followed.now() is before
    files.identity.certificate.write_bytes(new.certificate.read_bytes())
    assert followed.now().key == new.key.read_bytes()


def test_files_that_are_gone_change_nothing(files: TlsFolder):
    followed = TlsFiles(settings_of(files.environ), Clock())
    before = followed.now()
    files.identity.certificate.unlink()
    assert followed.now() is before


def test_who_shows_a_certificate_shows_it_each_time(files: TlsFolder):
    """A session that goes on would not show it again, although it may have expired meanwhile."""
    server = TlsFiles(settings_of(files.environ)).now().server
    assert server is not None
    assert (server.minimum_version, server.num_tickets) == (ssl.TLSVersion.TLSv1_3, 0)
    assert server.verify_mode is ssl.CERT_REQUIRED


def test_nobody_is_asked_for_a_certificate_without_their_authority(files: TlsFolder):
    environ = {name: value for name, value in files.environ.items() if "CLIENT" not in name}
    server = TlsFiles(settings_of(environ)).now().server
    assert server is not None
    assert server.verify_mode is ssl.CERT_NONE


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(files: TlsFolder):
    key = load_pem_private_key(files.identity.key.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    files.identity.key.write_bytes(locked)
    with pytest.raises(SettingsError, match="FEED_TLS_CERT_FILE and FEED_TLS_KEY_FILE are no pair"):
        tls_of(settings_of(files.environ))
