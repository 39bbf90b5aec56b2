"""What is wrong with a request is said in AWX's shapes; nothing of the program is shown."""

from __future__ import annotations

import pytest

from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROPERTY_NAME = (
    "JSON parse error - Expecting property name enclosed in double quotes: line 1 column 12"
    " (char 11)\nPossible cause: trailing comma."
)
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[1]", "JSON parse error - not a JSON object"),
        (b'"x"', "JSON parse error - not a JSON object"),
        (
            b'{"name": 1,}',
            PROPERTY_NAME,
        ),
    ],
)
async def test_bad_json(stack: Stack, body: bytes, detail: str) -> None:
    """A body that is no JSON object is a 400 that says where."""
    answered = await stack.client.post("/api/v2/organizations/", content=body, headers=JSON)
    assert (answered.status_code, answered.json()) == (400, {"detail": detail})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": {"a": 1}}',
        b'{"name": true}',
        b'{"name": "x", "max_hosts": 1e400}',
        b'{"name": "x", "max_hosts": 99999999999999999999}',
        b'{"name": "x", "default_environment": 99999999999999999999}',
        b'{"name": "x", "default_environment": "abc"}',
        b'{"name": "x", "default_environment": []}',
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"name": "' + b"x" * 600 + b'"}',
    ],
)
async def test_hostile_bodies_are_refused(stack: Stack, body: bytes) -> None:
    """Whatever the body holds, the answer is a 400 in JSON and never a 500."""
    answered = await stack.client.post("/api/v2/organizations/", content=body, headers=JSON)
    assert answered.status_code == 400, answered.text
    assert isinstance(answered.json(), dict)


async def test_empty_body_is_an_empty_object(stack: Stack) -> None:
    """No body at all reads as {}."""
    answered = await stack.client.post("/api/v2/organizations/")
    assert answered.json() == {"name": ["This field is required."]}


async def test_other_content_types_are_refused(stack: Stack) -> None:
    """Anything but JSON is 415."""
    headers = {"content-type": "text/plain"}
    answered = await stack.client.post("/api/v2/organizations/", content=b"a=1", headers=headers)
    assert answered.status_code == 415


async def test_unknown_fields_are_ignored(stack: Stack) -> None:
    """Keys that no field has do no harm."""
    made = await stack.make("organizations", name="unknown-fields", nonsense=1)
    assert "nonsense" not in made


