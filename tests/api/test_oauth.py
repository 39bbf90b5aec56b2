"""OAuth 2's endpoints, driven by an HTTP client: grants, rotation, consent, and their refusals."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ops import ids
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLBACK = "https://app.example/callback?fixed=1"
VERIFIER = "v" * 64
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
INVALID_GRANT = {"error": "invalid_grant"}
INVALID_CLIENT = {"error": "invalid_client"}


async def application(stack: Stack, **fields: Any) -> dict[str, Any]:
    """Make an application for codes with one redirect URI."""
    name = f"o{ids.new_id()}"
    organization = await stack.make("organizations", name=name)
    body = {
        "name": name,
        "organization": organization["id"],
        "client_type": "confidential",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": CALLBACK,
        **fields,
    }
    return await stack.make("applications", **body)


async def ask(stack: Stack, auth: dict[str, Any], **form: str) -> httpx.Response:
    """Post to the token endpoint as an application."""
    async with stack.anonymous() as client:
        secret = auth.get("client_secret")
        if secret is None:
            return await client.post("/api/o/token/", data={"client_id": auth["client_id"], **form})
        return await client.post("/api/o/token/", data=form, auth=(auth["client_id"], secret))


async def by_password(stack: Stack, auth: dict[str, Any], **form: str) -> httpx.Response:
    """Ask for a token with the superuser's name and password."""
    fields = {"grant_type": "password", "username": "admin", "password": PASSWORD, **form}
    return await ask(stack, auth, **fields)


async def refreshed(stack: Stack, auth: dict[str, Any], token: str, **form: str) -> httpx.Response:
    """Ask for a token with a refresh token."""
    return await ask(stack, auth, grant_type="refresh_token", refresh_token=token, **form)


async def works(stack: Stack, token: str, method: str = "GET") -> bool:
    """Return whether a token lets somebody in, or write."""
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {token}"}
        path = "/api/v2/me/" if method == "GET" else "/api/v2/tokens/"
        found = await client.request(method, path, headers=headers, json=None)
        return found.is_success


async def browser(stack: Stack, username: str = "admin") -> httpx.AsyncClient:
    """Return a client that is logged in with a session."""
    client = stack.anonymous()
    await client.get("/api/")
    form = {"username": username, "password": PASSWORD, "next": "/api/"}
    headers = {"X-CSRFToken": client.cookies["csrftoken"]}
    assert (await client.post("/api/login/", data=form, headers=headers)).status_code == 302
    return client


def request_of(made: dict[str, Any], **more: str) -> dict[str, str]:
    """Return the query of an authorization request with PKCE."""
    return {
        "response_type": "code",
        "client_id": made["client_id"],
        "redirect_uri": CALLBACK,
        "scope": "write",
        "state": "a state/&",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **more,
    }


def told(answered: httpx.Response) -> dict[str, str]:
    """Return what a redirection tells the application."""
    assert answered.status_code == 302, answered.text
    location = answered.headers["location"]
    assert location.startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def consented(client: httpx.AsyncClient, asked: dict[str, str], **form: str) -> Any:
    """Read the consent page and send its form."""
    page = await client.get("/api/o/authorize/", params=asked)
    assert page.status_code == 200, page.text
    assert page.headers["x-frame-options"] == "DENY"
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    fields = {name: html.unescape(value) for name, value in fields.items()}
    sent = {**fields, "allow": "Authorize", **form}
    return await client.post("/api/o/authorize/", data=sent)


async def code_of(stack: Stack, made: dict[str, Any], **more: str) -> str:
    """Return a code that the superuser allowed."""
    client = await browser(stack)
    found = told(await consented(client, request_of(made, **more)))
    await client.aclose()
    return found["code"]


async def exchanged(stack: Stack, made: dict[str, Any], code: str, **more: str) -> httpx.Response:
    """Exchange a code."""
    form = {"redirect_uri": CALLBACK, "code_verifier": VERIFIER, **more}
    return await ask(stack, made, grant_type="authorization_code", code=code, **form)


async def test_password_grant(stack: Stack) -> None:
    """A token and a refresh token for a name and password, in the form that AWX gives."""
    made = await application(stack, authorization_grant_type="password", redirect_uris="")
    given = await by_password(stack, made, scope="write")
    body = given.json()
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    assert list(body) == ["access_token", "expires_in", "token_type", "scope", "refresh_token"]
    assert (body["expires_in"], body["token_type"]) == (31_536_000_000, "Bearer")
    assert body["scope"] == "write"
    assert await works(stack, body["access_token"], "POST")
    row = (await stack.client.get(made["related"]["tokens"])).json()["results"][0]
    assert (row["user"], row["scope"], row["application"]) == (1, "write", made["id"])


