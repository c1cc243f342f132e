"""How a Kafka client says who it is, and how it takes on another password or token without a restart.

One object serves one client: `config` goes into the client's configuration, and whoever polls the client calls `renew`
as often as it likes. Whoever rotates a secret only writes the file.
"""

import errno
import importlib
import time
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from eventlog.ports import EventLogError
from runtime.kafka_settings import MSK_IAM, KafkaSettings

_LOG = structlog.get_logger(__name__)

# A token that a file holds is asked for again after four fifths of this: librdkafka's rule. Its true expiry is the
# broker's to judge, and whoever writes the file minds it. After a failure librdkafka would wait 10 s.
_TOKEN_LIFETIME_S: Final = 5.0
_CHECK_EVERY_S: Final = 1.0
_SIGNER: Final = "aws_msk_iam_sasl_signer.MSKAuthTokenProvider"


class CredentialsError(EventLogError):
    """The credentials cannot be made on this machine; the text says what is missing. The operator adds it."""


class SaslClient(Protocol):
    """A Producer, Consumer or AdminClient."""

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Uses these for new connections, and tries at once where the old ones were refused."""


class Credentials(Protocol):
    """What one client identifies itself with."""

    def config(self) -> dict[str, Any]:
        """Returns what a new client's configuration needs over `KafkaSettings.kafka_config`.

        Raises:
            OSError: A file cannot be read.
            CredentialsError: A library is missing.
        """

    def renew(self, client: SaslClient) -> None:
        """Hands the client what has changed; looks once a second at most, so call it whenever it is polled."""


class FixedCredentials:
    """Nothing to add and nothing to change: the settings hold it all, or librdkafka fetches it by itself."""

    def config(self) -> dict[str, Any]:
        """Adds nothing."""
        return {}

    def renew(self, client: SaslClient) -> None:
        """Changes nothing."""


class FileCredentials:
    """A user name and a password, of which files hold one or both.

    Args:
        username: The name, or the file that holds it.
        password: The password, or the file that holds it.
        check_every_s: Shortest time between two looks at the files, in seconds.
    """

    def __init__(self, username: str | Path, password: str | Path, *, check_every_s: float = _CHECK_EVERY_S) -> None:
        self._sources = (username, password)
        self._check_every_s = check_every_s
        self._check_at = 0.0
        self._given: tuple[str, str] | None = None
        self._unreadable = False

    def config(self) -> dict[str, Any]:
        """Returns what the files say now."""
        self._given = username, password = self._read()
        return {"sasl.username": username, "sasl.password": password}

    def renew(self, client: SaslClient) -> None:
        """Hands over what the files say, if it is not what the client has."""
        now = time.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + self._check_every_s
        try:
            found = self._read()
        except OSError as error:
            # Just being replaced, or gone: the old ones may still be good.
            if not self._unreadable:
                _LOG.warning("eventlog.credentials_unreadable", error=str(error))
            self._unreadable = True
            return
        self._unreadable = False
        if found != self._given:
            client.set_sasl_credentials(*found)
            self._given = found
            _LOG.info("eventlog.credentials_renewed", username=found[0])

    def _read(self) -> tuple[str, str]:
        username, password = (_text(source) for source in self._sources)
        return username, password


class TokenFile:
    """An OAuth token in a file that somebody else keeps fresh, such as a projected service account token.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""

    def config(self) -> dict[str, Any]:
        """Returns the callback by which librdkafka asks for the token."""
        self._token = _text(self._path)
        return {"oauth_cb": self._ask}

    def renew(self, client: SaslClient) -> None:
        """Does nothing: librdkafka asks by itself."""

    def _ask(self, _config: str) -> tuple[str, float]:
        try:
            self._token = _text(self._path)
        except OSError as error:
            _LOG.warning("eventlog.credentials_unreadable", error=str(error))
        return self._token, time.time() + _TOKEN_LIFETIME_S


class MskIam:
    """A token that AWS's signer makes from the credentials of this machine, pod or role.

    Args:
        region: AWS region of the brokers.
    """

    def __init__(self, region: str) -> None:
        self._region = region

    def config(self) -> dict[str, Any]:
        """Returns the callback by which librdkafka asks for the token."""
        try:
            self._signer = importlib.import_module(_SIGNER)
        except ImportError as error:
            text = "AWS_MSK_IAM needs aws-msk-iam-sasl-signer-python; install feed-recommendation-bridge[msk]"
            raise CredentialsError(text) from error
        return {"oauth_cb": self._ask}

    def renew(self, client: SaslClient) -> None:
        """Does nothing: librdkafka asks by itself."""

    def _ask(self, _config: str) -> tuple[str, float]:
        try:
            token, expiry_ms = self._signer.generate_auth_token(self._region)
        except Exception as error:
            # librdkafka only says that the callback failed.
            _LOG.warning("eventlog.token_not_signed", error=str(error))
            raise
        return token, expiry_ms / 1000


def credentials_of(settings: KafkaSettings) -> Credentials:
    """Returns what one new client identifies itself with."""
    if settings.kafka_sasl_mechanism == MSK_IAM:
        return MskIam(settings.kafka_aws_region)
    if settings.kafka_oauth_token_file:
        return TokenFile(Path(settings.kafka_oauth_token_file))
    if settings.kafka_sasl_username_file or settings.kafka_sasl_password_file:
        return FileCredentials(
            _file_or(settings.kafka_sasl_username_file, settings.kafka_sasl_username),
            _file_or(settings.kafka_sasl_password_file, settings.kafka_sasl_password.get_secret_value()),
        )
    return FixedCredentials()


def _file_or(path: str, text: str) -> str | Path:
    return Path(path) if path else text


def _text(source: str | Path) -> str:
    """Returns the text, without the line end that editors and `echo` add."""
    if isinstance(source, str):
        return source
    text = source.read_text(errors="replace").rstrip("\r\n")
    if not text:
        raise OSError(errno.ENODATA, "The file is empty", str(source))
    return text
