"""Who calls, what a rule asks of him, and for whom he may act; the same for gRPC and REST."""

from collections.abc import Callable, Iterable
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
        admit: Called with the user whose request it is; raises ThrottledError when these are too many.
    """

    name: str
    user_id: str
    scopes: frozenset[str]
    admit: Callable[[str], None]


def _unlimited(_user_id: str) -> None:
    """Lets everybody call as often as he likes."""


# Where nobody is asked who he is, everybody may do everything.
_ANYBODY: Final = Entry("", "", frozenset({ADMIN}), _unlimited)
_ENTRY: ContextVar[Entry] = ContextVar("entry", default=_ANYBODY)


def enter(rule: Rule, caller: Caller | None, admit: Callable[[str], None] = _unlimited) -> None:
    """Lets a caller in, and remembers for whom he may act as long as his request, which is its own task, is served.

    Args:
        rule: Who may pass.
        caller: Who comes; None: nobody was asked.
        admit: As Entry says.

    Raises:
        PermissionDeniedError: When he may not call at all.
        ThrottledError: When he, who will name no user, calls too often.
    """
    _ENTRY.set(_ANYBODY._replace(admit=admit) if caller is None else _entry(rule, caller, admit))
    if rule.user_ids == "":
        admit(acting_user())


def _entry(rule: Rule, caller: Caller, admit: Callable[[str], None]) -> Entry:
    if holds(rule, caller.scopes):
        return Entry(caller.name, "", caller.scopes, admit)
    if rule.user_ids is not None and caller.user_id:
        return Entry(caller.name, caller.user_id, caller.scopes, admit)
    raise PermissionDeniedError("SCOPE_MISSING", f"this needs the scope {rule.scope}", caller.name)


def recognise(caller: Caller) -> None:
    """Remembers who calls what everybody may call, so that he is shown what else he may."""
    _ENTRY.set(Entry(caller.name, caller.user_id, caller.scopes, _unlimited))


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
    """Holds the request being served to the users whom it names.

    Args:
        user_ids: They. A request of one user counts as his; one of several is a service's, which sends for many.

    Raises:
        PermissionDeniedError: It names somebody that it may not act for.
        ThrottledError: It is one too many of its user.
    """
    named = require_right_for(user_ids)
    if len(named) == 1:
        _ENTRY.get().admit(*named)


def require_right_for(user_ids: Iterable[str]) -> set[str]:
    """Returns whom a message names; raises PermissionDeniedError as `require_acting_for` does, and counts nothing."""
    entry = _ENTRY.get()
    named = set(user_ids)
    if entry.user_id and named - {entry.user_id}:
        raise refusal(entry.name)
    return named


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
