"""Figures of the installation: dashboard, metrics, mesh, and what it says of its subscription."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from ops import clock
from schemas.output import HostStats
from tests.api.instances import add_instance, add_job, add_report
from tests.api.stack import Stack
from tests.factories import launched, update_launched

pytestmark = pytest.mark.asyncio(loop_scope="module")

METRICS = "/api/v2/metrics/"
OPEN = "ALLOW_METRICS_FOR_ANONYMOUS_USERS"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Stack) -> dict[str, Any]:
    """Two organizations' inventories and projects, jobs of three kinds of end, one instance."""
    await add_instance(stack, "node-1")
    made: dict[str, Any] = {}
    for name in ("ours", "theirs"):
        organization = await stack.make("organizations", name=name)
        inventory = await stack.make("inventories", name=name, organization=organization["id"])
        hosts = [
            await stack.make("hosts", name=f"{name}-{n}", inventory=inventory["id"]) for n in (1, 2)
        ]
        project = await stack.make("projects", name=name, organization=organization["id"])
        made[name] = {
            "organization": organization,
            "inventory": inventory,
            "hosts": hosts,
            "project": project,
        }
    ours, now = made["ours"]["organization"]["id"], clock.now()
    for number, status in ((901, "successful"), (902, "failed"), (903, "successful")):
        job = launched(number, organization=ours, template=77, created=now)
        await add_job(stack, job, status, now, "node-1")
    old = launched(904, organization=ours, created=now - timedelta(days=20))
    await add_job(stack, old, "error", now - timedelta(days=20), "node-1")
    theirs = made["theirs"]
    update = update_launched(
        905, theirs["project"]["id"], organization=theirs["organization"]["id"], created=now
    )
    await add_job(stack, update, "failed", now, "node-1")
    stats = {"ours-1": HostStats(host=made["ours"]["hosts"][0]["id"], failures=1)}
    await add_report(stack, 902, now, stats)
    await stack.add_user("dash-plain")
    admin = await stack.add_user("dash-admin")
    grant = f"{made['ours']['organization']['url']}admins/"
    assert (await stack.client.post(grant, json={"id": admin})).status_code == 204
    await stack.add_user("dash-auditor", is_system_auditor=True)
    return made


async def test_the_dashboard_counts_everything_for_a_superuser(
    stack: Stack, world: dict[str, Any]
) -> None:
    """Totals and failures are those of the read model, and the links find them."""
    answered = await stack.client.get("/api/v2/dashboard/")
    assert answered.status_code == 200
    assert "deprecated" in answered.headers["warning"]
    found = answered.json()
    assert found["related"] == {"jobs_graph": "/api/v2/dashboard/graphs/jobs/"}
    assert found["inventories"] == {
        "url": "/api/v2/inventories/",
        "total": 2,
        "total_with_inventory_source": 0,
        "job_failed": 1,
        "inventory_failed": 0,
    }
    assert (found["hosts"]["total"], found["hosts"]["failed"]) == (4, 1)
    assert (found["projects"]["total"], found["projects"]["failed"]) == (2, 1)
    assert found["organizations"]["total"] == 3
    assert found["scm_types"]["git"]["total"] == 0
    for name in ("hosts", "projects"):
        failed = (await stack.client.get(found[name]["failures_url"])).json()
        assert failed["count"] == found[name]["failed"], name


async def test_the_dashboard_counts_what_the_caller_sees(
    stack: Stack, world: dict[str, Any]
) -> None:
    """An organization's administrator has its numbers, a user without roles has none."""
    found = (await stack.as_user("dash-admin").get("/api/v2/dashboard/")).json()
    assert (found["hosts"]["total"], found["hosts"]["failed"]) == (2, 1)
    assert (found["projects"]["total"], found["projects"]["failed"]) == (1, 0)
    assert found["organizations"]["total"] == 1
    empty = (await stack.as_user("dash-plain").get("/api/v2/dashboard/")).json()
    assert (empty["hosts"]["total"], empty["inventories"]["total"]) == (0, 0)
    assert (await stack.anonymous().get("/api/v2/dashboard/")).status_code == 401


async def test_the_graph_counts_jobs_by_day(stack: Stack, world: dict[str, Any]) -> None:
    """A month has the old job, a week has not; a type leaves the others out."""
    url = "/api/v2/dashboard/graphs/jobs/"

    async def sums(user: str, **query: str) -> dict[str, int]:
        answered = await stack.as_user(user).get(url, params=query)
        assert answered.status_code == 200
        jobs = answered.json()["jobs"]
        return {status: sum(number for _at, number in points) for status, points in jobs.items()}

    everything = {"successful": 2, "failed": 2, "canceled": 0, "error": 1}
    assert await sums("admin") == everything
    assert await sums("admin", period="week") == {**everything, "error": 0}
    assert await sums("admin", period="day", job_type="scm_update") == {
        **dict.fromkeys(everything, 0),
        "failed": 1,
    }
    assert await sums("dash-admin") == {**everything, "failed": 1}
    assert await sums("dash-plain") == dict.fromkeys(everything, 0)
    month = (await stack.client.get(url)).json()["jobs"]["successful"]
    days = {later[0] - earlier[0] for earlier, later in itertools.pairwise(month)}
    assert days == {86400.0}
    refused = await stack.client.get(url, params={"period": "year"})
    assert (refused.status_code, refused.json()) == (400, {"error": 'Unknown period "year"'})


