"""The document that the server publishes of itself, and every operation in it under fuzzing."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from litestar.routes import HTTPRoute
from schemathesis import GenerationMode

from controlplane.api import openapi
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 1
SHIFTS = (0,)
KEYS_EVERY = 3
"""One in so many operations is asked for an object whose key makes no sense."""
PLAIN_EVERY = 3
"""One in so many requests is sent by a user without roles too."""
HOSTILE: tuple[Any, ...] = (
    *(None, [], {}, "", "\x00", 10**30, -1, True, 1.5, "x" * 5000, "\ud800", [[[]]], {"id": []}),
    *("1", "null", [{"id": 1}], {"a": {"b": None}}, "a++b", "\u202e", 2**63, [None, 1, "x"]),
)
"""Values that a field of any type is given in turn."""
HOSTILE_KEYS = ("%00", "a++b", "0", "9" * 30, "-1", "[+]", "%ff", "1.5")
HOSTILE_QUERY = ("\x00", "-", "__", "1,2", "{", "9" * 400, "\u202e", "a__b__c")
USUAL = (
    *(
        "id",
        "name",
        "associate",
        "disassociate",
        "inventory",
        "organization",
        "extra_vars",
        "limit",
    ),
    *("credential", "credentials", "hosts", "jobs", "user", "team", "role", "scope", "description"),
)
"""Members of bodies that no declaration names."""
AT_ONCE = 8
LEFT_OUT = ("/stream/", "/api/logout/", "/api/login/")
"""Paths that do not end by themselves, or that end the session of the fuzzer."""
LAST = ("DELETE", "PATCH", "PUT")
"""Verbs tried after the others, so that what they take away was there before."""
Request = tuple[str, str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(stack: Stack) -> dict[str, Any]:
    """The document as it is served."""
    answered = await stack.client.get(openapi.PATH)
    assert answered.status_code == 200
    found: dict[str, Any] = answered.json()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(stack: Stack) -> dict[str, int]:
    """The id of an object for each list that one can be made in, by path segment."""
    organization = (await stack.make("organizations", name="fuzzed"))["id"]
    inventory = (await stack.make("inventories", name="fuzzed", organization=organization))["id"]
    user = await stack.add_user("fuzzed")
    await stack.add_user("plain")
    found = {"organizations": organization, "inventories": inventory, "users": user}
    for plural, body in (
        ("hosts", {"inventory": inventory}),
        ("groups", {"inventory": inventory}),
        ("projects", {"organization": organization}),
        ("teams", {"organization": organization}),
        ("labels", {"organization": organization}),
        ("instance_groups", {}),
        ("execution_environments", {"image": "fuzzed"}),
        ("credential_types", {"kind": "cloud"}),
        ("job_templates", {"inventory": inventory, "ask_inventory_on_launch": True}),
        ("credentials", {"organization": organization, "credential_type": 1}),
    ):
        answered = await stack.client.post(
            f"/api/v2/{plural}/", json={"name": f"fuzzed {plural}", **body}
        )
        if answered.status_code == 201:
            found[plural] = answered.json()["id"]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def requests(document: dict[str, Any], keys: dict[str, int]) -> list[Request]:
    """What both users send."""
    return await asyncio.to_thread(lambda: list(requests_of(document, keys)))


async def test_every_route_is_described(stack: Stack, document: dict[str, Any]) -> None:
    """Each path and verb of the application stands in the document, whoever added it."""
    described = {
        (re.sub(r"\{(\w+)\}", r"{\1}", path).rstrip("/"), verb.upper())
        for path, verbs in document["paths"].items()
        for verb in verbs
    }
    served = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path).rstrip("/"), str(verb))
        for route in stack.app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api")
        for verb in route.methods
        if verb in openapi.VERBS
    }
    assert described == served


async def test_bodies_come_from_declarations(document: dict[str, Any]) -> None:
    """What a body takes, its limits, what is required and what is secret stand in the document."""
    schemas = document["components"]["schemas"]
    made = schemas["user.new"]
    assert made["required"] == ["username"]
    assert made["properties"]["username"]["maxLength"] == 150
    assert made["properties"]["password"]["writeOnly"] is True
    assert "required" not in schemas["user.change"]
    assert "password" not in [
        name for name in schemas["organization"]["properties"] if name == "password"
    ]
    operation = document["paths"]["/api/v2/organizations/"]["post"]
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/organization.new"}}
    }
    assert document["paths"]["/api/v2/ping/"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"basic", "bearer", "session"}


async def test_nobody_gets_no_map(stack: Stack) -> None:
    """Without a login the document is refused."""
    async with stack.anonymous() as client:
        assert (await client.get(openapi.PATH)).status_code == 401


def drawn(operation: Any) -> list[Any]:
    """Return the cases that an operation is tried with: the same ones each time."""
    found: list[Any] = []

    @seed(20261125)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def requests_of(document: dict[str, Any], keys: dict[str, int]) -> Iterator[Request]:
    """Return (method, path, what is sent): cases that fit the document, and hostile ones."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.with_security_parameters = False
    results: list[Any] = list(schema.get_all_operations())
    for number, each in enumerate(results):
        operation = each.ok()
        if any(part in operation.path for part in LEFT_OUT):
            continue
        for case in drawn(operation):
            yield sent(case, keys)
        yield from hostile(document, operation, keys, number)


