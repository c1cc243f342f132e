"""How callers prove who they are: `FEED_AUTH` and `FEED_AUTH_*`."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

_LOOPBACK_URL: Final = r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?(?:/\S*)?"
_NEEDED: Final = ("auth_issuer", "auth_audience")
_SOURCES: Final = ("auth_jwks_file", "auth_jwks_url")
_OPTIONAL: Final = ("auth_leeway_s", "auth_jwks_refresh_s")
_KEYS: Final = "auth_api_keys_file"
_OF_SERVICES: Final = (_KEYS, "auth_certificates")
_CERTIFICATE: Final = r"[^\s,=+]+=[a-z:]+(\+[a-z:]+)*"


class AuthSettings(BaseSettings):
    """Whom callers must prove to be.

    With `off` everybody is everybody, so a process only listens on loopback; with `keys` only services call, by API
    keys; with `jwt` users do, too.
    """

    auth: Literal["off", "keys", "jwt"] = Field(
        "off",
        description="Whom callers must prove to be: off nobody, keys services by API keys, jwt users by tokens, too.",
    )
    auth_issuer: str = Field("", description="Who issues the tokens (iss).")
    auth_audience: str = Field("", description="Whom tokens must be meant for (aud).")
    auth_jwks_file: str = Field("", description="Path of the issuer's JSON Web Key Set; read again as it changes.")
    auth_jwks_url: str = Field(
        "", pattern=rf"^$|^https://\S+$|^{_LOOPBACK_URL}$", description="https://… of the issuer's JSON Web Key Set."
    )
    auth_jwks_refresh_s: float = Field(300.0, ge=5, le=86_400, description="How often to ask for it again, seconds.")
    auth_leeway_s: float = Field(30.0, ge=0, le=300, description="How far the issuer's clock may differ, seconds.")
    auth_api_keys_file: str = Field("", description="What `feed keys` writes; empty: in the data directory.")
    auth_certificates: str = Field(
        "",
        pattern=rf"^$|^{_CERTIFICATE}(,{_CERTIFICATE})*$",
        description="NAME=scope+scope,… : what services may do whose certificates have this DNS name or URI.",
    )


def contradictions(given: Mapping[str, str]) -> Iterator[str]:
    """Yields what does not fit together, a line each.

    Args:
        given: What was set, by field; each may be wrong by itself.
    """
    chosen = {name for name, value in given.items() if value}
    kind = given.get("auth", "off")
    if kind == "off":
        for name in _OF_SERVICES:
            if name in chosen:
                yield f"{_called(name)} is only for FEED_AUTH=keys and FEED_AUTH=jwt"
    if kind != "jwt":
        for name in (*_NEEDED, *_SOURCES, *_OPTIONAL):
            if name in chosen:
                yield f"{_called(name)} is only for FEED_AUTH=jwt"
        return
    for name in _NEEDED:
        if name not in chosen:
            yield f"FEED_AUTH=jwt needs {_called(name)}"
    if len(chosen.intersection(_SOURCES)) != 1:
        yield f"FEED_AUTH=jwt needs either {_called(_SOURCES[0])} or {_called(_SOURCES[1])}"


def _called(name: str) -> str:
    return f"FEED_{name.upper()}"
