"""Each of AWX's paths with each of its methods, on a deployment with one object of each kind."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from controlplane.api.errors import UNAUTHENTICATED
from tests.compat.graph import Body, Graph
from tests.compat.paths import PATHS, AwxPath, documented
from tests.compat.posts import ACTIONS, SEGMENTS, TEMPLATES, attaches, creates
from tests.compat.shapes import BARE, STATUSES
from tests.deployment.conftest import Deployment

pytestmark = pytest.mark.timeout(180)

NEVER_MADE = (
    "ad_hoc_commands",
    "ad_hoc_command_events",
    "host_metrics",
    "notifications",
    "receptor_addresses",
    "system_jobs",
    "workflow_approvals",
    "workflow_job_nodes",
    "workflow_jobs",
)
"""Kinds whose rows a later release makes: lists are empty, and whatever id is asked is 404."""
OPEN = {
    *(("/", "GET"), ("/ping/", "GET"), ("/job_templates/{pk}/callback/", "POST")),
    *(
        (f"/{plural}/{{pk}}/{service}/", "POST")
        for plural in TEMPLATES
        for service in ("github", "gitlab", "bitbucket_dc")
    ),
}
"""What answers without credentials; callbacks and webhooks know a key instead."""
CHANGES: dict[str, tuple[str, Any]] = {
    "users": ("first_name", "Ann"),
    "labels": ("name", "renamed"),
    "instance_groups": ("max_forks", 7),
    "instances": ("capacity_adjustment", "0.50"),
    "workflow_job_template_nodes": ("all_parents_must_converge", True),
    "workflow_approval_templates": ("timeout", 30),
}
"""What is changed in objects of a kind, where it is not the description."""
FOLLOW = {"modified", "capacity", "percent_capacity_remaining", "consumed_capacity", "jobs_running"}
"""What changes with what is changed, or with the jobs that run meanwhile."""
JSON = {"Accept": "application/json"}
_LACKING = documented()
SERVED = [
    (each, method)
    for each in PATHS
    for method in each.methods
    if method not in _LACKING.get(each.path, ())
]


def of(method: str) -> list[AwxPath]:
    """Return the served paths that have a method."""
    return [each for each, one in SERVED if one == method]


def paths(cases: list[AwxPath]) -> pytest.MarkDecorator:
    """Return the mark that runs a test on each path."""
    return pytest.mark.parametrize("case", cases, ids=[each.path for each in cases])


@pytest.fixture(scope="module")
def graph(deployment: Deployment) -> Graph:
    """One object of each kind."""
    return Graph(deployment)


def is_detail(path: str) -> bool:
    """Return whether a path leads to one object."""
    return path.endswith("/{pk}/")


def never_made(path: str) -> bool:
    """Return whether there can be no object below a path."""
    return path.split("/")[1] in NEVER_MADE and "{pk}" in path


def assert_missing(answered: httpx.Response) -> None:
    """A path that exists with an object that does not: 404 in JSON, in AWX's words."""
    assert answered.status_code == 404
    assert re.fullmatch(r"No \w+ matches the given query\.", answered.json()["detail"])


@paths(of("GET"))
def test_get_answers_as_documented(graph: Graph, case: AwxPath) -> None:
    """A list is an envelope, a detail carries its id, url and links, the rest is what is said."""
    answered = graph.client.get(graph.url(case.path), headers=JSON)
    if never_made(case.path):
        assert_missing(answered)
        return
    if case.path in BARE:
        assert answered.status_code == STATUSES.get(case.path, 200), answered.text
        assert BARE[case.path](answered), answered.text
        return
    assert answered.status_code == 200, answered.text
    found = answered.json()
    if is_detail(case.path):
        assert_detail(graph, case.path, found)
    else:
        assert set(found) == {"count", "next", "previous", "results"}
        assert found["count"] >= len(found["results"])


def assert_detail(graph: Graph, path: str, found: Body) -> None:
    """The envelope of an object; each of its links leads somewhere."""
    assert str(found["id"]) == str(graph.ids[path.split("/")[1]])
    assert found["url"] == graph.url(path)
    broken = {}
    for name, links in found["related"].items():
        for link in links if isinstance(links, list) else [links]:
            status = graph.client.get(link, headers=JSON).status_code if link else 200
            if status != (405 if name == "test" else 200):
                broken[name] = (link, status)
    assert broken == {}


@paths([each for each in PATHS if each.path not in _LACKING])
def test_head_and_options(graph: Graph, case: AwxPath) -> None:
    """OPTIONS allows what AWX allows and nothing else; HEAD is GET without a body."""
    url = graph.url(case.path)
    described = graph.client.options(url, headers=JSON)
    extra = {"OPTIONS", "HEAD"} if "GET" in case.methods else {"OPTIONS"}
    if never_made(case.path) and described.status_code == 404:
        return
    assert described.status_code == 200, described.text
    assert set(described.headers["allow"].split(", ")) == {*case.methods, *extra}
    actions = described.json()["actions"]
    assert set(actions) <= {"GET", "POST", "PUT"} & set(case.methods)
    if "GET" in case.methods:
        shown = graph.client.get(url, headers=JSON)
        headed = graph.client.head(url, headers=JSON)
        assert (headed.status_code, headed.content) == (shown.status_code, b"")


