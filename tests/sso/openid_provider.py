"""An OpenID provider, and as much of GitHub as logging in asks for, over HTTP on a free port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from ops import clock, ids
from tests.servers import free_port
from tests.waiting import soon

CLIENT = "playlog"
SECRET = "client secret"


class OpenIdProvider:
    """Says that whoever comes is ``person``; what it says can be made wrong, part by part."""

    def __init__(self) -> None:
        """Start with a key of its own."""
        self.url = f"http://127.0.0.1:{free_port()}"
        self.key: Any = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published = self.key
        self.reset()

    def reset(self) -> None:
        """Tell the truth again."""
        self.person: dict[str, Any] = {"sub": "42", "preferred_username": "olga"}
        self.wrong: dict[str, Any] = {}
        """Claims of the id token that replace the right ones; None leaves one out."""
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.signer: Any = self.key
        self.issuer = self.url
        self.told: dict[str, Any] = {}
        """What the userinfo endpoint says besides."""
        self.asked: list[dict[str, str]] = []
        """Parameters of the requests to log in."""
        self.memberships: set[str] = set()
        """Paths of GitHub's API that name a membership which exists."""
        self._codes: dict[str, dict[str, str]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        query = dict(parse_qsl(scope["query_string"].decode()))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, found = self._answer(scope["path"], query, dict(parse_qsl(body.decode())), headers)
        extra = []
        if status == 302:
            extra, found = [(b"location", found.encode())], ""
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), *extra],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    def _answer(
        self, path: str, query: dict[str, str], form: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, Any]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, self._discovery()
            case "/jwks":
                return 200, KeySet([self.published]).as_dict(private=False)
            case "/authorize" | "/login/oauth/authorize":
                return 302, self._authorize(query)
            case "/token":
                return self._token(form, headers)
            case "/login/oauth/access_token":
                return self._token(form, _as_basic(form))
            case "/userinfo":
                return 200, {**self.person, **self.told}
            case "/user":
                return 200, {"id": 7, "login": "octo", "name": "Octo Cat"}
            case "/user/emails":
                return 200, [{"email": "octo@example.com", "primary": True, "verified": True}]
            case _:
                return (204 if path in self.memberships else 404), {}

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
        }

    def _authorize(self, query: dict[str, str]) -> str:
        """Agree at once, as for somebody who is logged in there."""
        self.asked.append(query)
        code = ids.new_token()
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        asked = self._codes.pop(form["code"], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or headers.get("authorization") != f"Basic {basic}"
            or challenge != asked["code_challenge"]
            or asked["code_challenge_method"] != "S256"
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        token = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60}
        if "nonce" in asked:
            token["id_token"] = self._id_token(asked["nonce"])
        return 200, token

    def _id_token(self, nonce: str) -> str:
        now = int(clock.now().timestamp())
        right = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce}
        claims = {**right, **self.person, **self.wrong}
        said = {name: value for name, value in claims.items() if value is not None}
        if self.header["alg"] == "none":
            parts = (json.dumps(each).encode() for each in (self.header, said))
            return (
                ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
                + "."
            )
        return jwt.encode(self.header, said, self.signer, algorithms=["RS256", "HS256"])


def shared_secret() -> Any:
    """Return the client's secret as a key."""
    return OctKey.import_key(SECRET.ljust(32))


def another_key() -> Any:
    """Return a key of the provider's name that is not the provider's."""
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@contextlib.asynccontextmanager
async def serving(provider: OpenIdProvider) -> AsyncIterator[OpenIdProvider]:
    """Serve a provider at its address."""
    port = int(provider.url.rpartition(":")[2])
    config = uvicorn.Config(provider, port=port, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await soon(lambda: server.started)
    try:
        yield provider
    finally:
        server.should_exit = True
        await task


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _as_basic(form: dict[str, str]) -> dict[str, str]:
    pair = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
