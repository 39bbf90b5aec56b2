"""Who sends a request: Basic, tokens and sessions, and what each may."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import requests

from controlplane.api import sessions
from controlplane.api.app import create_app
from controlplane.api.errors import UNAUTHENTICATED
from schemas.events.access import LoginTried
from tests.api.stack import PASSWORD, Stack
from tests.waiting import soon

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
    guessers = [stack.as_user("admin", f"guess {number}") for number in range(16)]
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


async def log_in(
    stack: Stack, client: httpx.AsyncClient, password: str, username: str = "admin"
) -> httpx.Response:
    """Log in as awxkit does: the token of the root document, then the form."""
    await client.get("/api/")
    return await client.post(
        "/api/login/",
        data={"username": username, "password": password, "next": "/api/"},
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


async def recorded(stack: Stack, username: str) -> list[tuple[str, bool]]:
    """Return how somebody tried to log in and whether that let them in, from the log."""
    store = stack.services.store
    return [
        (event.way, event.accepted)
        async for entry in store.read("ACCESS", 1, await store.last_sequence("ACCESS"))
        for event in entry.events
        if isinstance(event, LoginTried) and event.username == username
    ]


async def test_refused_logins_are_recorded(stack: Stack) -> None:
    """ACCESS tells a refused login with its name and way, and never the password."""
    await stack.as_user("intruder", "s3cret-guess").get("/api/v2/me/")
    assert await recorded(stack, "intruder") == [("basic", False)]
    store = stack.services.store
    end = await store.last_sequence("ACCESS")
    assert "s3cret-guess" not in repr([each async for each in store.read("ACCESS", 1, end)])


async def test_accepted_logins_are_recorded_once(stack: Stack) -> None:
    """Each way in is told with its first use; what goes on in the same way is not told again."""
    await stack.add_user("seen")
    client = stack.as_user("seen")
    token = (await client.post("/api/v2/tokens/", json={})).json()["token"]
    async with stack.anonymous() as browser:
        assert (await log_in(stack, browser, PASSWORD, "seen")).status_code == 302
        for _ in range(3):
            assert (await browser.get("/api/v2/me/")).status_code == 200
    async with stack.anonymous() as program:
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(3):
            assert (await program.get("/api/v2/me/", headers=headers)).status_code == 200
            assert (await client.get("/api/v2/me/")).status_code == 200
    expected = [("basic", True), ("session", True), ("token", True)]

    async def told() -> bool:
        return sorted(await recorded(stack, "seen")) == expected

    await soon(told)


async def test_own_password_keeps_this_session_alone(stack: Stack) -> None:
    """Who changes the own password stays logged in here; sessions elsewhere end."""
    number = await stack.add_user("keeper")
    async with stack.anonymous() as here, stack.anonymous() as elsewhere:
        for client in (here, elsewhere):
            assert (await log_in(stack, client, PASSWORD, "keeper")).status_code == 302
            assert (await client.get("/api/v2/me/")).status_code == 200
        headers = {"X-CSRFToken": here.cookies["csrftoken"]}
        body = {"password": "another password"}
        path = f"/api/v2/users/{number}/"
        assert (await here.patch(path, json=body, headers=headers)).status_code == 200
        assert (await here.get("/api/v2/me/")).json()["results"][0]["username"] == "keeper"
        assert (await elsewhere.get("/api/v2/me/")).status_code == 401
        assert (await stack.client.patch(path, json={"password": "a third"})).status_code == 200
        assert (await here.get("/api/v2/me/")).status_code == 401


async def test_sessions_end_with_their_user(stack: Stack) -> None:
    """A deleted user's session opens nothing."""
    number = await stack.add_user("fired")
    async with stack.anonymous() as client:
        await log_in(stack, client, PASSWORD, "fired")
        assert (await client.get("/api/v2/me/")).status_code == 200
        assert (await stack.client.delete(f"/api/v2/users/{number}/")).status_code == 204
        assert (await client.get("/api/v2/me/")).status_code == 401


@contextlib.asynccontextmanager
async def setting(stack: Stack, **values: Any) -> AsyncIterator[None]:
    """Change settings for a while, by a token: Basic may be off in between."""
    made = (await stack.client.post("/api/v2/tokens/", json={})).json()
    path = "/api/v2/settings/authentication/"
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert (await client.patch(path, json=values, headers=headers)).status_code == 200
        try:
            yield
        finally:
            assert (await client.delete(path, headers=headers)).status_code == 204


