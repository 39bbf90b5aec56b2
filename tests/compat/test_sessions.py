"""People's scripts with ``requests``, and a browser: cookies, forms, pages, Referer."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""What browsers accept."""
WITHIN_S = 30


class Form(HTMLParser):
    """The first form of a page: where it goes, and its fields as they stand."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a form's action and an input's value."""
        found = dict(attrs)
        if tag == "form" and not self.action:
            self.action = found.get("action") or ""
        if tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


class Browser:
    """Cookies, the page one is on, and what a browser says of itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Accept"] = PAGE
        self.at = ""

    def go(self, path: str) -> requests.Response:
        """Follow a link from the page one is on."""
        headers = {"Referer": self.at} if self.at else {}
        answered = self.session.get(urljoin(self.url, path), headers=headers, timeout=WITHIN_S)
        self.at = answered.url
        return answered

    def send(self, form: Form, **fields: str) -> requests.Response:
        """Send a form as it stands, with what was typed."""
        headers = {"Referer": self.at, "Origin": self.url}
        body = {**form.fields, **fields}
        where = urljoin(self.url, form.action)
        answered = self.session.post(where, data=body, headers=headers, timeout=WITHIN_S)
        self.at = answered.url
        return answered


async def test_a_script_reads_and_writes_with_a_password(stack: Stack) -> None:
    """Basic in a session of requests: create, page through a list by ``next``, change, delete."""

    def script() -> None:
        session = requests.Session()
        session.auth = ("admin", PASSWORD)
        made = [post(session, f"{stack.url}/api/v2/organizations/", number) for number in range(7)]
        found, link = [], "/api/v2/organizations/?name__startswith=script&page_size=3&order_by=-id"
        while link:
            page = session.get(stack.url + link, timeout=WITHIN_S).json()
            found += [row["id"] for row in page["results"]]
            link = page["next"]
        assert found == [each["id"] for each in reversed(made)]
        one = stack.url + made[0]["url"]
        changed = session.patch(one, json={"description": "x"}, timeout=WITHIN_S)
        assert (changed.status_code, changed.json()["description"]) == (200, "x")
        assert session.delete(one, timeout=WITHIN_S).status_code == 204
        assert session.get(one, timeout=WITHIN_S).status_code == 404
        assert not session.cookies

    await asyncio.to_thread(script)


def post(session: requests.Session, url: str, number: int) -> dict[str, Any]:
    """Make an organization."""
    body = {"name": f"script {number}"}
    answered = session.post(url, json=body, timeout=WITHIN_S)
    assert answered.status_code == 201, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_script_logs_in_and_sends_its_csrf_token(stack: Stack) -> None:
    """A session of requests is refused without the token of its cookie, and taken with it."""

    def script() -> None:
        session = requests.Session()
        session.get(f"{stack.url}/api/", timeout=WITHIN_S)
        token = {"X-CSRFToken": session.cookies["csrftoken"]}
        login = {"username": "admin", "password": PASSWORD, "next": "/api/"}
        answered = session.post(
            f"{stack.url}/api/login/",
            data=login,
            headers=token,
            timeout=WITHIN_S,
            allow_redirects=False,
        )
        assert (answered.status_code, answered.headers["location"]) == (302, "/api/")
        assert answered.headers["x-api-session-cookie-name"] == "awx_sessionid"
        organizations = f"{stack.url}/api/v2/organizations/"
        refused = session.post(organizations, json={"name": "no"}, timeout=WITHIN_S)
        assert refused.status_code == 403
        assert refused.json() == {"detail": "CSRF Failed: CSRF token missing."}
        wrong = session.post(
            organizations, json={"name": "no"}, headers={"X-CSRFToken": "x"}, timeout=WITHIN_S
        )
        assert wrong.status_code == 403
        token = {"X-CSRFToken": session.cookies["csrftoken"]}
        made = session.post(
            organizations, json={"name": "by session"}, headers=token, timeout=WITHIN_S
        )
        assert made.status_code == 201
        assert int(made.headers["session-timeout"]) > 0
        named = session.get(f"{organizations}?name=no", timeout=WITHIN_S)
        assert named.json()["count"] == 0
        session.get(f"{stack.url}/api/logout/", timeout=WITHIN_S)
        assert session.get(f"{stack.url}/api/v2/me/", timeout=WITHIN_S).status_code == 401

    await asyncio.to_thread(script)


async def test_a_browser_logs_in_by_the_form_and_reads_pages(stack: Stack) -> None:
    """The page's own form logs in and leads on; what is read are pages; logging out ends it."""

    def visit() -> None:
        browser = Browser(stack.url)
        assert "AWX REST API" in browser.go("/api/").text
        page = browser.go("/api/login/?next=/api/v2/organizations/")
        wrong = browser.send(Form(page.text), username="admin", password="wrong")
        assert wrong.status_code == 401
        assert "awx_sessionid" not in browser.session.cookies
        arrived = browser.send(Form(wrong.text), username="admin", password=PASSWORD)
        assert (arrived.status_code, arrived.url) == (200, f"{stack.url}/api/v2/organizations/")
        assert arrived.headers["content-type"].startswith("text/html")
        cookie = next(each for each in browser.session.cookies if each.name == "awx_sessionid")
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert browser.session.cookies["userLoggedIn"] == "true"
        for path in ("/api/v2/", "/api/v2/organizations/1/", "/api/v2/organizations/nobody/"):
            shown = browser.go(path)
            assert shown.headers["content-type"].startswith("text/html"), path
            assert shown.status_code == (404 if "nobody" in path else 200)
        data = browser.go("/api/v2/organizations/1/?format=json")
        assert data.json()["name"] == "Default"
        browser.go("/api/logout/")
        assert browser.go("/api/v2/organizations/1/").status_code == 401

    await asyncio.to_thread(visit)