async def test_read_scope_writes_nothing(stack: Stack) -> None:
    """The scope asked for is the scope given."""
    made = await application(stack, authorization_grant_type="password")
    body = (await by_password(stack, made, scope="read")).json()
    assert await works(stack, body["access_token"])
    assert not await works(stack, body["access_token"], "POST")


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"grant_type": "implicit"}, {"error": "unsupported_grant_type"}),
        ({"grant_type": ""}, {"error": "unsupported_grant_type"}),
        (
            {"username": ""},
            {
                "error": "invalid_request",
                "error_description": "Request is missing username parameter.",
            },
        ),
        (
            {"password": "wrong"},
            {**INVALID_GRANT, "error_description": "Invalid credentials given."},
        ),
        (
            {"username": "nobody\x00"},
            {**INVALID_GRANT, "error_description": "Invalid credentials given."},
        ),
        ({"scope": "everything"}, {"error": "invalid_scope"}),
        (
            {"grant_type": "refresh_token"},
            {"error": "invalid_request", "error_description": "Missing refresh token parameter."},
        ),
        ({"grant_type": "refresh_token", "refresh_token": "x\x00"}, INVALID_GRANT),
        (
            {"grant_type": "authorization_code"},
            {"error": "invalid_request", "error_description": "Missing code parameter."},
        ),
        ({"grant_type": "authorization_code", "code": "x\x00"}, INVALID_GRANT),
    ],
)
async def test_refused_grants(stack: Stack, form: dict[str, str], problem: dict[str, str]) -> None:
    """RFC 6749's error forms with the words that AWX's clients know."""
    path = "/api/v2/applications/?authorization_grant_type=password&client_type=public"
    found = (await stack.client.get(path)).json()["results"]
    kind = {"authorization_grant_type": "password", "client_type": "public"}
    made = found[0] if found else await application(stack, **kind)
    answered = await by_password(stack, made, **form)
    assert (answered.status_code, answered.json()) == (400, problem)


