"""Who sends a request: Basic, tokens and sessions, and what each may."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest

from controlplane.api.errors import UNAUTHENTICATED
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = {"detail": UNAUTHENTICATED}


def basic(text: str) -> str:
    """Return a Basic header's value for raw credentials."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        basic("admin:wrong"),
        basic("nobody:x"),
        basic("no colon"),
        "Basic !!!",
        "Bearer nonsense",
        "Bearer",
        basic("admin\x00:x"),
        basic(f"admin\x00:{PASSWORD}"),
        basic(f"admin:{PASSWORD}\x00"),
    ],
)
async def test_every_failure_is_one_401(stack: Stack, header: str) -> None:
    """Anonymous, wrong password and dead token read alike, and ask for Bearer, never Basic."""
    async with stack.anonymous() as client:
        headers = {"Authorization": header} if header else {}
        answered = await client.get("/api/v2/organizations/", headers=headers)
    assert (answered.status_code, answered.json()) == (401, REFUSED)
    assert answered.headers["www-authenticate"].startswith("Bearer ")
    assert "x-api-product-version" not in answered.headers


async def test_right_password_again_and_again(stack: Stack) -> None:
    """A remembered password stays right, and a wrong one wrong beside it."""
    for _ in range(3):
        assert (await stack.client.get("/api/v2/me/")).status_code == 200
        assert (await stack.as_user("admin", "wrong").get("/api/v2/me/")).status_code == 401


async def test_changed_password_counts_at_once(stack: Stack) -> None:
    """The old password is refused as soon as the new one is answered."""
    made = await stack.make("users", username="changing", password="first-one")
    client = stack.as_user("changing", "first-one")
    assert (await client.get("/api/v2/me/")).status_code == 200
    changed = await client.patch(made["url"], json={"password": "second-one"})
    assert changed.status_code == 200, changed.text
    assert (await client.get("/api/v2/me/")).status_code == 401
    assert (await stack.as_user("changing", "second-one").get("/api/v2/me/")).status_code == 200


async def test_guessing_passwords_keeps_nobody_out(stack: Stack) -> None:
    """Guesses wait in line for one another; who was let in before is answered meanwhile."""
    assert (await stack.client.get("/api/v2/me/")).status_code == 200
    guessers = [stack.as_user("admin", f"guess {number}") for number in range(40)]
    guesses = [asyncio.create_task(each.get("/api/v2/me/")) for each in guessers]
    assert (await stack.client.get("/api/v2/me/")).status_code == 200
    assert {each.status_code for each in await asyncio.gather(*guesses)} == {401}
    for each in guessers:
        await each.aclose()


async def test_anonymous_may_read_the_roots(stack: Stack) -> None:
    """The documents that clients read before logging in need no login."""
    async with stack.anonymous() as client:
        for path in ("/api/", "/api/v2/", "/api/o/", "/api/v2/ping/", "/api/login/"):
            assert (await client.get(path)).status_code == 200


async def log_in(stack: Stack, client: httpx.AsyncClient, password: str) -> httpx.Response:
    """Log in as awxkit does: the token of the root document, then the form."""
    await client.get("/api/")
    return await client.post(
        "/api/login/",
        data={"username": "admin", "password": password, "next": "/api/"},
        headers={"X-CSRFToken": client.cookies["csrftoken"], "Referer": stack.url},
    )


async def test_session_login_as_awxkit_does_it(stack: Stack) -> None:
    """302, a session cookie and its name in a header; then safe requests need nothing else."""
    async with stack.anonymous() as client:
        answered = await log_in(stack, client, PASSWORD)
        assert answered.status_code == 302
        assert answered.headers["location"] == "/api/"
        assert answered.headers["x-api-session-cookie-name"] == "awx_sessionid"
        assert "HttpOnly" in str(answered.headers.get_list("set-cookie"))
        me = await client.get("/api/v2/me/")
        assert (me.status_code, me.headers["session-timeout"]) == (200, "1800")


async def test_sessions_need_the_csrf_token_to_write(stack: Stack) -> None:
    """A session without X-CSRFToken may not write; with it, it may."""
    async with stack.anonymous() as client:
        await log_in(stack, client, PASSWORD)
        body = {"name": "by-session"}
        refused = await client.post("/api/v2/organizations/", json=body)
        assert refused.status_code == 403
        assert refused.json() == {"detail": "CSRF Failed: CSRF token missing."}
        headers = {"X-CSRFToken": client.cookies["csrftoken"]}
        made = await client.post("/api/v2/organizations/", json=body, headers=headers)
        assert made.status_code == 201


