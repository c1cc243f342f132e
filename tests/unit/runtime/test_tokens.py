"""S01: a good token says who bears it; whatever is wrong with another one, it is refused in fixed words."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.access.jwks import SigningKeys, file_fetch
from runtime.access.rules import Caller
from runtime.access.tokens import MAX_REMEMBERED, TokenPolicy, Tokens
from runtime.errors import UnauthenticatedError, UnavailableError
from tests.polling import until
from tests.tokens import AUDIENCE, ISSUER, Issuer, new_key, public_jwk

HOSTILE = tuple(Issuer(Path("/dev/null")).hostile())
POLICY = TokenPolicy(ISSUER, AUDIENCE)


class Watched(SigningKeys):
    """Counts how often a key is asked for, which is once for each verification."""

    verified = 0

    async def find(self, key_id: str):
        self.verified += 1
        return await super().find(key_id)


@pytest.fixture(params=["ES256", "RS256", "EdDSA"])
def issuer(request: pytest.FixtureRequest, tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks.json", request.param)


@pytest.fixture
def es256(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks.json")


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(file_fetch(tmp_path / "jwks.json"), refresh_s=0.05)
    yield made
    await made.stop()


async def test_a_good_token_says_who_bears_it(issuer: Issuer, keys: Watched):
    await keys.start()
    caller = await Tokens(keys, POLICY).caller(issuer.token("u1", scope="feed:read:any insights:read"))
    assert (caller.user_id, caller.scopes) == ("u1", frozenset({"feed:read:any", "insights:read"}))
    assert re.fullmatch(r"token:[0-9a-f]{16}", caller.name)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": ["other", AUDIENCE]}, id="several audiences"),
        pytest.param({"scope": ["admin"]}, id="scopes that are no text give none"),
        pytest.param({"scope": None}, id="no scopes"),
    ],
)
async def test_what_else_a_good_token_may_say(es256: Issuer, keys: Watched, changes: dict[str, object]):
    await keys.start()
    caller = await Tokens(keys, POLICY).caller(es256.token("u1", **changes))
    assert caller == Caller(caller.name, "u1", frozenset())


@pytest.mark.parametrize("wrong", HOSTILE)
async def test_a_token_that_is_wrong_in_one_thing_is_refused(issuer: Issuer, keys: Watched, wrong: str):
    await keys.start()
    with pytest.raises(UnauthenticatedError) as caught:
        await Tokens(keys, POLICY).caller(issuer.hostile()[wrong]())
    fixed = {"TOKEN_EXPIRED": "the bearer token has expired", "TOKEN_INVALID": "the bearer token is not valid"}
    assert caught.value.message == fixed[caught.value.reason]
    assert (caught.value.reason == "TOKEN_EXPIRED") == (wrong == "expired")


async def test_a_token_is_verified_once(es256: Issuer, keys: Watched):
    await keys.start()
    tokens, token = Tokens(keys, POLICY), es256.token()
    callers = [await tokens.caller(token) for _ in range(3)]
    assert (keys.verified, callers[0].user_id, len(set(callers))) == (1, "u1", 1)


async def test_a_remembered_token_expires_all_the_same(es256: Issuer, keys: Watched):
    await keys.start()
    time = es256.claims()["iat"]
    clock = [float(time)]
    tokens, token = Tokens(keys, TokenPolicy(ISSUER, AUDIENCE, 0), lambda: clock[0]), es256.token()
    await tokens.caller(token)
    clock[0] += 599
    await tokens.caller(token)
    assert keys.verified == 1
    clock[0] += 1
    await tokens.caller(token)
    assert keys.verified == 2


async def test_a_token_is_refused_once_its_key_is_gone(es256: Issuer, keys: Watched):
    """Also one that was verified before: a stolen key must end with its removal."""
    await keys.start()
    tokens, stolen = Tokens(keys, POLICY), es256.token()
    await tokens.caller(stolen)
    es256.rotate()

    async def refused() -> bool:
        try:
            await tokens.caller(stolen)
        except UnauthenticatedError:
            return True
        return False

    await until(refused, expected=True)
    assert (await tokens.caller(es256.token("u2"))).user_id == "u2"


async def test_the_memory_for_tokens_is_bounded(es256: Issuer, keys: Watched, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runtime.access.tokens.MAX_REMEMBERED", 2)
    await keys.start()
    tokens = Tokens(keys, POLICY)
    first, second, third = (es256.token(f"u{number}") for number in range(3))
    for token in (first, second, first, third, first, second):
        await tokens.caller(token)
    assert keys.verified == 4, "the one that was asked for longest ago is verified anew, and no other"
    assert MAX_REMEMBERED == 10_000


async def test_without_any_key_callers_are_told_to_come_again(tmp_path: Path, keys: Watched):
    await keys.start()
    with pytest.raises(UnavailableError) as caught:
        await Tokens(keys, POLICY).caller(Issuer(tmp_path / "elsewhere.json").token())
    assert caught.value.retry_after_s == 1.0


async def test_a_key_serves_only_its_own_algorithm(es256: Issuer, keys: Watched):
    """RS256 for an ES256 key, both of the set: the token's word for it counts for nothing."""
    other = new_key("RS256")
    es256.publish(public_jwk(other, "rsa"))
    await keys.start()
    crossed = es256.signed(es256.claims(), kid="rsa")
    with pytest.raises(UnauthenticatedError):
        await Tokens(keys, POLICY).caller(crossed)
