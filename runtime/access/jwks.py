"""The public keys of who issues tokens: a JSON Web Key Set in a file or behind a URL, followed without a restart."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

_LOG = structlog.get_logger(__name__)

# One algorithm for each kind of key, chosen here and by nothing that a token or a key set says.
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
ALGORITHMS: Final = tuple(_ALGORITHMS.values())

_MIN_RSA_BITS: Final = 2_048
MAX_BYTES: Final = 262_144
_MAX_KEYS: Final = 100
# Longest time of one request for the set, and between two that tokens with unknown keys cause, in seconds.
FETCH_TIMEOUT_S: Final = 5.0
COOL_DOWN_S: Final = 10.0
_CHUNK_BYTES: Final = 16_384

KeySet: TypeAlias = Mapping[str, PyJWK]


class KeySetError(Exception):
    """The key set cannot be had or is none. Whoever publishes it mends it; the keys before stay in use."""


class SigningKeys:
    """The keys as they are now.

    Args:
        fetch: Returns the set's bytes; called in a thread.
        refresh_s: How often to look for other keys, in seconds.
        monotonic: The clock.
    """

    def __init__(
        self, fetch: Callable[[], bytes], refresh_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._monotonic = monotonic
        self._asked = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._raw = b""
        self.keys: KeySet = {}
        self.generation = 0

    async def start(self) -> None:
        """Fetches the keys and begins to follow them; when they cannot be had, tokens wait for them."""
        await self._refresh()
        self._watching = asyncio.create_task(self._watch(), name="jwks")

    async def stop(self) -> None:
        """Ends it."""
        tasks = [task for task in (self._watching, self._refreshing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, key_id: str) -> PyJWK | None:
        """Returns a key; for one that is not known, the set is asked for anew, but seldom."""
        found = self.keys.get(key_id)
        if found is None and self._monotonic() - self._asked >= COOL_DOWN_S:
            # Now, and not when the task begins: until then, all who come would ask.
            self._asked = self._monotonic()
            self._refreshing = asyncio.create_task(self._refresh(), name="jwks-refresh")
        if found is None and self._refreshing is not None:
            # One caller who gives up must not break it off for the others.
            await asyncio.shield(self._refreshing)
        return self.keys.get(key_id)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self._refresh()

    async def _refresh(self) -> None:
        self._asked = self._monotonic()
        try:
            raw = await asyncio.to_thread(self._fetch)
            if raw != self._raw:
                self.keys, self._raw = parse(raw), raw
                self.generation += 1
                _LOG.info("jwks.taken", keys=len(self.keys))
        except KeySetError as error:
            _LOG.warning("jwks.not_read", error=str(error), keys=len(self.keys))


def parse(raw: bytes) -> KeySet:
    """Returns the keys of a set that may sign tokens, by their ids; others, such as symmetric ones, are left out.

    Raises:
        KeySetError: When it is no key set, or has no such key.
    """
    try:
        rows = json.loads(raw)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeySetError("it is no JSON Web Key Set") from error
    if not isinstance(rows, list) or len(rows) > _MAX_KEYS:
        raise KeySetError(f"keys must be a list of at most {_MAX_KEYS}")
    keys = {row["kid"]: key for row in rows if isinstance(row, dict) and (key := _key(row)) is not None}
    if not keys:
        raise KeySetError(f"it has no key with a kid for {', '.join(ALGORITHMS)}")
    return keys


def file_fetch(path: Path) -> Callable[[], bytes]:
    """Returns what reads a key set from a file."""

    def fetch() -> bytes:
        try:
            with path.open("rb") as file:
                return _bounded(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise KeySetError(f"{path.name}: {error.strerror}") from error

    return fetch


def url_fetch(url: str | urllib.request.Request) -> Callable[[], bytes]:
    """Returns what asks a URL for a key set, or for something else of that size; it follows no redirect."""
    opener = urllib.request.build_opener(_NoRedirect)

    def fetch() -> bytes:
        end = time.monotonic() + FETCH_TIMEOUT_S
        try:
            with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
                body = b""
                # One byte at a time would otherwise be patience without end.
                while time.monotonic() < end:
                    chunk = answer.read1(_CHUNK_BYTES)
                    if not chunk:
                        return body
                    body = _bounded(body + chunk)
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise KeySetError(f"it cannot be fetched: {reason}") from error
        raise KeySetError(f"it took longer than {FETCH_TIMEOUT_S:g} s")

    return fetch


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Refuses: the operator named one address, and only that is trusted."""


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise KeySetError(f"it has more than {MAX_BYTES} bytes")
    return body


def _key(row: Mapping[str, Any]) -> PyJWK | None:
    """Returns a key that may sign; None for one of another kind, for another use, too weak, or not public."""
    kind, curve = row.get("kty"), row.get("crv")
    algorithm = _ALGORITHMS.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    named = isinstance(row.get("kid"), str) and row["kid"]
    if not (algorithm and named and row.get("use", "sig") == "sig" and row.get("alg", algorithm) == algorithm):
        return None
    try:
        key = PyJWK(dict(row), algorithm)
    except Exception:  # noqa: BLE001  # whatever the libraries raise, it is no key
        return None
    too_weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS
    return None if too_weak or "d" in row else key
