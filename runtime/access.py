"""Who calls, what a rule asks of him, and for whom he may act; the same for gRPC and REST."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from runtime.errors import PermissionDeniedError

# Who holds it may do everything.
ADMIN: Final = "admin"

_OTHERS_TEXT: Final = "a user acts only as himself: the request names another user than the token, or none"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as it was proven.

    Args:
        name: For the audit line; tells callers apart without being a user's id.
        user_id: The user he is; empty: a service.
        scopes: What he was given.
    """

    name: str
    user_id: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call an RPC or a route.

    Args:
        scope: Who holds it may call, for all users; empty: everybody may, unknown ones too.
        user_ids: Where a request names users, as a path of the contract's names, such as `interactions.user_id`: users
            may call when it names nobody but themselves. Empty: requests name nobody, and the handler asks
            `acting_user`. None: users may not call.
    """

    scope: str
    user_ids: str | None = None


PUBLIC: Final = Rule("")


class Entry(NamedTuple):
    """What the request being served may do.

    Args:
        name: Who calls.
        user_id: The only user that he may act for; empty: he may act for all.
        scopes: What he was given.
    """

    name: str
    user_id: str
    scopes: frozenset[str]


# Where nobody is asked who he is, everybody may do everything.
_ANYBODY: Final = Entry("", "", frozenset({ADMIN}))
_ENTRY: ContextVar[Entry] = ContextVar("entry", default=_ANYBODY)


def enter(rule: Rule, caller: Caller) -> Entry:
    """Lets a caller in, and remembers for whom he may act as long as his request, which is its own task, is served.

    Raises:
        PermissionDeniedError: When he may not call at all.
    """
    if holds(rule, caller.scopes):
        entry = Entry(caller.name, "", caller.scopes)
    elif rule.user_ids is not None and caller.user_id:
        entry = Entry(caller.name, caller.user_id, caller.scopes)
    else:
        raise PermissionDeniedError("SCOPE_MISSING", f"this needs the scope {rule.scope}", caller.name)
    _ENTRY.set(entry)
    return entry


def recognise(caller: Caller) -> None:
    """Remembers who calls what everybody may call, so that he is shown what else he may."""
    _ENTRY.set(Entry(caller.name, caller.user_id, caller.scopes))


def holds(rule: Rule, scopes: frozenset[str]) -> bool:
    """Says whether somebody with these scopes may call for everybody."""
    return rule == PUBLIC or rule.scope in scopes or ADMIN in scopes


def may(rule: Rule) -> bool:
    """Says whether who makes the request being served may call something else, for everybody."""
    return holds(rule, _ENTRY.get().scopes)


def acting_name() -> str:
    """Returns who makes the request being served, as far as it was proven; empty: nobody was asked."""
    return _ENTRY.get().name


def acting_user() -> str:
    """Returns the only user that the request being served may act for; empty: it may act for all."""
    return _ENTRY.get().user_id


def require_acting_for(user_ids: Iterable[str]) -> None:
    """Raises PermissionDeniedError when the request being served names somebody that it may not act for."""
    entry = _ENTRY.get()
    if entry.user_id and any(user_id != entry.user_id for user_id in user_ids):
        raise refusal(entry.name)


def refusal(name: str = "") -> PermissionDeniedError:
    """Returns what is raised when a caller would act for somebody else.

    Args:
        name: Who; empty: who calls now.
    """
    return PermissionDeniedError("OTHER_USER", _OTHERS_TEXT, name or _ENTRY.get().name)


def user_ids(message: Any, path: str) -> list[str]:
    """Returns the users that a message names.

    Args:
        message: A message of the contract.
        path: Where, as Rule says.
    """
    name, _, rest = path.partition(".")
    value = getattr(message, name)
    if not rest:
        return [value]
    children = [value] if hasattr(value, "DESCRIPTOR") else value
    return [each for child in children for each in user_ids(child, rest)]
