"""Names, parents, deletions under fire from two API processes; launches crossed with deletions."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.deployment.conftest import PASSWORD, PLAYLOG, ROOT, Deployment
from tests.servers import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)

CLIENTS = 16
ROUNDS = 12
NAMES = 6
HOSTS = 10_000
ACTIVE = "new,pending,waiting,running"
ALLOWED = {200, 201, 202, 204, 400, 403, 404, 409}


@pytest.fixture
def second_api(deployment: Deployment) -> Iterator[str]:
    """Another API process of the same deployment; its address."""
    state = deployment.playlog("status", "--json")
    report = json.loads(state)
    port = free_port()
    environment = {
        **os.environ,
        "PLAYLOG_DATA": str(deployment.data),
        "PLAYLOG_PORT": str(port),
        "PLAYLOG_NATS_URL": report["nats_url"],
        "PLAYLOG_NATS_CREDS_FILE": report["nats_creds_file"],
        "PLAYLOG_POSTGRES_DSN": report["postgres_dsn"],
        "PLAYLOG_POSTGRES_PASSWORD_FILE": report["postgres_password_file"],
        "PLAYLOG_MASTER_KEY_FILE": str(deployment.data / "secrets" / "master.key"),
    }
    process = subprocess.Popen([*PLAYLOG, "api"], env=environment, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/api/v2/ping/", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    eventually(answers, 30)
    yield url
    process.terminate()
    assert process.wait(20) == 0


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, auth=("admin", PASSWORD), timeout=120)


def _expected(answer: httpx.Response) -> int:
    """Return the status code of an answer; one that nobody may ever get fails with its words."""
    assert answer.status_code in ALLOWED, f"{answer.status_code}: {answer.text[:500]}"
    return answer.status_code


def _together(works: list[Callable[[], None]]) -> None:
    """Run all at once and wait for all; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_names_parents_and_deletions_hold_under_fire(
    deployment: Deployment, second_api: str
) -> None:
    """All end, nothing answers 5xx, names are unique and no child outlives its parent."""
    urls = (deployment.url, second_api)
    big = deployment.post("/api/v2/inventories/", {"name": "big", "organization": 1})["id"]

    def hammer(number: int) -> None:
        with _client(urls[number % 2]) as own:
            for step in range(ROUNDS):
                name = f"contested-{(number + step) % NAMES}"
                made = own.post("/api/v2/organizations/", json={"name": name})
                _expected(made)
                found = own.get("/api/v2/organizations/", params={"name": name}).json()["results"]
                for row in found:
                    body = {"name": f"i-{number % 3}", "organization": row["id"]}
                    answer = own.post("/api/v2/inventories/", json=body)
                    _expected(answer)
                    if step % 3 == number % 3:
                        gone = own.delete(f"/api/v2/organizations/{row['id']}/")
                        _expected(gone)

    def bulk() -> None:
        hosts = [{"name": f"h{number}"} for number in range(HOSTS)]
        with _client(urls[0]) as own:
            answer = own.post("/api/v2/bulk/host_create/", json={"inventory": big, "hosts": hosts})
        assert answer.status_code == 201, answer.text[:500]

    _together([bulk, *(functools.partial(hammer, number) for number in range(CLIENTS))])
    rows = _all(deployment, "/api/v2/organizations/")
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names))
    known = {row["id"] for row in rows}
    inventories = _all(deployment, "/api/v2/inventories/")
    assert {row["organization"] for row in inventories} <= known
    keys = [(row["name"], row["organization"]) for row in inventories]
    assert len(keys) == len(set(keys))
    assert deployment.get(f"/api/v2/inventories/{big}/")["total_hosts"] == HOSTS
    assert "identical" in deployment.playlog("projections", "rebuild", "config", "--verify")


@pytest.mark.parametrize(("crossings", "running"), [(150, False), (50, True)])
def test_launches_crossed_with_deletions_leave_nothing_running(
    deployment: Deployment, second_api: str, crossings: int, *, running: bool
) -> None:
    """Again and again a template is launched while its inventory is deleted by another API.

    Most with the runner switched off, so that launches and deletions meet in the log alone, the
    others with it on, so that they meet placement and claims too.
    """
    [instance] = deployment.get("/api/v2/instances/")["results"]
    path = f"/api/v2/instances/{instance['id']}/"
    assert deployment.client.patch(path, json={"enabled": running}).status_code == 200
    codes: Counter[int] = Counter()
    gone: set[int] = set()
    numbers = iter(range(crossings))

    def cross() -> None:
        with _client(deployment.url) as one, _client(second_api) as other:
            for number in numbers:
                pair = _pair(deployment, f"{running}-{number}")
                codes.update(_cross_once(one, other, pair, gone))

    _together([cross] * 4)
    assert codes[201] > 0
    assert gone

    def orphans() -> list[int]:
        active = _all(deployment, "/api/v2/jobs/", status__in=ACTIVE)
        return [job["id"] for job in active if job["inventory"] in gone]

    eventually(lambda: not orphans(), 120)
    for job in _all(deployment, "/api/v2/jobs/", status__in=ACTIVE):
        deployment.client.post(f"/api/v2/jobs/{job['id']}/cancel/")
    eventually(
        lambda: deployment.get("/api/v2/jobs/", status__in=ACTIVE)["count"] == 0,
        120,
    )
    assert deployment.client.patch(path, json={"enabled": True}).status_code == 200


def _cross_once(
    one: httpx.Client, other: httpx.Client, pair: tuple[int, int], gone: set[int]
) -> list[int]:
    """Launch a template while its inventory is deleted; returns both status codes."""
    inventory, template = pair
    codes: list[int] = []

    def launch() -> None:
        path = f"/api/v2/job_templates/{template}/launch/"
        codes.append(_expected(one.post(path, json={})))

    def delete() -> None:
        code = _expected(other.delete(f"/api/v2/inventories/{inventory}/"))
        if code in (202, 204):
            gone.add(inventory)
        codes.append(code)

    _together([launch, delete])
    return codes


def _pair(deployment: Deployment, number: str) -> tuple[int, int]:
    """Make an inventory and a template on it; returns both ids."""
    inventory = deployment.post(
        "/api/v2/inventories/", {"name": f"crossed {number}", "organization": 1}
    )["id"]
    body = {
        "name": f"crossed {number}",
        "project": deployment.project,
        "inventory": inventory,
        "playbook": "site.yml",
        "allow_simultaneous": True,
    }
    return inventory, deployment.post("/api/v2/job_templates/", body)["id"]


def _all(deployment: Deployment, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return every row of a list."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        body = deployment.get(path, page=page, page_size=200, order_by="id", **query)
        found += body["results"]
        if body["next"] is None:
            return found
        page += 1
