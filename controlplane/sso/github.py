"""GitHub, whose users come by OAuth2 alone: who they are is asked of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from controlplane.domain.external import social
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.social import SocialConfig
from controlplane.sso.attempts import Attempt, Unproved
from controlplane.sso.openid import TIMEOUT_S

SITE = "https://github.com"
API = "https://api.github.com"


class GitHub:
    """GitHub, at its own address or at one like it."""

    def __init__(self, site: str = SITE, api: str = API) -> None:
        """Send browsers to ``site`` and ask ``api``."""
        self.site = site
        self.api = api

    def backend(self, config: SocialConfig, callback: str) -> GitHubBackend:
        """Return the back end that these settings describe."""
        return GitHubBackend(self, config, callback)


class GitHubBackend:
    """Users of GitHub, of one of its organizations or of one of its teams."""

    def __init__(self, github: GitHub, config: SocialConfig, callback: str) -> None:
        """Have browsers come back to ``callback``."""
        self._github = github
        self._config = config
        self._callback = callback

    async def start(self, attempt: Attempt) -> tuple[str, str]:
        """Return GitHub's address for this attempt; it needs no id."""
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                f"{self._github.site}/login/oauth/authorize",
                state=attempt.state,
                code_verifier=attempt.verifier,
            )
        return str(url), ""

    async def complete(self, answer: Mapping[str, str], attempt: Attempt) -> Identity:
        """Return who it is by GitHub's answer; raises Unproved."""
        if not answer.get("code"):
            raise Unproved("GitHub sent no code")
        try:
            async with self._client() as client:
                await client.fetch_token(
                    f"{self._github.site}/login/oauth/access_token",
                    code=answer["code"],
                    code_verifier=attempt.verifier,
                    headers={"Accept": "application/json"},
                )
                user = (await client.get(f"{self._github.api}/user")).raise_for_status().json()
                await self._check_group(client, user["login"])
                return self._identity(user, await self._address(client))
        except (AuthlibBaseError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unproved(f"GitHub: {type(error).__name__}") from error

    def wanted(self, identity: Identity) -> Wanted:
        """Return what the settings make of somebody."""
        return social.wanted(self._config, identity)

    def _client(self) -> Any:
        scope = "read:user user:email read:org" if self._config.group else "read:user user:email"
        return AsyncOAuth2Client(
            client_id=self._config.key,
            client_secret=self._config.secret,
            scope=scope,
            redirect_uri=self._callback,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - the name of a method
            timeout=TIMEOUT_S,
            leeway=0,
        )

    async def _check_group(self, client: Any, login: str) -> None:
        """Refuse who is not in the organization or team of these settings."""
        if not self._config.group:
            return
        group, name = quote(self._config.group, safe=""), quote(login, safe="")
        paths = {
            "github-org": f"/orgs/{group}/members/{name}",
            "github-team": f"/teams/{group}/memberships/{name}",
        }
        told = await client.get(self._github.api + paths[self._config.name])
        active = told.status_code == httpx.codes.NO_CONTENT or (
            told.status_code == httpx.codes.OK and told.json().get("state") == "active"
        )
        if not active:
            raise Unproved("not in the organization or team")

    async def _address(self, client: Any) -> str:
        """Return the address that GitHub has checked and the user calls the first."""
        told = (await client.get(f"{self._github.api}/user/emails")).raise_for_status().json()
        first = (each["email"] for each in told if each["primary"] and each["verified"])
        return next(first, "")

    def _identity(self, user: Mapping[str, Any], email: str) -> Identity:
        first, _, last = str(user.get("name") or "").partition(" ")
        return Identity(
            provider=self._config.name,
            uid=str(user["id"]),
            username=str(user["login"]),
            first_name=first,
            last_name=last,
            email=email,
        )
