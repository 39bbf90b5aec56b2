"""Logging in with an OpenID provider, and with GitHub, over their protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controlplane.domain.external.identity import Identity
from controlplane.domain.external.mapping import Maps
from controlplane.domain.external.social import KINDS, SocialConfig
from controlplane.sso.attempts import Unproved, new_attempt
from controlplane.sso.github import GitHub
from controlplane.sso.openid import OpenId, OpenIdBackend
from tests.api.stack import PASSWORD, Stack
from tests.sso.openid_provider import (
    CLIENT,
    SECRET,
    OpenIdProvider,
    another_key,
    serving,
    shared_secret,
)
from tests.sso.tools import config_end, configure, last_try, me, places, there, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/sso/login/oidc/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_provider() -> AsyncIterator[OpenIdProvider]:
    """A provider of the module."""
    async with serving(OpenIdProvider()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def provider(stack: Stack, running_provider: OpenIdProvider) -> OpenIdProvider:
    """The provider, telling the truth, and our settings for it."""
    running_provider.reset()
    await configure(
        stack,
        TOWER_URL_BASE=stack.url,
        SOCIAL_AUTH_OIDC_KEY=CLIENT,
        SOCIAL_AUTH_OIDC_SECRET=SECRET,
        SOCIAL_AUTH_OIDC_OIDC_ENDPOINT=running_provider.url,
        SOCIAL_AUTH_USER_FIELDS=None,
        SOCIAL_AUTH_ORGANIZATION_MAP={"Web": {"users": "/.*@example\\.com$/", "admins": "boss"}},
        SOCIAL_AUTH_TEAM_MAP={"Surf": {"organization": "Web", "users": ["olga"]}},
    )
    return running_provider


def browser(stack: Stack) -> httpx.AsyncClient:
    """Return a browser: it keeps cookies and is sent step by step."""
    return stack.anonymous()


async def go(client: httpx.AsyncClient, start: str = START) -> tuple[httpx.Response, str]:
    """Follow a login to the provider and back; returns our answer and the address it came to."""
    begun = await client.get(start)
    assert begun.status_code == 302, begun.text
    agreed = await client.get(begun.headers["location"])
    back = agreed.headers["location"]
    return await client.get(back), back


async def refused(stack: Stack, start: str = START) -> None:
    """Log in and see it refused: 401, no session, no user made, the attempt recorded."""
    end = await config_end(stack)
    async with browser(stack) as client:
        answered, _ = await go(client, start)
        assert answered.status_code == 401
        assert await me(client) is None
    assert await config_end(stack) == end
    assert (await last_try(stack))[1:] == (start.split("/")[3], False)


async def test_a_login_makes_user_and_places_and_opens_a_session(
    stack: Stack, provider: OpenIdProvider
) -> None:
    """Where to go is kept; the user has no password; the same again stores nothing."""
    provider.person |= {
        "email": "olga@example.com",
        "given_name": "Olga",
        "family_name": "Oak",
    }
    async with browser(stack) as client:
        answered, _ = await go(client, f"{START}?next=/api/v2/me/")
        assert answered.status_code == 302
        assert answered.headers["location"] == "/api/v2/me/"
        assert answered.headers["x-api-session-cookie-name"] == "awx_sessionid"
        mine = await me(client)
    assert mine is not None
    assert (mine["username"], mine["first_name"], mine["last_name"]) == ("olga", "Olga", "Oak")
    assert (mine["email"], mine["external_account"]) == ("olga@example.com", "social")
    assert mine["auth"] == [{"provider": "oidc", "uid": "42"}]
    assert "password" not in mine
    assert await places(stack, "olga") == {"Web", "#Surf"}
    assert await last_try(stack) == ("olga", "oidc", True)
    end = await config_end(stack)
    async with browser(stack) as client:
        assert (await go(client))[0].headers["location"] == "/api/"
    assert await config_end(stack) == end
    for password in ("", PASSWORD, "$encrypted$"):
        assert (await stack.as_user("olga", password).get("/api/v2/me/")).status_code == 401


async def test_what_is_asked_of_the_provider(stack: Stack, provider: OpenIdProvider) -> None:
    """Code flow with PKCE, a nonce and a state of its own for each login."""
    async with browser(stack) as client:
        await go(client)
        await go(client)
    first, second = provider.asked
    assert (first["response_type"], first["client_id"]) == ("code", CLIENT)
    assert first["redirect_uri"] == f"{stack.url}/sso/complete/oidc/"
    assert set(first["scope"].split()) == {"openid", "profile", "email"}
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 32
        assert first[name] != second[name]


async def test_the_list_of_ways(stack: Stack, provider: OpenIdProvider) -> None:
    """``auth`` names what is set up, to anybody; a way that is not set up is not there."""
    async with browser(stack) as client:
        listed = await client.get("/api/v2/auth/")
        assert listed.json() == {
            "oidc": {"login_url": "/sso/login/oidc/", "complete_url": "/sso/complete/oidc/"}
        }
        for path in ("login/github", "complete/github", "login/saml", "metadata/saml", "login/x"):
            assert (await client.get(f"/sso/{path}/")).status_code == 404
        assert (await client.get("/sso/metadata/oidc/")).status_code == 404
        page = (await client.get("/api/login/?next=/api/v2/me/")).text
        assert '<a href="/sso/login/oidc/?next=%2Fapi%2Fv2%2Fme%2F">Log in with oidc</a>' in page
    shown = (await stack.client.get("/api/v2/settings/oidc/")).json()
    assert shown["SOCIAL_AUTH_OIDC_SECRET"] == "$encrypted$"
    assert shown["SOCIAL_AUTH_OIDC_CALLBACK_URL"] == f"{stack.url}/sso/complete/oidc/"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"nonce": "of another login"},
        {"nonce": None},
        {"sub": None},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_this_login_is_refused(
    stack: Stack, provider: OpenIdProvider, wrong: dict[str, Any]
) -> None:
    """Issuer, audience, times, nonce and subject all have to be there and right."""
    provider.person = {"sub": "66", "preferred_username": "mallory"}
    provider.wrong = wrong
    await refused(stack)
    assert not await there(stack, "mallory")


@pytest.mark.parametrize("how", ["another key", "no signature", "the client's secret"])
async def test_a_token_that_the_provider_did_not_sign_is_refused(
    stack: Stack, provider: OpenIdProvider, how: str
) -> None:
    """Only the published keys count, and only signatures by key pair."""
    provider.person = {"sub": "66", "preferred_username": "mallory"}
    if how == "another key":
        provider.signer = another_key()
    elif how == "no signature":
        provider.header = {"alg": "none"}
    else:
        provider.header, provider.signer = {"alg": "HS256"}, shared_secret()
    await refused(stack)
    assert not await there(stack, "mallory")


async def test_an_answer_counts_once_and_in_the_browser_that_began(
    stack: Stack, provider: OpenIdProvider
) -> None:
    """A state is used up; another browser, or one without its cookie, gets nothing by it."""
    async with browser(stack) as client, browser(stack) as other:
        answered, back = await go(client)
        assert answered.status_code == 302
        assert (await client.get(back)).status_code == 401
        begun = await client.get(START)
        stolen = (await client.get(begun.headers["location"])).headers["location"]
        await other.get(START)
        assert (await other.get(stolen)).status_code == 401
        assert await me(other) is None
        assert (await client.get(stolen)).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?state=x",
        "?state=x&code=y",
        "?error=access_denied",
        "?ticket=x",
        "?state=" + "x" * 9000,
    ],
)
async def test_answers_out_of_nowhere_are_refused(
    stack: Stack, provider: OpenIdProvider, query: str
) -> None:
    """Nothing that was not begun here is completed."""
    async with browser(stack) as client:
        assert (await client.get(f"/sso/complete/oidc/{query}")).status_code == 401
        posted = await client.post("/sso/complete/oidc/", data={"state": "x", "code": "y"})
        assert posted.status_code == 401


@pytest.mark.parametrize("wanted", ["//evil.test", "https://evil.test", "/\\evil.test", "x", ""])
async def test_nobody_is_sent_to_another_site(
    stack: Stack, provider: OpenIdProvider, wanted: str
) -> None:
    """Only paths of this site are gone to."""
    async with browser(stack) as client:
        answered, _ = await go(client, str(httpx.URL(START, params={"next": wanted})))
        assert answered.headers["location"] == "/api/"


async def test_a_name_that_somebody_has_is_refused(stack: Stack, provider: OpenIdProvider) -> None:
    """Neither a local user nor another account of the provider is taken over by a name."""
    await stack.add_user("taken", is_superuser=True)
    provider.person = {"sub": "66", "preferred_username": "taken"}
    await refused(stack)
    assert await last_try(stack) == ("taken", "oidc", False)
    provider.person = {"sub": "66", "preferred_username": "olga"}
    await refused(stack)
    assert (await user(stack, "taken"))["external_account"] is None


async def test_userinfo_counts_for_the_tokens_subject_alone(
    stack: Stack, provider: OpenIdProvider
) -> None:
    """An address comes from there where the token has none, unless it is about somebody else."""
    provider.person = {"sub": "51", "preferred_username": "uma"}
    provider.told = {"email": "uma@example.com", "sub": "52"}
    async with browser(stack) as client:
        await go(client)
        assert (await user(stack, "uma"))["email"] == ""
        provider.told = {"email": "uma@example.com"}
        await go(client)
    assert (await user(stack, "uma"))["email"] == "uma@example.com"
    assert await places(stack, "uma") == {"Web"}


async def test_an_address_that_is_not_verified_gives_no_place(
    stack: Stack, provider: OpenIdProvider
) -> None:
    """Whoever may claim any address gets nothing by it."""
    claimed = {"email": "boss@example.com", "email_verified": False}
    provider.person = {"sub": "61", "preferred_username": "una", **claimed}
    async with browser(stack) as client:
        assert (await go(client))[0].status_code == 302
    assert await places(stack, "una") == set()


async def test_no_new_users_where_settings_say_so(stack: Stack, provider: OpenIdProvider) -> None:
    """Those who are there get in all the same."""
    async with browser(stack) as client:
        await go(client)
    await configure(stack, SOCIAL_AUTH_USER_FIELDS=[])
    provider.person = {"sub": "71", "preferred_username": "newcomer"}
    await refused(stack)
    provider.person = {"sub": "42", "preferred_username": "olga"}
    async with browser(stack) as client:
        assert (await go(client))[0].status_code == 302


async def test_a_provider_that_is_away_or_another_is_said_so(
    stack: Stack, provider: OpenIdProvider
) -> None:
    """503 at the start: nobody there, or whoever is there has another name."""
    for address in ("http://127.0.0.1:9", f"{provider.url}/sub"):
        await configure(stack, SOCIAL_AUTH_OIDC_OIDC_ENDPOINT=address)
        async with browser(stack) as client:
            assert (await client.get(START)).status_code == 503


def alone(name: str, issuer: str, *domains: str) -> OpenIdBackend:
    """Return a back end whose provider is at another address than the world's."""
    kind = next(each for each in KINDS if each.name == name)
    config = SocialConfig(
        kind=kind,
        key=CLIENT,
        secret=SECRET,
        issuer=issuer,
        check_certificate=True,
        domains=domains,
        group="",
        maps=Maps(),
        user_fields=None,
    )
    return OpenId().backend(config, "http://ours/sso/complete/")