def hostile(
    document: dict[str, Any], operation: Any, keys: dict[str, int], turn: int
) -> Iterator[Request]:
    """Return requests whose key, query or body is what no client means."""
    path, method = operation.path, operation.method.upper()
    named = {"operation": path}
    if "{" in path and turn % KEYS_EVERY == 0:
        key = HOSTILE_KEYS[turn % len(HOSTILE_KEYS)]
        yield method, re.sub(r"\{\w+\}", key, path), named
    if method == "GET":
        value = HOSTILE_QUERY[turn % len(HOSTILE_QUERY)]
        asked = ("order_by", "search", "name", "id__in", "created__gt", "page_size", "not__id")
        query = dict.fromkeys(asked[turn % 3 :: 3], value)
        yield method, real_path(path, keys), {**named, "params": query}
    elif method != "DELETE":
        for shift in SHIFTS:
            names = properties(document, path, method)
            body = {
                name: HOSTILE[(turn + shift + at) % len(HOSTILE)] for at, name in enumerate(names)
            }
            text = json.dumps(body).encode()
            more = {"content": text, "headers": {"content-type": "application/json"}}
            yield method, real_path(path, keys), {**named, **more}


def properties(document: dict[str, Any], path: str, method: str) -> list[str]:
    """Return the members that a body is described to have, or the usual ones."""
    schema = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
    found: list[str] = []
    for each in schema["schema"].get("anyOf", [schema["schema"]]):
        name = each.get("$ref", "").rpartition("/")[2]
        found += document["components"]["schemas"].get(name, {}).get("properties", {})
    return found or list(USUAL)


def real_path(path: str, keys: dict[str, int]) -> str:
    """Return a path with the id of an object that is there."""
    segment = path.split("/")[3] if path.count("/") > 4 else ""
    return re.sub(r"\{\w+\}", str(keys.get(segment, 1)), path)


def sent(case: Any, keys: dict[str, int]) -> Request:
    """Return a case as a request about an object that is there."""
    given = case.as_transport_kwargs(base_url="http://fuzzed")
    path = real_path(case.operation.path, keys)
    more = {name: given[name] for name in ("params", "json", "content") if given.get(name)}
    if isinstance(given.get("data"), bytes):
        more["content"] = given["data"]
    if case.media_type is not None:
        more["headers"] = {"content-type": case.media_type}
    return case.operation.method.upper(), path, {**more, "operation": case.operation.path}


async def tried(client: httpx.AsyncClient, document: dict[str, Any], request: Request) -> str:
    """Send a request; returns what is wrong with its answer, or an empty string."""
    method, path, more = request
    operation = document["paths"][more["operation"]][method.lower()]
    arguments = {name: value for name, value in more.items() if name != "operation"}
    answered = await client.request(method, path, **arguments)
    status, media = str(answered.status_code), answered.headers.get("content-type", "")
    about = f"{method} {path} {arguments} -> {status} {media} {answered.text[:300]}"
    if answered.status_code >= 500 and answered.status_code != 503:
        return f"failed: {about}"
    if status == "301":
        return ""
    described = operation["responses"].get(status)
    if described is None:
        return f"undocumented: {about}"
    if "$ref" in described:
        described = document["components"]["responses"][status]
    if answered.content and media.partition(";")[0] not in described.get("content", {}):
        return f"other content: {about}"
    if answered.content and media.startswith("application/json"):
        answered.json()
    return ""


async def counted(statuses: Counter[int], response: httpx.Response) -> None:
    """Count an answer by its status."""
    statuses[response.status_code] += 1


@pytest.mark.parametrize("username", ["plain", "admin"])
async def test_no_operation_fails(
    stack: Stack, document: dict[str, Any], requests: list[Request], username: str
) -> None:
    """Whatever is sent: no 5xx, a status and a content type that the document names."""
    client = stack.as_user(username)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> str:
        async with turns:
            return await tried(client, document, request)

    statuses: Counter[int] = Counter()
    client.event_hooks["response"] = [functools.partial(counted, statuses)]
    wrong: list[str] = []
    mine = requests if username == "admin" else requests[::PLAIN_EVERY]
    first = [each for each in mine if each[0] not in LAST]
    for part in (first, [each for each in mine if each[0] in LAST]):
        wrong += filter(None, await asyncio.gather(*(one(each) for each in part)))
    assert not wrong, "\n".join([str(Counter(each.split(":")[0] for each in wrong)), *wrong])
    assert (await client.get("/api/v2/me/")).status_code == 200
    assert sum(number for status, number in statuses.items() if status < 300) > 20, statuses
