"""Which form an answer takes, what ``?format=`` does, and what a browser is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_asyncio

from controlplane.api import browsable, negotiation
from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = "</pre><script>alert(1)</script>\"'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(stack: Stack) -> dict[str, Any]:
    """An organization whose name and description try to be more than text."""
    return await stack.make("organizations", name=HOSTILE, description="javascript:alert(2)")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/html"),
        ("text/html", "text/html"),
        ("text/html, */*", "text/html"),
        ("TEXT/HTML;level=1", "text/html"),
        ("*/*, text/html;q=0.1", "application/json"),
        ("application/json, text/html", "application/json"),
        ("text/html, application/json", "application/json"),
        ("application/json;q=0.2, text/html", "text/html"),
        ("text/html;q=0, */*;q=0.5", "application/json"),
        ("image/png", None),
        ("application/xml, image/*", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
        ("nonsense", None),
    ],
)
async def test_accept_picks_the_form(accept: str, media: str | None) -> None:
    """JSON wins a tie; a form that is refused with q=0 is not sent."""
    found = negotiation.accepted(accept, negotiation.DEFAULT)
    assert found == media


@pytest.mark.parametrize("path", ["/api/", "/api/v2/", "/api/v2/me/", "/api/v2/organizations/"])
async def test_both_forms_of_a_path(stack: Stack, path: str) -> None:
    """Programs get JSON, browsers a page; ``format`` decides before Accept."""
    for query, accept, media in (
        ("", "*/*", "application/json"),
        ("", BROWSER["accept"], "text/html; charset=utf-8"),
        ("?format=api", "application/json", "text/html; charset=utf-8"),
        ("?format=json", BROWSER["accept"], "application/json"),
    ):
        answered = await stack.client.get(f"{path}{query}", headers={"accept": accept})
        assert answered.status_code == 200
        assert answered.headers["content-type"] == media, (query, accept)


async def test_what_cannot_be_answered_is_refused(stack: Stack) -> None:
    """An Accept that nothing fits is 406, a format that there is not 404, both in JSON."""
    answered = await stack.client.get("/api/v2/me/", headers={"accept": "application/xml"})
    assert answered.status_code == 406
    assert answered.json() == {"detail": "Could not satisfy the request Accept header."}
    answered = await stack.client.get("/api/v2/me/?format=xml", headers=BROWSER)
    assert (answered.status_code, answered.json()) == (404, {"detail": "Not found."})
    login = await stack.client.get("/api/login/", headers={"accept": "application/json"})
    assert login.status_code == 406


async def test_format_is_echoed_into_every_url(stack: Stack, hostile: dict[str, Any]) -> None:
    """Roots, url, related and page links keep the form; what a user wrote stays as it is."""
    root = (await stack.client.get("/api/v2/?format=json")).json()
    assert root["organizations"] == "/api/v2/organizations/?format=json"
    assert (await stack.client.get("/api/?format=json")).json()["available_versions"] == {
        "v2": "/api/v2/?format=json"
    }
    named = "/api/v2/jobs/1/"
    await stack.client.patch(hostile["url"], json={"description": named})
    detail = (await stack.client.get(f"{hostile['url']}?format=json")).json()
    assert detail["url"] == f"{hostile['url']}?format=json"
    assert {each.partition("?")[2] for each in detail["related"].values()} == {"format=json"}
    assert detail["description"] == named
    query = "page_size=1&order_by=-id&format=json"
    listed = (await stack.client.get(f"/api/v2/users/?{query}")).json()
    assert listed["results"][0]["url"].endswith("/?format=json")
    await stack.add_user("second")
    listed = (await stack.client.get(f"/api/v2/users/?{query}")).json()
    assert "format=json" in listed["next"]


async def test_a_page_runs_nothing_but_its_own(stack: Stack, hostile: dict[str, Any]) -> None:
    """Values are escaped, links lead to paths and web addresses only, the policy names a nonce."""
    for path in ("/api/v2/organizations/", hostile["url"]):
        answered = await stack.client.get(path, headers=BROWSER)
        assert "<script>alert" not in answered.text
        assert 'href="javascript' not in answered.text
        policy = answered.headers["content-security-policy"]
        nonce = re.findall(r"script-src 'nonce-([^']+)'", policy)[0]
        assert f'<script nonce="{nonce}">' in answered.text
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r'(src|<link)[^>]*="?(https?:)?//', answered.text)
        again = await stack.client.get(path, headers=BROWSER)
        assert nonce not in again.text


async def test_a_page_shows_where_one_is_and_what_one_may_do(
    stack: Stack, hostile: dict[str, Any]
) -> None:
    """Breadcrumb, name, links, allowed methods, page links, logout, and the forms of OPTIONS."""
    await stack.add_user("shown")
    answered = await stack.client.get("/api/v2/users/?page_size=1&page=1", headers=BROWSER)
    text = answered.text
    for part in (
        '<a href="/api/v2/">Version 2</a>',
        "<h1>User List</h1>",
        '<a href="/api/logout/">Log out</a>',
        "<strong>Allow:</strong> GET, HEAD, OPTIONS, POST",
        'rel="next" href="/api/v2/users/?page=2&amp;page_size=1"',
        '<a href="/api/v2/users/1/" rel="noopener noreferrer">/api/v2/users/1/</a>',
        'data-method="POST"',
        'name="search"',
        "&#34;username&#34;: &#34;&#34;",
    ):
        assert part in text, part
    detail = (await stack.client.get(hostile["url"], headers=BROWSER)).text
    assert [verb for verb in browsable.VERBS if f'data-method="{verb}"' in detail] == [
        "PUT",
        "PATCH",
        "DELETE",
    ]


async def test_a_page_offers_only_what_the_caller_may(stack: Stack) -> None:
    """Who may not create sees no form, who is nobody a login link and no data."""
    await stack.add_user("looker")
    seen = (await stack.as_user("looker").get("/api/v2/organizations/", headers=BROWSER)).text
    assert "data-method" not in seen
    async with stack.anonymous() as client:
        answered = await client.get("/api/v2/organizations/", headers=BROWSER)
    assert answered.status_code == 401
    assert '<a href="/api/login/?next=/api/v2/organizations/">Log in</a>' in answered.text
    assert "Authentication credentials were not provided" in answered.text


async def test_a_page_s_form_is_taken_with_the_session_s_token(stack: Stack) -> None:
    """What the page sends, JSON with X-CSRFToken of the cookie, creates; without it is 403."""
    async with stack.anonymous() as client:
        await client.get("/api/")
        token = client.cookies["csrftoken"]
        form = {"username": "admin", "password": PASSWORD, "next": "/api/"}
        await client.post("/api/login/", data=form, headers={"X-CSRFToken": token})
        page = await client.get("/api/v2/labels/", headers=BROWSER)
        assert 'data-method="POST"' in page.text
        body = {"name": "by-form"}
        refused = await client.post("/api/v2/organizations/", json=body)
        assert refused.status_code == 403
        sent = {"X-CSRFToken": client.cookies["csrftoken"]}
        made = await client.post("/api/v2/organizations/", json=body, headers=sent)
        assert made.status_code == 201, made.text


async def test_head_of_a_page_has_no_body(stack: Stack) -> None:
    """HEAD has the headers of the page alone."""
    answered = await stack.client.head("/api/v2/me/", headers=BROWSER)
    assert (answered.status_code, answered.content) == (200, b"")
    assert answered.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v2/nonsense/", 404),
        ("GET", "/api/v2/ping", 301),
        ("GET", "/api/v2/organizations/999999/", 404),
        ("PUT", "/api/v2/organizations/", 405),
        ("POST", "/api/v2/organizations/", 400),
    ],
)
async def test_every_refusal_carries_awx_s_headers(
    stack: Stack, method: str, path: str, status: int
) -> None:
    """Redirects and errors say which product and node answered."""
    answered = await stack.client.request(method, path)
    assert answered.status_code == status
    assert answered.headers["x-api-product-name"] == "AWX"
    assert answered.headers["x-api-node"] == "test-node"
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert len(answered.headers["x-api-request-id"]) == 32


async def test_a_written_page_may_run_nothing(stack: Stack) -> None:
    """The login form has a policy too."""
    answered = await stack.client.get("/api/login/", headers=BROWSER)
    assert answered.headers["content-security-policy"].startswith("default-src 'none'")
