"""Who bears a token: a user or a service by a JSON Web Token, a simple service by an API key."""

from runtime.access.api_keys import KEY_PREFIX, KeyBearers
from runtime.access.jwks import SigningKeys
from runtime.access.rules import Caller
from runtime.access.tokens import Tokens


class Bearers:
    """The port `Authenticator` on both kinds of tokens.

    Args:
        keys: Who issues the JSON Web Tokens; followed as long as this runs.
        tokens: Verifies these.
        api_keys: The others.
    """

    def __init__(self, keys: SigningKeys, tokens: Tokens, api_keys: KeyBearers) -> None:
        self._keys = keys
        self._tokens = tokens
        self._api_keys = api_keys

    async def start(self) -> None:
        """Begins to follow the issuer's keys."""
        await self._keys.start()

    async def stop(self) -> None:
        """Ends it."""
        await self._keys.stop()

    async def caller(self, token: str) -> Caller:
        """Returns who bears a token.

        Raises:
            UnauthenticatedError: When it is not valid.
            UnavailableError: When that cannot be told yet.
        """
        if token.startswith(KEY_PREFIX):
            return await self._api_keys.caller(token)
        return await self._tokens.caller(token)
