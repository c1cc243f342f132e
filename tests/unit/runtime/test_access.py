"""What the rules let callers do."""

import asyncio
from contextvars import copy_context

import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2
from runtime.access.rules import Caller, Rule, acting_user, enter, require_acting_for, user_ids
from runtime.errors import PermissionDeniedError

OWN = Rule("feed:read:any", "user_id")
SCOPED = Rule("insights:read")


def caller(user_id: str = "", *scopes: str) -> Caller:
    return Caller("somebody", user_id, frozenset(scopes))


@pytest.mark.parametrize(
    ("rule", "who", "acts_for"),
    [
        pytest.param(OWN, caller("u1"), "u1", id="a user, for himself"),
        pytest.param(OWN, caller("u1", "insights:read"), "u1", id="another scope does not help"),
        pytest.param(OWN, caller("s1", "feed:read:any"), "", id="a service, for all"),
        pytest.param(OWN, caller("", "feed:read:any"), "", id="a key, for all"),
        pytest.param(OWN, caller("", "admin"), "", id="an admin, for all"),
        pytest.param(OWN, caller(""), None, id="nobody, with nothing"),
        pytest.param(OWN, caller("", "insights:read"), None, id="a key with another scope"),
        pytest.param(SCOPED, caller("u1", "insights:read"), "", id="who holds the scope"),
        pytest.param(SCOPED, caller("u1", "admin"), "", id="an admin"),
        pytest.param(SCOPED, caller("u1"), None, id="a user where users may not"),
        pytest.param(SCOPED, caller("u1", "insights:readall"), None, id="a scope that begins alike"),
    ],
)
def test_who_may_enter_and_for_whom_he_acts(rule: Rule, who: Caller, acts_for: str | None):
    def entered() -> str | None:
        try:
            enter(rule, who)
        except PermissionDeniedError:
            return None
        return acting_user()

    assert copy_context().run(entered) == acts_for


def test_a_user_acts_for_nobody_but_himself():
    def act() -> None:
        enter(OWN, caller("u1"))
        require_acting_for(["u1", "u1"])
        for others in (["u2"], ["u1", "u2"], [""], ["u1 "], ["U1"]):
            with pytest.raises(PermissionDeniedError):
                require_acting_for(others)

    copy_context().run(act)


async def test_requests_do_not_share_for_whom_they_act():
    async def served(user_id: str) -> str:
        enter(OWN, caller(user_id))
        await asyncio.sleep(0)
        return acting_user()

    assert await asyncio.gather(*(served(f"u{number}") for number in range(9))) == [f"u{n}" for n in range(9)]
    assert acting_user() == ""


@pytest.mark.parametrize(
    ("message", "path", "named"),
    [
        pytest.param(recommendations_pb2.GetRecommendationsRequest(user_id="a"), "user_id", ["a"], id="itself"),
        pytest.param(recommendations_pb2.GetRecommendationsRequest(), "user_id", [""], id="nobody"),
        pytest.param(
            pb.RecordInteractionRequest(interaction=pb.Interaction(user_id="a")),
            "interaction.user_id",
            ["a"],
            id="a part",
        ),
        pytest.param(pb.RecordInteractionRequest(), "interaction.user_id", [""], id="a part that is not there"),
        pytest.param(
            pb.RecordInteractionsRequest(interactions=[pb.Interaction(user_id=name) for name in "aba"]),
            "interactions.user_id",
            ["a", "b", "a"],
            id="each of several parts",
        ),
    ],
)
def test_the_users_that_a_message_names(message: object, path: str, named: list[str]):
    assert user_ids(message, path) == named