async def identity(backend: OpenIdBackend) -> Identity:
    """Return who a provider says it is."""
    attempt = new_attempt("x", "", "cookie", "/")
    url, _ = await backend.start(attempt)
    async with httpx.AsyncClient() as client:
        back = httpx.URL((await client.get(url)).headers["location"])
    assert back.params["state"] == attempt.state
    return await backend.complete(dict(back.params), attempt)


async def test_google_lets_in_the_domains_that_are_named(running_provider: OpenIdProvider) -> None:
    """By an address that is verified; all domains where none is named."""
    running_provider.reset()
    backend = alone("google-oauth2", running_provider.url, "example.com", "example.org")
    everybody = alone("google-oauth2", running_provider.url)
    for address, verified, let_in in (
        ("olga@example.com", True, True),
        ("olga@example.com", False, False),
        ("olga@evil-example.com", True, False),
        ("olga@example.com.evil.test", True, False),
        ("", True, False),
    ):
        running_provider.person = {"sub": "1", "email": address, "email_verified": verified}
        assert (await identity(everybody)).email == address
        if let_in:
            assert (await identity(backend)).username == address
        else:
            with pytest.raises(Unproved, match="another domain"):
                await identity(backend)


async def test_azure_issues_for_each_tenant(running_provider: OpenIdProvider) -> None:
    """The issuer is that of the token's tenant, and addresses are nobody's word."""
    running_provider.reset()
    running_provider.issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
    backend = alone("azuread-oauth2", running_provider.url)
    issuer = "https://login.microsoftonline.com/tenant-1/v2.0"
    running_provider.person = {"sub": "1", "email": "boss@example.com", "upn": "olga@x.test"}
    running_provider.wrong = {"iss": issuer, "tid": "tenant-1"}
    found = await identity(backend)
    assert (found.username, found.email_verified) == ("olga@x.test", False)
    for wrong in ({"iss": issuer, "tid": "tenant-2"}, {"iss": issuer}, {"tid": "tenant-1"}):
        running_provider.wrong = wrong
        with pytest.raises(Unproved, match="token"):
            await identity(backend)


