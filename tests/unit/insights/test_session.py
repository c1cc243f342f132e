"""How long a session of the page lasts, and what people are called by what they may."""

import pytest

from insights.domain.session import IDLE_S, LIFETIME_S, ROLE_SCOPES, Session, is_over, renewed, role
from runtime.access.policy import POLICY

BEGUN = 1_000_000.0


def session(seen_time: float = BEGUN) -> Session:
    return Session("s", "key:ann", "token", BEGUN, seen_time, BEGUN + LIFETIME_S, "ann", "stamp")


@pytest.mark.parametrize(
    ("seen_time", "now", "over"),
    [
        pytest.param(BEGUN, BEGUN, False, id="new"),
        pytest.param(BEGUN, BEGUN + IDLE_S - 1, False, id="just-in-time"),
        pytest.param(BEGUN, BEGUN + IDLE_S, True, id="idle"),
        pytest.param(BEGUN + LIFETIME_S - 1, BEGUN + LIFETIME_S - 0.5, False, id="busy-to-the-end"),
        pytest.param(BEGUN + LIFETIME_S - 1, BEGUN + LIFETIME_S, True, id="too-old-however-busy"),
    ],
)
def test_a_session_ends_when_nobody_uses_it_and_after_its_time(seen_time: float, now: float, over: bool):
    assert is_over(session(seen_time), now) is over


def test_to_use_a_session_renews_it_once_a_minute_and_never_prolongs_its_life():
    assert renewed(session(), BEGUN + 59) is None
    assert renewed(session(), BEGUN + 60) == session(BEGUN + 60)


@pytest.mark.parametrize(
    ("scopes", "called"),
    [
        *((given, name) for name, given in ROLE_SCOPES.items()),
        (frozenset({"admin"}), "admin"),
        (frozenset({"insights:read", "experiments:write"}), "editor"),
        (frozenset({"scoring:rank"}), ""),
    ],
)
def test_people_are_called_by_the_most_that_they_may(scopes: frozenset[str], called: str):
    assert role(scopes) == called


def test_the_scopes_of_roles_are_those_of_the_policy():
    known = {rule.scope for rule in POLICY.values()}
    assert all(given <= known for given in ROLE_SCOPES.values())
