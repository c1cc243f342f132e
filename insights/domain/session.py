"""The session of somebody who has signed in to the page: how long it lasts, and what its bearer is called; pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

# Longest session, and longest time in which nothing is asked for, in seconds: OWASP's for pages that change things.
LIFETIME_S: Final = 8 * 3_600.0
IDLE_S: Final = 30 * 60.0
# Whom the issuer has let in is asked of it again after this time, in seconds: until then it cannot take it back.
ISSUED_LIFETIME_S: Final = 3_600.0
# Longest time that somebody may take at the issuer, in seconds.
LOGIN_S: Final = 600.0
# A session is told that it was used at most as often as this, in seconds.
_RENEWAL_S: Final = 60.0

READ_SCOPE: Final = "insights:read"
_EDITING: Final = frozenset({"corrections:write", "experiments:write"})
_DECIDING: Final = frozenset({"models:promote"})
# What is given to people of each role; of the page, an admin may do everything.
ROLE_SCOPES: Final = {
    "viewer": frozenset({READ_SCOPE}),
    "editor": frozenset({READ_SCOPE}) | _EDITING,
    "admin": frozenset({READ_SCOPE}) | _EDITING | _DECIDING,
}
# The first of which somebody holds a scope is what he is called.
_ROLES: Final = (("admin", _DECIDING | {"admin"}), ("editor", _EDITING), ("viewer", frozenset({READ_SCOPE})))


@dataclass(frozen=True, slots=True)
class Session:
    """Who has signed in, as his cookie holds it.

    Args:
        session_id: Names this session, and nothing else.
        actor: How the audit trail calls him.
        csrf: What each of his forms must carry.
        begun_time: When he signed in, Unix seconds.
        seen_time: When he asked for something last, to about a minute, Unix seconds.
        ends_time: When it ends at the latest, Unix seconds.
        key_id: Name of the API key that he showed; empty: he came from the issuer.
        key_stamp: Tells that key from a later one of the same name.
        scopes: What the issuer gave him; of a key, what it may is looked up each time.
    """

    session_id: str
    actor: str
    csrf: str
    begun_time: float
    seen_time: float
    ends_time: float
    key_id: str = ""
    key_stamp: str = ""
    scopes: tuple[str, ...] = ()


def is_over(session: Session, now: float) -> bool:
    """Says whether a session has ended by itself."""
    return now >= session.ends_time or now - session.seen_time >= IDLE_S


def renewed(session: Session, now: float) -> Session | None:
    """Returns a session that was used now; None: that is not worth being told."""
    return replace(session, seen_time=now) if now - session.seen_time >= _RENEWAL_S else None


def role(scopes: AbstractSet[str]) -> str:
    """Returns what somebody with these scopes is called; what he may do each page asks the policy."""
    return next((name for name, enough in _ROLES if enough & scopes), "")
