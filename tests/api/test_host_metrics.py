"""Host metrics: written as jobs end, deleted softly, summed by month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from schemas.events.host_metric import metric_id
from schemas.output import AttemptErased, HostStats
from tests.api.instances import add_report, publish_report
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/api/v2/host_metrics/"
FIRST = datetime(2026, 9, 10, 12, tzinfo=UTC)
SECOND = datetime(2026, 10, 11, 12, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reported(stack: Stack) -> Stack:
    """Two jobs: both ran on web, the first on db too."""
    ok = HostStats(ok=1)
    await add_report(stack, 501, FIRST, {"web": ok, "db": ok})
    await add_report(stack, 502, SECOND, {"web": ok})
    await add_report(stack, 502, SECOND, {"web": ok})
    await stack.add_user("metric-plain")
    await stack.add_user("metric-auditor", is_system_auditor=True)
    return stack


async def _named(stack: Stack, hostname: str) -> dict[str, Any]:
    found = (await stack.client.get(URL, params={"hostname": hostname})).json()
    [row] = found["results"]
    shown: dict[str, Any] = row
    return shown


async def test_each_job_counts_once_for_a_host(reported: Stack) -> None:
    """A report that comes twice is no second automation; the row has no envelope."""
    organization = await reported.make("organizations", name="metrics")
    for name in ("one", "two"):
        inventory = await reported.make("inventories", name=name, organization=organization["id"])
        await reported.make("hosts", name="web", inventory=inventory["id"])
    assert await _named(reported, "web") == {
        "id": metric_id("web"),
        "url": f"{URL}{metric_id('web')}/",
        "hostname": "web",
        "first_automation": "2026-09-10T12:00:00Z",
        "last_automation": "2026-10-11T12:00:00Z",
        "last_deleted": None,
        "automated_counter": 2,
        "deleted_counter": 0,
        "deleted": False,
        "used_in_inventories": 2,
    }
    one = await reported.client.get(f"{URL}{metric_id('db')}/")
    assert one.json()["used_in_inventories"] == 0
    ordered = await reported.client.get(URL, params={"order_by": "-automated_counter"})
    assert [row["hostname"] for row in ordered.json()["results"]] == ["web", "db"]


async def test_metrics_are_for_superuser_and_auditor(reported: Stack) -> None:
    """The auditor reads and does not delete; unknown ids are 404 in AWX's words."""
    url = f"{URL}{metric_id('web')}/"
    auditor, plain = reported.as_user("metric-auditor"), reported.as_user("metric-plain")
    for path in (URL, url, "/api/v2/host_metric_summary_monthly/"):
        assert (await auditor.get(path)).status_code == 200, path
        assert (await plain.get(path)).status_code == 403, path
        assert (await reported.anonymous().get(path)).status_code == 401, path
    assert (await auditor.delete(url)).status_code == 403
    for key in ("1", "web", "9" * 25):
        gone = await reported.client.delete(f"{URL}{key}/")
        text = "No HostMetric matches the given query."
        assert (gone.status_code, gone.json()) == (404, {"detail": text})
    assert (await _named(reported, "web"))["deleted"] is False


async def test_deletion_is_soft_until_the_host_is_automated_again(reported: Stack) -> None:
    """DELETE counts once however often it is asked for; a later job undoes it."""
    url = f"{URL}{metric_id('db')}/"
    for _ in range(2):
        assert (await reported.client.delete(url)).status_code == 204
    row = await _named(reported, "db")
    assert (row["deleted"], row["deleted_counter"]) == (True, 1)
    assert row["last_deleted"] is not None
    found = (await reported.client.get(URL, params={"deleted": "true"})).json()
    assert [each["hostname"] for each in found["results"]] == ["db"]
    later = datetime(2300, 1, 1, tzinfo=UTC)
    await add_report(reported, 503, later, {"db": HostStats(ok=1)})
    row = await _named(reported, "db")
    assert (row["deleted"], row["deleted_counter"], row["automated_counter"]) == (False, 1, 2)


async def test_months_sum_what_was_added(reported: Stack) -> None:
    """A row for each month since the first automation, filtered like any list."""
    url = "/api/v2/host_metric_summary_monthly/"
    found = (await reported.client.get(url, params={"date": "2026-09-01"})).json()
    assert found["results"] == [
        {
            "id": 202609,
            "date": "2026-09-01",
            "license_consumed": 2,
            "license_capacity": 0,
            "hosts_added": 2,
            "hosts_deleted": 0,
            "indirectly_managed_hosts": 0,
        }
    ]
    described = (await reported.client.options(url)).json()
    assert described["actions"]["GET"]["date"]["type"] == "date"
    assert described["search_fields"] == ["date"]


async def test_a_deleted_job_is_not_counted(reported: Stack) -> None:
    """What its report counted is taken back; a host of no other job leaves the list."""
    await add_report(reported, 504, FIRST, {"brief": HostStats(ok=1), "lasting": HostStats(ok=1)})
    await add_report(reported, 505, SECOND, {"lasting": HostStats(ok=1)})
    await publish_report(reported, 504, AttemptErased(at=SECOND))
    found = (await reported.client.get(URL, params={"hostname": "brief"})).json()
    assert found["count"] == 0
    row = await _named(reported, "lasting")
    assert (row["automated_counter"], row["first_automation"]) == (1, "2026-10-11T12:00:00Z")
