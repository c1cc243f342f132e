"""What signing in and out needs: the issuer, and where sign-outs are kept."""

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


class KeptSignOuts(Protocol):
    """Where it is kept who has signed out; each method raises LedgerUnavailableError."""

    async def add(self, session_id: str, ends_time: float) -> None:
        """Keeps that a session has ended, which nobody could use after `ends_time`, Unix seconds; again: nothing."""

    async def ended(self) -> frozenset[str]:
        """Returns the ids of those that have, and could be used still."""