async def test_unknown_path_is_a_404_in_the_client_s_form(stack: Stack) -> None:
    """A path that does not exist says so in JSON, and on a page to a browser."""
    path = "/api/v2/nonsense/"
    answered = await stack.client.get(path)
    assert answered.status_code == 404
    assert answered.json() == {"detail": "The requested resource could not be found."}
    page = await stack.client.get(path, headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "The requested resource could not be found." in page.text


async def test_wrong_method_is_405_with_allow(stack: Stack) -> None:
    """A method that a path does not have is named, with those it has."""
    answered = await stack.client.put("/api/v2/organizations/", json={})
    assert answered.status_code == 405
    assert answered.json() == {"detail": 'Method "PUT" not allowed.'}
    assert "POST" in answered.headers["allow"]


async def test_unacceptable_accept_is_406(stack: Stack) -> None:
    """A client that takes neither JSON nor a page gets 406."""
    answered = await stack.client.get("/api/v2/me/", headers={"accept": "image/png"})
    assert answered.status_code == 406


async def test_missing_slash(stack: Stack) -> None:
    """Below named resources the slash is added quietly, elsewhere the client is redirected."""
    made = await stack.make("organizations", name="slash")
    assert (await stack.client.get(made["url"].rstrip("/"))).status_code == 200
    redirected = await stack.client.get("/api/v2/ping?x=1")
    assert redirected.status_code == 301
    assert redirected.headers["location"] == "/api/v2/ping/?x=1"


async def test_head_has_headers_and_no_body(stack: Stack) -> None:
    """HEAD is GET without its body."""
    answered = await stack.client.head("/api/v2/me/")
    assert (answered.status_code, answered.content) == (200, b"")


async def test_awx_headers(stack: Stack) -> None:
    """Every authenticated answer carries the headers that clients check."""
    headers = (await stack.client.get("/api/v2/me/")).headers
    assert headers["x-api-product-name"] == "AWX"
    assert headers["x-api-product-version"] == "24.6.1"
    assert headers["x-api-node"] == "test-node"
    assert headers["x-api-time"].endswith("s")
    assert len(headers["x-api-request-id"]) == 32
    assert headers["allow"] == "GET, HEAD, OPTIONS"


async def test_if_position_waits_or_says_so(stack: Stack) -> None:
    """A reader may name the write it must see; nonsense is a 400."""
    answered = await stack.client.post("/api/v2/organizations/", json={"name": "positioned"})
    position = answered.headers["x-playlog-position"]
    headers = {"If-Position": position}
    assert (await stack.client.get(answered.json()["url"], headers=headers)).status_code == 200
    bad = await stack.client.get("/api/v2/me/", headers={"If-Position": "soon"})
    assert bad.status_code == 400


@pytest.mark.parametrize("key", ["0", "99999999999999999999999", "a%00b", "x++y++z", "-1", "%2e"])
async def test_strange_keys_are_not_found(stack: Stack, key: str) -> None:
    """A key that can stand for nothing is a 404."""
    assert (await stack.client.get(f"/api/v2/organizations/{key}/")).status_code == 404


@pytest.mark.parametrize("key", ["a+b", "a+b+c", "a++b++c", "+", "++", "%FF", "[+]"])
async def test_any_segment_names_an_object_or_none(stack: Stack, key: str) -> None:
    """A path segment that is no named URL of the kind is a 404, whatever pluses it holds."""
    for plural in ("teams", "organizations", "hosts", "credentials", "job_templates"):
        answered = await stack.client.get(f"/api/v2/{plural}/{key}/")
        assert answered.status_code == 404, (plural, answered.text)


async def test_a_redirect_stays_in_its_header(stack: Stack) -> None:
    """What a path without a slash holds is escaped in the Location it is sent to."""
    answered = await stack.client.get("/api/v2/jobs/1%0d%0aX-Bad:%20yes%00")
    assert answered.status_code == 301
    assert answered.headers["location"] == "/api/v2/jobs/1%0D%0AX-Bad:%20yes%00/"
    assert "x-bad" not in answered.headers


@pytest.mark.parametrize("named", ["x", "zz:1", "config:", "-1", "9" * 30])
async def test_a_position_of_nothing_is_refused_at_once(stack: Stack, named: str) -> None:
    """If-Position names a projection there is and a number: else it is a 400, not a wait."""
    answered = await stack.client.get("/api/v2/ping/", headers={"If-Position": named})
    assert answered.status_code == 400, answered.text


@pytest.mark.parametrize(
    "path", ["hosts/{}/", "tokens/{}/", "roles/{}/", "jobs/{}/", "instances/{}/", "users/?page={}"]
)
async def test_ids_of_any_length_are_missing(stack: Stack, path: str) -> None:
    """An id or page of thousands of digits is a 404 like any other that is not there."""
    answered = await stack.client.get(f"/api/v2/{path.format('9' * 5000)}")
    assert answered.status_code == 404, answered.text


async def test_a_refused_surrogate_is_shown_as_it_was_sent(stack: Stack) -> None:
    """What is no valid choice is quoted, even when no decoder could write it as UTF-8."""
    body = b'{"name": "x", "verbosity": "\\ud800"}'
    answered = await stack.client.post("/api/v2/job_templates/", content=body, headers=JSON)
    assert answered.status_code == 400, answered.text
    assert answered.json()["verbosity"] == ['"\ud800" is not a valid choice.']