async def test_wrong_password_and_missing_token_at_login(stack: Stack) -> None:
    """A wrong password is a 401 page, a login without CSRF token a 403 page."""
    async with stack.anonymous() as client:
        assert (await log_in(stack, client, "wrong")).status_code == 401
        refused = await client.post("/api/login/", data={"username": "admin", "password": PASSWORD})
        assert refused.status_code == 403
        assert refused.headers["content-type"].startswith("text/html")


async def test_login_never_leads_elsewhere(stack: Stack) -> None:
    """``next`` cannot send a logged-in user to another site."""
    async with stack.anonymous() as client:
        await client.get("/api/")
        answered = await client.post(
            "/api/login/",
            data={"username": "admin", "password": PASSWORD, "next": "//evil.example/"},
            headers={"X-CSRFToken": client.cookies["csrftoken"]},
        )
        assert answered.headers["location"] == "/api/"


async def test_login_page_keeps_where_to_go(stack: Stack) -> None:
    """The form carries ``next``, escaped; another site's address is not carried."""
    async with stack.anonymous() as client:
        page = await client.get("/api/login/", params={"next": '/api/v2/me/?a="1"'})
        assert 'name="next" value="/api/v2/me/?a=&quot;1&quot;"' in page.text
        page = await client.get("/api/login/", params={"next": "https://evil.example/"})
        assert 'name="next" value="/api/"' in page.text
        headers = {"Accept": "application/json"}
        assert (await client.get("/api/login/", headers=headers)).status_code == 406


async def test_logout_ends_the_session(stack: Stack) -> None:
    """After logout the session's id opens nothing, whoever kept it."""
    async with stack.anonymous() as client:
        await log_in(stack, client, PASSWORD)
        kept = client.cookies["awx_sessionid"]
        assert (await client.get("/api/logout/")).status_code == 302
        client.cookies.set("awx_sessionid", kept)
        assert (await client.get("/api/v2/me/")).status_code == 401


async def test_token_is_shown_once(stack: Stack) -> None:
    """A token is readable in the answer that makes it and nowhere else."""
    made = await stack.client.post("/api/v2/tokens/", json={"description": "mine"})
    assert made.status_code == 201
    secret = made.json()["token"]
    shown = await stack.client.get(made.json()["url"])
    assert shown.json()["token"] == "************"
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await client.get("/api/v2/me/", headers=headers)).status_code == 200
        assert (await stack.client.delete(made.json()["url"])).status_code == 204
        assert (await client.get("/api/v2/me/", headers=headers)).status_code == 401


async def test_read_token_cannot_write(stack: Stack) -> None:
    """A token of scope read gets 403 for every unsafe method, and no capabilities."""
    made = await stack.client.post("/api/v2/users/admin/personal_tokens/", json={"scope": "read"})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    await stack.make("organizations", name="looked-at")
    async with stack.anonymous() as client:
        refused = await client.post("/api/v2/organizations/", json={"name": "no"}, headers=headers)
        assert refused.status_code == 403
        row = (await client.get("/api/v2/organizations/", headers=headers)).json()["results"][0]
    assert row["summary_fields"]["user_capabilities"] == {"edit": False, "delete": False}


async def test_tokens_of_others_are_out_of_reach(stack: Stack) -> None:
    """Nobody but the owner makes, sees or ends a token; a superuser may see and end it."""
    await stack.add_user("owner")
    await stack.add_user("curious")
    made = await stack.as_user("owner").post("/api/v2/tokens/", json={})
    curious = stack.as_user("curious")
    assert (await curious.get(made.json()["url"])).status_code == 403
    assert (await curious.delete(made.json()["url"])).status_code == 403
    assert (await curious.get("/api/v2/tokens/")).json()["count"] == 0
    refused = await stack.client.post("/api/v2/users/owner/personal_tokens/", json={})
    assert refused.status_code == 403


async def test_bad_scope_is_refused(stack: Stack) -> None:
    """A scope is made of the words read and write."""
    answered = await stack.client.post("/api/v2/tokens/", json={"scope": "everything"})
    assert answered.status_code == 400
    assert list(answered.json()) == ["scope"]


async def test_logins_are_recorded(stack: Stack) -> None:
    """ACCESS tells a refused login with its name and way, and never the password."""
    await stack.as_user("intruder", "s3cret-guess").get("/api/v2/me/")
    store = stack.services.store
    records = [
        event
        async for record in store.read("ACCESS", 1, await store.last_sequence("ACCESS"))
        for event in record.events
    ]
    assert any(getattr(event, "username", "") == "intruder" for event in records)
    assert "s3cret-guess" not in repr(records)