async def test_metrics_are_prometheus_text(stack: Stack, world: dict[str, Any]) -> None:
    """Each metric has its help and type, and its numbers are those of the read model."""
    answered = await stack.client.get(METRICS)
    assert answered.headers["content-type"].startswith("text/plain")
    lines = answered.text.splitlines()
    assert "# TYPE awx_organizations_total gauge" in lines
    assert "awx_organizations_total 3.0" in lines
    assert 'awx_hosts_total{type="all"} 4.0' in lines
    assert 'awx_status_total{status="failed"} 2.0' in lines
    assert 'awx_instance_status_total{node="node-1",status="error"} 1.0' in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))


async def test_metrics_are_json_where_asked_for(stack: Stack, world: dict[str, Any]) -> None:
    """By ``format`` or by what is accepted; ``metric`` picks, ``subsystemonly`` leaves none."""
    named = (await stack.client.get(METRICS, params={"format": "json"})).json()
    assert named["awx_instance_capacity"]["samples"] == [
        {"labels": {"hostname": "node-1", "instance_uuid": "uuid-of-node-1"}, "value": 61.0}
    ]
    info = named["awx_system_info"]["samples"][0]
    assert (info["value"], info["labels"]["tower_version"]) == (1.0, "24.6.1")
    accepted = await stack.client.get(METRICS, headers={"Accept": "application/json"})
    assert set(accepted.json()) == set(named)
    picked = await stack.client.get(f"{METRICS}?format=json&metric=awx_users_total")
    assert set(picked.json()) == {"awx_users_total"}
    none = await stack.client.get(f"{METRICS}?format=json&subsystemonly=1")
    assert none.json() == {}


async def test_metrics_are_for_auditors_unless_a_setting_opens_them(
    stack: Stack, world: dict[str, Any]
) -> None:
    """A plain user is refused and nobody is asked to log in, until the setting is on."""
    assert (await stack.as_user("dash-auditor").get(METRICS)).status_code == 200
    assert (await stack.as_user("dash-plain").get(METRICS)).status_code == 403
    assert (await stack.anonymous().get(METRICS)).status_code == 401
    url = "/api/v2/settings/authentication/"
    assert (await stack.client.patch(url, json={OPEN: True})).status_code == 200
    assert "awx_users_total" in (await stack.anonymous().get(METRICS)).text
    assert (await stack.as_user("dash-plain").get(METRICS)).status_code == 200
    assert (await stack.client.delete(url)).status_code == 204
    assert (await stack.anonymous().get(METRICS)).status_code == 401


async def test_the_mesh_has_the_instances_and_no_links(stack: Stack, world: dict[str, Any]) -> None:
    """Nothing of receptor is there; superuser and auditor see it."""
    found = (await stack.as_user("dash-auditor").get("/api/v2/mesh_visualizer/")).json()
    assert found["links"] == []
    [node] = found["nodes"]
    assert (node["hostname"], node["node_type"], node["node_state"], node["enabled"]) == (
        "node-1",
        "execution",
        "ready",
        True,
    )
    plain = await stack.as_user("dash-plain").get("/api/v2/mesh_visualizer/")
    assert plain.status_code == 403


async def test_no_subscription_is_needed_or_taken(stack: Stack, world: dict[str, Any]) -> None:
    """The licence is open whatever is sent; what would change it is refused in words."""
    url = "/api/v2/config/"
    before = (await stack.client.get(url)).json()
    assert before["license_info"]["valid_key"] is True
    sent = [
        (url, {}, "Invalid subscription"),
        (url, {"manifest": "eA=="}, "needs no subscription"),
        (url, {"license_key": "x"}, "Legacy license"),
        (f"{url}attach/", {}, "No subscription pool ID provided."),
        (f"{url}attach/", {"pool_id": "1"}, "needs no subscription"),
        (f"{url}subscriptions/", {}, "Missing subscription credentials"),
        (
            f"{url}subscriptions/",
            {"subscriptions_username": "a", "subscriptions_password": "b"},
            "needs no subscription",
        ),
    ]
    for path, body, text in sent:
        answered = await stack.client.post(path, json=body)
        assert answered.status_code == 400, path
        assert text in answered.json()["error"]
        assert (await stack.as_user("dash-auditor").post(path, json=body)).status_code == 403
    assert (await stack.client.delete(url)).status_code == 204
    assert (await stack.as_user("dash-plain").delete(url)).status_code == 403
    assert (await stack.client.get(url)).json() == before
    plain = (await stack.as_user("dash-plain").get(url)).json()
    assert "project_base_dir" not in plain
    assert plain["version"] == before["version"]


async def test_analytics_says_that_it_is_off(stack: Stack, world: dict[str, Any]) -> None:
    """Every path of the proxy answers AWX's word for it, to those who may ask."""
    paths = (await stack.client.get("/api/v2/analytics/")).json()
    assert len(paths) == 17
    body = {"remote": False, "remote_status": None, "keyword": "analytics-upload-not-enabled"}
    for url in (*paths.values(), "/api/v2/analytics/report/some/"):
        for method in ("GET", "POST"):
            answered = await stack.client.request(method, url)
            assert (answered.status_code, answered.json()) == (403, {"error": body}), url
    plain = await stack.as_user("dash-plain").get("/api/v2/analytics/reports/")
    assert plain.json() == {"detail": "You do not have permission to perform this action."}