async def test_basic_can_be_turned_off(stack: Stack) -> None:
    """Without AUTH_BASIC_ENABLED a name and password are as good as none; sessions go on."""
    async with setting(stack, AUTH_BASIC_ENABLED=False):
        refused = await stack.client.get("/api/v2/me/")
        assert (refused.status_code, refused.json()) == (401, REFUSED)
        async with stack.anonymous() as client:
            assert (await log_in(stack, client, PASSWORD)).status_code == 302
            assert (await client.get("/api/v2/me/")).status_code == 200
    assert (await stack.client.get("/api/v2/me/")).status_code == 200


async def test_local_passwords_can_be_turned_off(stack: Stack) -> None:
    """With DISABLE_LOCAL_AUTH no stored password lets anybody in, by whatever way."""
    async with setting(stack, DISABLE_LOCAL_AUTH=True):
        assert (await stack.client.get("/api/v2/me/")).status_code == 401
        async with stack.anonymous() as client:
            assert (await log_in(stack, client, PASSWORD)).status_code == 401


async def test_sessions_per_user(stack: Stack) -> None:
    """One more session than a user may have ends the oldest; another user's stay."""
    await stack.add_user("many")
    async with setting(stack, SESSIONS_PER_USER=2, SESSION_COOKIE_AGE=600):
        clients = [stack.anonymous() for _ in range(4)]
        for client, username in zip(clients, ("admin", "many", "many", "many"), strict=True):
            answered = await log_in(stack, client, PASSWORD, username)
            assert answered.headers["session-timeout"] == "600"
            assert "Max-Age=600" in str(answered.headers.get_list("set-cookie"))
        codes = [(await client.get("/api/v2/me/")).status_code for client in clients]
    assert codes == [200, 401, 200, 200]
    for client in clients:
        await client.aclose()


async def test_login_again_over_a_session(stack: Stack) -> None:
    """The form's own CSRF token is enough, also for who is logged in already."""
    async with stack.anonymous() as client:
        await log_in(stack, client, PASSWORD)
        form = {"username": "admin", "password": PASSWORD, "next": "/api/v2/"}
        sent = {**form, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        answered = await client.post("/api/login/", data=sent)
        assert (answered.status_code, answered.headers["location"]) == (302, "/api/v2/")


async def test_requests_session_as_a_browser(stack: Stack) -> None:
    """``requests`` logs in with its cookies and writes with the CSRF token, as awxkit does."""

    def browse() -> list[int]:
        with requests.Session() as browser:
            codes = [browser.get(f"{stack.url}/api/").status_code]
            headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": stack.url}
            form = {"username": "admin", "password": PASSWORD, "next": "/api/"}
            entered = browser.post(f"{stack.url}/api/login/", data=form, headers=headers)
            codes += [each.status_code for each in (*entered.history, entered)]
            body = {"name": "by-requests"}
            url = f"{stack.url}/api/v2/organizations/"
            codes.append(browser.post(url, json=body).status_code)
            headers["X-CSRFToken"] = browser.cookies["csrftoken"]
            codes.append(browser.post(url, json=body, headers=headers).status_code)
            codes.append(browser.get(f"{stack.url}/api/logout/").status_code)
            codes.append(browser.get(url).status_code)
            return codes

    assert await asyncio.to_thread(browse) == [200, 302, 200, 403, 201, 200, 401]


async def test_ended_token_is_known_nowhere(stack: Stack) -> None:
    """What a process knew of a token ends with it, with its roles and with its scope, at once."""
    await stack.add_user("remembered")
    made = (await stack.as_user("remembered").post("/api/v2/tokens/", json={})).json()
    async with stack.anonymous() as client:
        client.headers["Authorization"] = f"Bearer {made['token']}"

        async def me() -> tuple[int, Any]:
            found = await client.get("/api/v2/me/")
            return found.status_code, found.json().get("results", [{}])[0].get("email")

        assert [await me() for _ in range(3)] == [(200, "")] * 3
        path = f"/api/v2/users/{made['user']}/"
        changed = await stack.client.patch(path, json={"email": "new@example.org"})
        assert changed.status_code == 200
        assert [await me() for _ in range(2)] == [(200, "new@example.org")] * 2
        assert (await client.get("/api/v2/settings/all/")).status_code == 403
        assert (await stack.client.patch(path, json={"is_superuser": True})).status_code == 200
        assert (await client.get("/api/v2/settings/all/")).status_code == 200
        assert (await stack.client.patch(path, json={"is_superuser": False})).status_code == 200
        assert (await client.get("/api/v2/settings/all/")).status_code == 403
        assert (await stack.client.delete(made["url"])).status_code == 204
        assert (await me())[0] == 401


async def test_ended_token_is_out_everywhere(stack: Stack) -> None:
    """Another process that knew the token refuses it with its next request."""
    made = (await stack.client.post("/api/v2/tokens/", json={})).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    app: Any = create_app(stack.services)
    other = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=other, base_url="http://other", headers=headers) as two:
        for _ in range(3):
            assert (await two.get("/api/v2/me/")).status_code == 200
        assert (await stack.client.delete(made["url"])).status_code == 204
        assert (await two.get("/api/v2/me/")).status_code == 401


