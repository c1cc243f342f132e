"""Composes how people sign in to the page, as the settings ask for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from insights.domain.session import ROLE_SCOPES
from insights.page.sign_in_ports import KeptSignOuts
from insights.page.views import Door
from insights.settings import InsightsSettings
from runtime.access.guard import api_keys_of, signing_keys_of
from runtime.secrets.secret_ring import SecretRing
from runtime.secrets.signing import KeyFileError
from runtime.settings import SettingsError

if TYPE_CHECKING:
    from insights.adapters.issuer_oidc import OidcIssuer
    from insights.page.sign_in import SignIn
    from insights.page.sign_outs import SignOuts


class Entrance(NamedTuple):
    """How people sign in.

    Args:
        sign_in: Who has; None: nobody is asked.
        doors: Where they do.
        others: What follows the issuer's keys, and who has signed out.
    """

    sign_in: "SignIn | None"
    doors: Sequence[Door]
    others: "Sequence[OidcIssuer | SignOuts]"


def entrance_of(settings: InsightsSettings, kept: KeptSignOuts) -> Entrance:
    """Returns how people sign in, and keeps who has signed out; raises SettingsError."""
    if settings.auth == "off":
        return Entrance(None, (), ())
    # Only those who ask callers pay for the library's import.
    from insights.page.sessions import Sessions  # noqa: PLC0415
    from insights.page.sign_in import SignIn  # noqa: PLC0415
    from insights.page.sign_outs import SignOuts  # noqa: PLC0415

    sign_outs = SignOuts(kept)
    try:
        sessions = Sessions(SecretRing(settings.session_key_path), sign_outs)
    except KeyFileError as error:
        raise SettingsError([f"the key that signs sessions: {error}"]) from error
    keys, issuer = api_keys_of(settings), _issuer(settings)
    if issuer is None:
        sign_in = SignIn(keys, sessions)
        return Entrance(sign_in, sign_in.doors, (sign_outs,))
    from insights.page.issued import IssuedSignIn  # noqa: PLC0415

    sign_in = SignIn(keys, sessions, urlsplit(settings.auth_issuer).netloc)
    return Entrance(sign_in, (*sign_in.doors, *IssuedSignIn(sign_in, issuer).doors), (sign_outs, issuer))


def _issuer(settings: InsightsSettings) -> "OidcIssuer | None":
    if not settings.insights_oidc_client_id:
        return None
    from insights.adapters.issuer_oidc import Client, OidcIssuer, is_address  # noqa: PLC0415

    if settings.auth != "jwt" or not is_address(settings.auth_issuer):
        raise SettingsError(["FEED_INSIGHTS_OIDC_CLIENT_ID needs FEED_AUTH=jwt and a FEED_AUTH_ISSUER of https://…"])
    client = Client(
        settings.auth_issuer,
        settings.insights_oidc_client_id,
        settings.oidc_client_secret,
        settings.auth_audience,
        settings.auth_leeway_s,
    )
    return OidcIssuer(client, signing_keys_of(settings), frozenset().union(*ROLE_SCOPES.values()))
