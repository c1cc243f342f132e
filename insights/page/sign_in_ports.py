"""The issuer at which people sign in."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class IssuerError(Exception):
    """The issuer does not answer, or says what cannot be believed; nobody has signed in. Whoever runs it mends it."""


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in that has begun at the issuer, as a cookie keeps it meanwhile.

    Args:
        state: What the browser must bring back.
        nonce: What the identity token must hold.
        verifier: Proves to the issuer that who redeems the code is who asked for it.
        to: The page that was wanted.
        ends_time: Until when it holds, Unix seconds.
    """

    state: str
    nonce: str
    verifier: str
    to: str
    ends_time: float


class Issued(NamedTuple):
    """Who has signed in at the issuer.

    Args:
        name: How the audit trail calls him.
        scopes: What of the page he was given.
    """

    name: str
    scopes: frozenset[str]


class Issuer(Protocol):
    """The issuer; each method raises IssuerError."""

    async def address(self, login: Login, back: str) -> str:
        """Returns where somebody signs in.

        Args:
            login: What he brings back.
            back: Where to.
        """

    async def redeem(self, code: str, login: Login, back: str) -> Issued:
        """Returns who has signed in.

        Args:
            code: What he brought back.
            login: What he was sent away with.
            back: Where he came back to.
        """
