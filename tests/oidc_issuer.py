"""An issuer at which people sign in, on loopback: it lets in whoever asks, and its answers can be made wrong."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.tokens import AUDIENCE, Issuer

CLIENT: Final = "feed-page"
SECRET: Final = "s3cret+/"


class OidcIssuer:
    """From `with` to its end.

    Args:
        folder: Where its key set is.
    """

    def __init__(self, folder: Path) -> None:
        self.tokens = Issuer(folder / "issuer.json")
        self.scopes = "insights:read"
        # What is changed of the tokens before they are signed.
        self.spoil: Callable[[dict[str, Any], dict[str, Any]], object] = lambda _identity, _access: None
        self._asked: dict[str, dict[str, str]] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(url.query).items()}
                if url.path == "/realm/.well-known/openid-configuration":
                    self._answer(issuer.discovery)
                elif url.path == "/jwks":
                    self._answer(json.loads(issuer.tokens.path.read_text()))
                else:
                    self.send_response(302)
                    self.send_header("location", issuer.let_in(asked))
                    self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                asked = {name: values[0] for name, values in parse_qs(body).items()}
                status, given = issuer.redeem(asked, self.headers.get("authorization", ""))
                self._answer(given, status)

            def _answer(self, content: Mapping[str, Any], status: int = 200) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/realm"
        self.discovery: dict[str, Any] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self._origin}/authorize?tenant=1",
            "token_endpoint": f"{self._origin}/token",
        }

    @property
    def _origin(self) -> str:
        return self.url.removesuffix("/realm")

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a process that trusts it."""
        return {
            "FEED_AUTH": "jwt",
            "FEED_AUTH_ISSUER": self.url,
            "FEED_AUTH_AUDIENCE": AUDIENCE,
            "FEED_AUTH_JWKS_URL": f"{self._origin}/jwks",
            "FEED_INSIGHTS_OIDC_CLIENT_ID": CLIENT,
        }

    def let_in(self, asked: dict[str, str]) -> str:
        """Notes what was asked for; returns where somebody is sent back to."""
        code = secrets.token_urlsafe(8)
        self._asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def redeem(self, given: dict[str, str], proof: str) -> tuple[int, dict[str, Any]]:
        """Returns the tokens for a code, once."""
        asked = self._asked.pop(given.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
        wanted = f"Basic {base64.b64encode(f'{CLIENT}:s3cret%2B%2F'.encode()).decode()}"
        if (
            asked is None
            or asked["code_challenge"] != challenge.decode()
            or asked["redirect_uri"] != given["redirect_uri"]
            or proof not in {"", wanted}
        ):
            return 400, {"error": "invalid_grant"}
        identity = self.tokens.claims("p-7", iss=self.url, aud=CLIENT, nonce=asked["nonce"], preferred_username="ann")
        access = self.tokens.claims("p-7", iss=self.url, scope=self.scopes)
        self.spoil(identity, access)
        return 200, {"id_token": self.tokens.signed(identity), "access_token": self.tokens.signed(access)}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