async def test_client_must_prove_itself(stack: Stack) -> None:
    """A wrong or missing secret, an unknown client and none at all are 401; so are junk headers."""
    made = await application(stack, authorization_grant_type="password")
    secret = made["client_secret"]
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    basic = [f"{made['client_id']}:wrong", "nobody:x", "no colon", f"{made['client_id']}:\x00"]
    async with stack.anonymous() as client:
        for text in basic:
            header = {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
            refused = await client.post("/api/o/token/", data=form, headers=header)
            assert (refused.status_code, refused.json()) == (401, INVALID_CLIENT), text
        for extra in ({}, {"client_id": made["client_id"]}, {"client_id": "x\x00"}):
            refused = await client.post("/api/o/token/", data={**form, **extra})
            assert (refused.status_code, refused.json()) == (401, INVALID_CLIENT), extra
        headers = {"Authorization": "Basic !!!"}
        refused = await client.post("/api/o/revoke_token/", data={"token": "x"}, headers=headers)
        assert (refused.status_code, refused.json()) == (401, INVALID_CLIENT)
        proved = {"client_id": made["client_id"], "client_secret": secret}
        assert (await client.post("/api/o/token/", data={**form, **proved})).status_code == 200


async def test_grant_is_the_applications(stack: Stack) -> None:
    """An application for codes gets nothing for a password."""
    made = await application(stack)
    refused = await by_password(stack, made)
    assert (refused.status_code, refused.json()) == (400, {"error": "unauthorized_client"})


async def test_refresh_token_rotates(stack: Stack) -> None:
    """A new pair takes the old one's place, with the scope or less of it."""
    made = await application(stack, authorization_grant_type="password")
    first = (await by_password(stack, made, scope="read write")).json()
    second = await refreshed(stack, made, first["refresh_token"])
    assert second.status_code == 200, second.text
    assert second.json()["scope"] == "read write"
    assert not await works(stack, first["access_token"])
    assert await works(stack, second.json()["access_token"])
    third = await refreshed(stack, made, second.json()["refresh_token"], scope="read")
    assert third.json()["scope"] == "read"
    wider = await refreshed(stack, made, third.json()["refresh_token"], scope="write")
    assert (wider.status_code, wider.json()) == (400, {"error": "invalid_scope"})
    assert await works(stack, third.json()["access_token"])


async def test_refresh_token_used_twice_ends_the_family(stack: Stack) -> None:
    """Whoever used it first: what came of it is dead too, and stays dead."""
    made = await application(stack, authorization_grant_type="password")
    first = (await by_password(stack, made)).json()
    second = (await refreshed(stack, made, first["refresh_token"])).json()
    third = (await refreshed(stack, made, second["refresh_token"])).json()
    again = await refreshed(stack, made, first["refresh_token"])
    assert (again.status_code, again.json()) == (400, INVALID_GRANT)
    assert not await works(stack, third["access_token"])
    assert (await refreshed(stack, made, third["refresh_token"])).json() == INVALID_GRANT
    assert (await stack.client.get(made["related"]["tokens"])).json()["count"] == 0


async def test_refresh_token_used_twice_at_once(stack: Stack) -> None:
    """At most one of the two gets a token, and it does not outlive the other's try."""
    made = await application(stack, authorization_grant_type="password")
    first = (await by_password(stack, made)).json()
    tries = [refreshed(stack, made, first["refresh_token"]) for _ in range(4)]
    answered = await asyncio.gather(*tries)
    codes = sorted(each.status_code for each in answered)
    assert codes == [200, 400, 400, 400]
    given = next(each.json() for each in answered if each.status_code == 200)
    assert not await works(stack, given["access_token"])
    assert not await works(stack, first["access_token"])


async def test_refresh_token_belongs_to_its_client(stack: Stack) -> None:
    """Another application cannot use it, nor harm it by trying."""
    made, other = [await application(stack, authorization_grant_type="password") for _ in "12"]
    given = (await by_password(stack, made)).json()
    refused = await refreshed(stack, other, given["refresh_token"])
    assert (refused.status_code, refused.json()) == (400, INVALID_GRANT)
    assert await works(stack, given["access_token"])


async def test_revocation(stack: Stack) -> None:
    """Of the token or its refresh token, by its own application alone; 200 and empty always."""
    made, other = [await application(stack, authorization_grant_type="password") for _ in "12"]
    async with stack.anonymous() as client:
        for name in ("access_token", "refresh_token"):
            given = (await by_password(stack, made)).json()
            for auth, alive in ((other, True), (made, False), (made, False)):
                answered = await client.post(
                    "/api/o/revoke_token/",
                    data={"token": given[name]},
                    auth=(auth["client_id"], auth["client_secret"]),
                )
                assert (answered.status_code, answered.content) == (200, b"")
                assert await works(stack, given["access_token"]) == alive
            assert (await refreshed(stack, made, given["refresh_token"])).status_code == 400


@pytest.mark.parametrize("client_type", ["public", "confidential"])
async def test_code_with_pkce(stack: Stack, client_type: str) -> None:
    """Login, consent, code, token: the state comes back as it was, and the token works."""
    made = await application(stack, client_type=client_type)
    asked = request_of(made)
    async with stack.anonymous() as client:
        sent_away = await client.get("/api/o/authorize/", params=asked)
        assert sent_away.status_code == 302
        assert sent_away.headers["location"].startswith("/api/login/?next=%2Fapi%2Fo%2Fauthorize")
        page = await client.get(sent_away.headers["location"])
        wanted = re.findall(r'name="next" value="([^"]+)"', page.text)[0].replace("&amp;", "&")
        form = {"username": "admin", "password": PASSWORD, "next": wanted}
        headers = {"X-CSRFToken": client.cookies["csrftoken"]}
        entered = await client.post("/api/login/", data=form, headers=headers)
        back = entered.headers["location"]
        assert dict(httpx.URL(back).params) == asked
        found = told(await consented(client, dict(httpx.URL(back).params)))
        assert (found["state"], found["fixed"]) == (asked["state"], "1")
    given = await exchanged(stack, made, found["code"])
    assert given.status_code == 200, given.text
    assert given.json()["scope"] == "write"
    assert await works(stack, given.json()["access_token"], "POST")


async def test_code_is_good_once(stack: Stack) -> None:
    """A second use is refused, and ends the token that the first one gave."""
    made = await application(stack)
    code = await code_of(stack, made)
    given = (await exchanged(stack, made, code)).json()
    second = (await refreshed(stack, made, given["refresh_token"])).json()
    again = await exchanged(stack, made, code)
    assert (again.status_code, again.json()) == (400, INVALID_GRANT)
    assert not await works(stack, second["access_token"])


async def test_code_used_twice_at_once(stack: Stack) -> None:
    """One of those who try gets a token."""
    made = await application(stack)
    code = await code_of(stack, made)
    answered = await asyncio.gather(*(exchanged(stack, made, code) for _ in range(4)))
    assert sorted(each.status_code for each in answered) == [200, 400, 400, 400]


async def test_code_is_bound(stack: Stack) -> None:
    """To its application, its address and its verifier; a failed try does not use it up."""
    made, other = [await application(stack) for _ in "12"]
    code = await code_of(stack, made)
    wrong: list[tuple[dict[str, Any], dict[str, str], str]] = [
        (other, {}, "invalid_grant"),
        (made, {"redirect_uri": "https://app.example/callback"}, "invalid_request"),
        (made, {"redirect_uri": ""}, "invalid_request"),
        (made, {"code_verifier": "w" * 64}, "invalid_grant"),
        (made, {"code_verifier": ""}, "invalid_request"),
    ]
    for client, form, error in wrong:
        refused = await exchanged(stack, client, code, **form)
        assert (refused.status_code, refused.json()["error"]) == (400, error), form
    assert (await exchanged(stack, made, code)).status_code == 200


async def test_code_without_challenge_takes_no_verifier(stack: Stack) -> None:
    """Who leaves the challenge out of somebody's request cannot pass the code to their client."""
    made = await application(stack, client_type="confidential")
    code = await code_of(stack, made, code_challenge="", code_challenge_method="")
    downgraded = await exchanged(stack, made, code)
    assert (downgraded.status_code, downgraded.json()) == (400, INVALID_GRANT)
    assert (await exchanged(stack, made, code, code_verifier="")).status_code == 200


async def test_trusted_application_is_not_asked_about(stack: Stack) -> None:
    """``skip_authorization`` leads straight back with a code."""
    made = await application(stack, skip_authorization=True)
    client = await browser(stack)
    answered = await client.get("/api/o/authorize/", params=request_of(made, scope=""))
    found = told(answered)
    await client.aclose()
    assert (await exchanged(stack, made, found["code"])).json()["scope"] == "read write"


async def test_user_says_no(stack: Stack) -> None:
    """The application is told, with its state; nothing is given."""
    made = await application(stack)
    client = await browser(stack)
    found = told(await consented(client, request_of(made), allow=""))
    await client.aclose()
    assert (found["error"], found["state"]) == ("access_denied", "a state/&")
    assert "code" not in found


async def test_consent_needs_the_csrf_token(stack: Stack) -> None:
    """A form of another site gives nothing away."""
    made = await application(stack)
    client = await browser(stack)
    refused = await consented(client, request_of(made), csrfmiddlewaretoken="guess")
    await client.aclose()
    assert refused.status_code == 403
    assert "location" not in refused.headers


async def test_basic_does_not_consent(stack: Stack) -> None:
    """Only a session does: a name and password are sent to the login page."""
    made = await application(stack, skip_authorization=True)
    answered = await stack.client.get("/api/o/authorize/", params=request_of(made))
    assert answered.status_code == 302
    assert answered.headers["location"].startswith("/api/login/")


@pytest.mark.parametrize(
    ("more", "description"),
    [
        ({"client_id": "unknown"}, "Invalid client_id parameter value."),
        ({"client_id": "nul\x00"}, "Invalid client_id parameter value."),
        ({"redirect_uri": "https://app.example/callback"}, "Mismatching redirect URI."),
        ({"redirect_uri": f"{CALLBACK}&more=1"}, "Mismatching redirect URI."),
        ({"redirect_uri": "https://evil.example/"}, "Mismatching redirect URI."),
    ],
)
async def test_wrong_address_is_shown_to_the_user(
    stack: Stack, more: dict[str, str], description: str
) -> None:
    """Nobody is sent to an address that the application has not named, letter by letter."""
    made = await application(stack)
    client = await browser(stack)
    answered = await client.get("/api/o/authorize/", params=request_of(made, **more))
    await client.aclose()
    assert answered.status_code == 400
    assert answered.headers["content-type"].startswith("text/html")
    assert description in answered.text


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
    ],
)
async def test_application_is_told_what_is_wrong(
    stack: Stack, more: dict[str, str], error: str
) -> None:
    """Errors go back to the application with its state, and before the user is asked."""
    made = await application(stack, client_type="public")
    client = await browser(stack)
    found = told(await client.get("/api/o/authorize/", params=request_of(made, **more)))
    await client.aclose()
    assert (found["error"], found["state"]) == (error, "a state/&")