@pytest.mark.parametrize(
    ("name", "key", "value", "member"),
    [
        ("github", "", "", ""),
        ("github-org", "NAME", "acme corp", "/orgs/acme corp/members/octo"),
        ("github-team", "ID", "9", "/teams/9/memberships/octo"),
    ],
)
async def test_github(
    stack: Stack,
    provider: OpenIdProvider,
    name: str,
    key: str,
    value: str,
    member: str,
) -> None:
    """Its users by number, with their checked address; of an organization or team its members."""
    stack.app.state.external.providers._github = GitHub(provider.url, provider.url)
    word = f"SOCIAL_AUTH_{name.upper().replace('-', '_')}_"
    given = {f"{word}KEY": CLIENT, f"{word}SECRET": SECRET}
    await configure(stack, **given, **({f"{word}{key}": value} if key else {}))
    start = f"/sso/login/{name}/"
    found = (await stack.client.get("/api/v2/users/?username=octo")).json()["results"]
    for row in found:
        await stack.client.delete(row["url"])
    if member:
        await refused(stack, start)
        provider.memberships = {member}
    async with browser(stack) as client:
        assert (await go(client, start))[0].status_code == 302
        mine = await me(client)
    assert mine is not None
    assert (mine["username"], mine["first_name"], mine["email"]) == (
        "octo",
        "Octo",
        "octo@example.com",
    )
    assert mine["auth"] == [{"provider": name, "uid": "7"}]
    assert await last_try(stack) == ("octo", name, True)