async def test_expired_token_is_dead_though_known(stack: Stack) -> None:
    """Its time runs out without anything being written."""
    async with setting(stack, OAUTH2_PROVIDER={"ACCESS_TOKEN_EXPIRE_SECONDS": 1}):
        made = (await stack.client.post("/api/v2/tokens/", json={})).json()
    async with stack.anonymous() as client:
        client.headers["Authorization"] = f"Bearer {made['token']}"

        async def refused() -> bool:
            return (await client.get("/api/v2/me/")).status_code == 401

        await soon(refused)


async def test_session_in_use_is_prolonged(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cookie is sent again with its time, but not over a logout's."""
    async with stack.anonymous() as client:
        await log_in(stack, client, PASSWORD)
        assert "set-cookie" not in (await client.get("/api/v2/me/")).headers
        monkeypatch.setattr("controlplane.api.sessions.RENEW_AFTER_S", -1.0)
        sent = (await client.get("/api/v2/me/")).headers["set-cookie"]
        assert sent.startswith(f"awx_sessionid={client.cookies['awx_sessionid']};")
        assert "Max-Age=1800" in sent
        gone = await client.get("/api/logout/")
        assert "awx_sessionid" not in client.cookies
        assert "Max-Age=1800" not in str(gone.headers.get_list("set-cookie"))


async def test_ended_session_is_not_brought_back(stack: Stack) -> None:
    """A request under way that prolongs a session cannot undo its end."""
    sessions = stack.app.state.authenticator.sessions
    session_id = await sessions.open(1, "a hash")
    session = await sessions.find(session_id)
    await sessions.close(session_id)
    await sessions.rebind(session_id, session, "a hash")
    assert await sessions.find(session_id) is None
    for junk in ("", "1.", "x.y", f"{10**30}.x", "1.\x00", "\ud800"):
        assert await sessions.find(junk) is None


async def test_last_login_is_the_last_session(stack: Stack) -> None:
    """Shown and filtered by; a password or token sent with a request is no login, nor a refusal."""
    number = await stack.add_user("visitor")
    path = f"/api/v2/users/{number}/"
    assert (await stack.as_user("visitor").get(path)).json()["last_login"] is None
    async with stack.anonymous() as client:
        assert (await log_in(stack, client, PASSWORD, "visitor")).status_code == 302

    async def told() -> bool:
        return (await stack.client.get(path)).json()["last_login"] is not None

    await soon(told)
    first = (await stack.client.get(path)).json()["last_login"]
    async with stack.anonymous() as client:
        assert (await log_in(stack, client, "wrong", "visitor")).status_code == 401
    asked = {"username": "visitor", "last_login__isnull": "false", "order_by": "last_login"}
    rows = (await stack.client.get("/api/v2/users/", params=asked)).json()["results"]
    assert [row["last_login"] for row in rows] == [first]


async def test_a_proxy_on_this_machine_says_that_it_took_a_request_encrypted() -> None:
    """Another machine's word for that is no proof; the connection's own is."""
    said = [(b"x-forwarded-proto", b"https")]
    for peer, scheme, headers, wanted in (
        (("127.0.0.1", 1), "http", said, True),
        (("127.0.0.1", 1), "http", [], False),
        (("10.0.0.1", 1), "http", said, False),
        (None, "http", said, False),
        (("10.0.0.1", 1), "https", [], True),
    ):
        scope = {"client": peer, "scheme": scheme, "headers": headers}
        assert sessions.secure(scope) is wanted, (peer, scheme)
