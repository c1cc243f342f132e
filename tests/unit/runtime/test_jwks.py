"""Key sets: what is taken of one, how it is followed, and how often it is asked for."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.access.jwks import COOL_DOWN_S, MAX_BYTES, KeySetError, SigningKeys, file_fetch, parse, url_fetch
from tests.polling import until
from tests.tokens import new_key, public_jwk

EC = public_jwk(new_key(), "ec")
WEAK = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)


def key_set(*rows: Any) -> bytes:
    return json.dumps({"keys": rows}).encode()


def test_each_kind_of_key_has_one_algorithm():
    rows = [EC, public_jwk(new_key("RS256"), "rsa"), public_jwk(new_key("EdDSA"), "ed")]
    assert {name: key.algorithm_name for name, key in parse(key_set(*rows)).items()} == {
        "ec": "ES256",
        "rsa": "RS256",
        "ed": "EdDSA",
    }


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, id="symmetric"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"}, id="HS256"),
        pytest.param({**EC, "kid": "x", "use": "enc"}, id="for encryption"),
        pytest.param({**EC, "kid": "x", "alg": "HS256"}, id="another algorithm than its kind"),
        pytest.param({**EC, "kid": "x", "alg": "none"}, id="none"),
        pytest.param({**EC, "kid": "x", "crv": "P-384"}, id="another curve"),
        pytest.param({**EC, "kid": "x", "crv": ["P-256"]}, id="a curve that is no text"),
        pytest.param({**EC, "kid": "x", "x": "!"}, id="no point"),
        pytest.param({**EC, "kid": "x", "d": "AAAA"}, id="a private key"),
        pytest.param({**EC, "kid": ""}, id="no name"),
        pytest.param({**EC, "kid": 1}, id="a name that is no text"),
        pytest.param(public_jwk(WEAK, "x"), id="a weak one"),
        pytest.param("x", id="no object"),
        pytest.param(None, id="null"),
    ],
)
def test_keys_of_other_kinds_are_left_out(row: object):
    assert list(parse(key_set(EC, row))) == ["ec"]
    with pytest.raises(KeySetError, match="no key with a kid"):
        parse(key_set(row))


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b'{"keys": 1}', b"\xff", b"[" * 100_000, key_set(*[EC] * 101)], ids=range(8)
)
def test_what_is_no_key_set_is_refused(raw: bytes):
    with pytest.raises(KeySetError):
        parse(raw)


class Source:
    """A key set that changes, and how often it was asked for."""

    def __init__(self) -> None:
        self.raw = key_set(EC)
        self.asked = 0
        self.time = 0.0

    def fetch(self) -> bytes:
        self.asked += 1
        if not self.raw:
            raise KeySetError("away")
        return self.raw

    def keys(self) -> SigningKeys:
        return SigningKeys(self.fetch, 3_600, lambda: self.time)


async def test_a_key_that_is_not_known_is_asked_for_once_in_a_while():
    """Tokens with invented key ids must not become requests to the issuer."""
    source = Source()
    keys = source.keys()
    await keys.start()
    source.raw = key_set(EC, public_jwk(new_key(), "new"))
    assert [await keys.find(f"invented-{number}") for number in range(100)] == [None] * 100
    assert source.asked == 1
    source.time = COOL_DOWN_S
    found = await asyncio.gather(*(keys.find("new") for _ in range(100)))
    assert None not in found
    assert source.asked == 2
    await keys.stop()


async def test_while_the_set_is_away_the_keys_before_serve():
    source = Source()
    keys = source.keys()
    with structlog.testing.capture_logs() as logs:
        await keys.start()
        for source.raw, source.time in ((b"", COOL_DOWN_S), (b"{}", 2 * COOL_DOWN_S)):
            assert await keys.find("invented") is None
    assert await keys.find("ec") is not None
    assert [entry["event"] for entry in logs] == ["jwks.taken", "jwks.not_read", "jwks.not_read"]
    await keys.stop()


async def test_a_set_that_was_away_at_the_start_is_taken_later(tmp_path: Path):
    path = tmp_path / "jwks.json"
    keys = SigningKeys(file_fetch(path), refresh_s=0.05)
    await keys.start()
    assert not keys.keys
    path.write_bytes(key_set(EC))

    async def known() -> list[str]:
        return list(keys.keys)

    await until(known, ["ec"])
    await keys.stop()


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path):
    (tmp_path / "jwks.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(KeySetError, match="more than"):
        file_fetch(tmp_path / "jwks.json")()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/jwks.json")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.end_headers()
        self.wfile.write(b" " * (MAX_BYTES + 1) if self.path == "/large" else key_set(EC))

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_set_is_fetched_from_a_url(url: str):
    assert list(parse(url_fetch(f"{url}/jwks.json")())) == ["ec"]


@pytest.mark.parametrize("path", ["/moved", "/none", "/large"])
def test_what_is_not_the_set_itself_is_refused(url: str, path: str):
    with pytest.raises(KeySetError):
        url_fetch(f"{url}{path}")()


def test_a_url_where_nobody_is_is_an_error_of_ours():
    with pytest.raises(KeySetError, match="cannot be fetched"):
        url_fetch("http://127.0.0.1:1/jwks.json")()