@paths([each for each in PATHS if each.path not in _LACKING])
def test_nobody_gets_in(graph: Graph, case: AwxPath) -> None:
    """Without credentials each method is 401 in AWX's words, before anything is read."""
    for method in case.methods:
        if (case.path, method) in OPEN:
            continue
        answered = graph.nobody.request(method, graph.url(case.path), headers=JSON)
        assert answered.status_code == 401, method
        assert answered.json() == {"detail": UNAUTHENTICATED}
        assert answered.headers["www-authenticate"].startswith("Bearer realm=api")


@paths([each for each in of("POST") if creates(each)])
def test_post_creates(graph: Graph, case: AwxPath) -> None:
    """The least that AWX takes makes an object; it stands in the list and under its url."""
    url = graph.url(case.path)
    plural, preset = SEGMENTS.get(case.path, (case.path.split("/")[-2], ()))
    body = {name: value for name, value in graph.body(plural).items() if name not in preset}
    answered = graph.client.post(url, json=body)
    assert answered.status_code == 201, answered.text
    made = answered.json()
    assert {
        name: made[name] for name in ("name", "username") if name in body
    }.items() <= body.items()
    assert graph.get(made["url"])["id"] == made["id"]
    assert made["id"] in ids_of(graph, url)


def ids_of(graph: Graph, url: str) -> list[int]:
    """Return the ids of a whole list."""
    return [row["id"] for row in graph.get(f"{url}?page_size=200")["results"]]


@paths([each for each in of("POST") if attaches(each)])
def test_post_attaches_and_detaches(graph: Graph, case: AwxPath) -> None:
    """Attaching and detaching answer 204 with nothing, twice too, and the list follows."""
    url = graph.url(case.path)
    plural, _ = SEGMENTS.get(case.path, (case.path.split("/")[-2], ()))
    number = graph.member(case.path, plural)
    for body, held in (
        ({"id": number}, True),
        ({"id": number}, True),
        ({"id": number, "disassociate": True}, False),
        ({"id": number, "disassociate": True}, False),
    ):
        answered = graph.client.post(url, json=body)
        assert (answered.status_code, answered.content) == (204, b""), answered.text
        assert (number in ids_of(graph, url)) is held


@paths([each for each in of("POST") if each.path in ACTIONS])
def test_post_acts(graph: Graph, case: AwxPath) -> None:
    """What is no list acts: it answers with AWX's status and its keys, or refuses in words."""
    action = ACTIONS[case.path]
    body = action.body(graph) if callable(action.body) else action.body
    answered = graph.client.post(graph.url(case.path), json=body, headers=JSON)
    assert answered.status_code == action.status, answered.text
    assert action.holds(answered), answered.text


def test_each_post_is_tried() -> None:
    """No POST of AWX is left out of the tests above."""
    untried = [
        each.path
        for each in of("POST")
        if each.path not in ACTIONS
        and not creates(each)
        and not attaches(each)
        and not never_made(each.path)
    ]
    assert untried == []


@paths([each for each in of("PATCH") if is_detail(each.path)])
def test_patch_and_put_change(graph: Graph, case: AwxPath) -> None:
    """PATCH changes one field and leaves the rest; PUT takes the whole object."""
    plural = case.path.split("/")[1]
    made = graph.changeable(plural)
    name, value = CHANGES.get(plural, ("description", "changed"))
    changed = graph.client.patch(made["url"], json={name: value})
    assert changed.status_code == 200, changed.text
    assert differing(made, graph.get(made["url"])) - FOLLOW == {name}
    assert graph.get(made["url"])[name] == value
    whole = {**graph.replacement(plural, made), name: made[name]}
    replaced = graph.client.put(made["url"], json=whole)
    assert replaced.status_code == 200, replaced.text
    assert graph.get(made["url"])[name] == made[name]


def differing(before: Body, after: Body) -> set[str]:
    """Return the keys that differ, what describes other things left out."""
    keys = {*before, *after} - {"related", "summary_fields"}
    return {key for key in keys if before.get(key) != after.get(key)}


@paths([each for each in of("DELETE") if is_detail(each.path) and not never_made(each.path)])
def test_delete_removes(graph: Graph, case: AwxPath) -> None:
    """DELETE answers 204, of inventories 202; the object is 404 from then on, twice too."""
    url = graph.deletable(case.path.split("/")[1])
    answered = graph.client.delete(url)
    assert answered.status_code == (202 if "inventories" in url else 204), answered.text
    assert_missing(graph.client.get(url))
    assert_missing(graph.client.delete(url))


@paths([each for each in PATHS if never_made(each.path) and each.path not in _LACKING])
def test_what_is_never_made_is_missing(graph: Graph, case: AwxPath) -> None:
    """An object that cannot be there yet is 404 to each method, not an error."""
    for method in case.methods:
        assert_missing(graph.client.request(method, graph.url(case.path), json={}))