async def test_password_application_has_no_page(stack: Stack) -> None:
    """An application for passwords cannot send users to the page."""
    fields = {"authorization_grant_type": "password", "redirect_uris": CALLBACK}
    made = await application(stack, **fields)
    client = await browser(stack)
    found = told(await client.get("/api/o/authorize/", params=request_of(made)))
    await client.aclose()
    assert found["error"] == "unauthorized_client"


async def test_browser_goes_the_whole_way(stack: Stack) -> None:
    """With a browser's Accept header pages are pages and redirections are bare."""
    made = await application(stack)
    async with stack.anonymous() as client:
        client.headers["Accept"] = "text/html,application/xhtml+xml,*/*;q=0.8"
        away = await client.get("/api/o/authorize/", params=request_of(made))
        page = await client.get(away.headers["location"])
        assert page.headers["content-type"].startswith("text/html")
        fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        fields = {name: html.unescape(value) for name, value in fields.items()}
        form = {**fields, "username": "admin", "password": PASSWORD}
        entered = await client.post("/api/login/", data=form)
        back = dict(httpx.URL(entered.headers["location"]).params)
        sent = await consented(client, back)
        assert [each.content for each in (away, entered, sent)] == [b"", b"", b""]
        assert told(sent)["state"] == "a state/&"
