"""A job's output over the API: its forms, its parts, its events and what stands in it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import pytest_asyncio

from controlplane.api import job_output, stdout
from ops import clock
from schemas.events.job import AdHocLaunch
from tests.api.instances import add_job
from tests.api.output import publish
from tests.api.stack import Stack
from tests.factories import launched, update_launched

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB, UPDATE, EMPTY, COMMAND = 801, 802, 803, 804
TASK = {"play": "all", "task": "install", "parent_uuid": "task"}
EVENTS: list[dict[str, Any]] = [
    {"event": "playbook_on_start", "uuid": "book"},
    {"event": "playbook_on_play_start", "uuid": "play", "parent_uuid": "book", "play": "all"},
    {
        "event": "playbook_on_task_start",
        "uuid": "task",
        "parent_uuid": "play",
        "task": "install",
        "stdout": "\r\nTASK [install] ***",
    },
    {
        **TASK,
        "event": "runner_on_ok",
        "host_name": "one",
        "changed": True,
        "stdout": "\x1b[0;33mchanged: [one] => Needle <b>\x1b[0m",
    },
    {"event": "warning", "stdout": "\x1b[1;35m[WARNING]: needle\x1b[0m"},
    {
        **TASK,
        "event": "runner_on_failed",
        "host_name": "two",
        "failed": True,
        "stdout": "fatal: [two]\r\nno needle here\r\nlast",
    },
]
PLAIN = (
    "\r\nTASK [install] ***\r\nchanged: [one] => Needle <b>\r\n[WARNING]: needle\r\n"
    "fatal: [two]\r\nno needle here\r\nlast\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def jobs(stack: Stack) -> None:
    """A playbook run and a project update with output, a run without, and one of others'."""
    now = clock.now()
    await add_job(stack, launched(JOB, created=now), "failed", now)
    await publish(stack, JOB, EVENTS)
    await add_job(stack, update_launched(UPDATE, created=now), "successful", now)
    await publish(stack, UPDATE, [{"stdout": "fetched"}], kind="project_update")
    await add_job(stack, launched(EMPTY, created=now), "successful", now)
    command = AdHocLaunch(inventory=3, module_name="ping")
    await add_job(
        stack, launched(COMMAND, created=now, record=command, template=None), "failed", now
    )
    results = [{"event": "runner_on_ok", "stdout": f"ok {number}"} for number in (1, 2, 3)]
    await publish(stack, COMMAND, results, kind="ad_hoc_command")
    await stack.add_user("nobody")


async def text(stack: Stack, path: str) -> str:
    """GET a text that is there."""
    found = await stack.client.get(path)
    assert found.status_code == 200, found.text
    return found.text


async def test_output_has_awx_forms(stack: Stack) -> None:
    """Text without colours, ANSI with them, HTML escaped, JSON with the range it holds."""
    base = f"/api/v2/jobs/{JOB}/stdout/"
    plain = await stack.client.get(f"{base}?format=txt")
    assert (plain.text, plain.headers["content-type"]) == (PLAIN, "text/plain; charset=utf-8")
    ansi = await text(stack, f"{base}?format=ansi")
    assert "\x1b[0;33mchanged" in ansi
    html = await text(stack, f"{base}?format=html&content_only=1")
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    shown = json.loads(await text(stack, f"{base}?format=json"))
    assert shown == {"range": {"start": 0, "end": 7, "absolute_end": 7}, "content": ansi}
    coded = json.loads(await text(stack, f"{base}?format=json&content_encoding=base64"))
    assert base64.b64decode(coded["content"]).decode() == ansi
    assert (await stack.client.get(f"{base}?format=pdf")).status_code == 404


async def test_a_range_of_lines_is_cut_out(stack: Stack) -> None:
    """Negative numbers count from the end; what is no number is no bound."""
    base = f"/api/v2/jobs/{JOB}/stdout/?format=json"
    for query, (start, end), content in (
        ("start_line=4&end_line=6", (4, 6), "fatal: [two]\r\nno needle here\r\n"),
        ("start_line=-1", (6, 7), "last\r\n"),
        ("start_line=99999999999999999999&end_line=x", (0, 7), None),
        ("start_line=50", (7, 7), ""),
    ):
        found = json.loads(await text(stack, f"{base}&{query}"))
        assert found["range"] == {"start": start, "end": end, "absolute_end": 7}, query
        assert content is None or found["content"] == content


async def test_pages_are_dark_unless_told_otherwise(stack: Stack) -> None:
    """AWX's page is dark by default; its browsable form is light."""
    dark = "background:#161b1f"
    base = f"/api/v2/jobs/{JOB}/stdout/?format="
    assert dark in await text(stack, f"{base}html")
    assert dark not in await text(stack, f"{base}html&dark=0")
    assert dark not in await text(stack, f"{base}api")
    assert dark in await text(stack, f"{base}api&dark=true")


@pytest.mark.parametrize(
    ("path", "form", "name"),
    [
        (f"jobs/{JOB}", "txt_download", f"job_{JOB}.txt"),
        (f"jobs/{JOB}", "ansi_download", f"job_{JOB}.ansi.txt"),
        (f"project_updates/{UPDATE}", "txt_download", f"project_update_{UPDATE}.txt"),
        (f"jobs/{EMPTY}", "txt_download", f"job_{EMPTY}.txt"),
    ],
)
async def test_a_download_is_a_file_named_by_its_job(
    stack: Stack, path: str, form: str, name: str
) -> None:
    """Whatever the kind, the file is named by type and id, and holds everything."""
    found = await stack.client.get(f"/api/v2/{path}/stdout/?format={form}")
    assert found.headers["content-disposition"] == f'attachment; filename="{name}"'
    expected = {f"jobs/{JOB}": PLAIN, f"project_updates/{UPDATE}": "fetched\r\n"}.get(path, "")
    assert found.text == expected if form == "txt_download" else "\x1b[" in found.text


async def test_output_is_read_in_bounded_parts(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the parts, rows or bytes, their sum is the whole."""
    path = f"/api/v2/jobs/{JOB}/stdout/?format=txt_download"
    monkeypatch.setattr(job_output, "ROWS_MAX", 2)
    assert await text(stack, path) == PLAIN
    monkeypatch.setattr(job_output, "BYTES_MAX", 1)
    assert await text(stack, path) == PLAIN


async def test_too_much_is_refused_for_display_and_downloaded(stack: Stack) -> None:
    """AWX's sentence with 200 in each form, JSON included; the download is whole."""
    settings = "/api/v2/settings/jobs/"
    await stack.client.patch(settings, json={"STDOUT_MAX_BYTES_DISPLAY": 20})
    try:
        for form in ("txt", "ansi", "html", "api"):
            found = await text(stack, f"/api/v2/jobs/{JOB}/stdout/?format={form}")
            assert "Standard Output too large to display (" in found
            assert "only download supported for sizes over 20 bytes." in found
        shown = json.loads(await text(stack, f"/api/v2/jobs/{JOB}/stdout/?format=json"))
        assert shown["range"] == {"start": 0, "end": 1, "absolute_end": 1}
        assert shown["content"].startswith("Standard Output too large")
        assert await text(stack, f"/api/v2/jobs/{JOB}/stdout/?format=txt_download") == PLAIN
    finally:
        await stack.client.patch(settings, json={"STDOUT_MAX_BYTES_DISPLAY": 1024 * 1024})


async def test_events_are_filtered_and_counted(stack: Stack) -> None:
    """By host, task, outcome and text; an indexed filter counts what it finds."""
    base = f"/api/v2/jobs/{JOB}/job_events/"
    for query, counters in (
        ("", [1, 2, 3, 4, 5, 6]),
        ("host_name=two", [6]),
        ("task=install", [3, 4, 6]),
        ("task=install&changed=true", [4]),
        ("failed=true", [6]),
        ("failed=false&event=warning", [5]),
        ("stdout__icontains=NEEDLE", [4, 5, 6]),
        ("search=needle,here", [6]),
        ("parent_uuid=task", [4, 6]),
        ("not__task=install&order_by=-counter", [5, 2, 1]),
        ("task=nothing", []),
    ):
        found = json.loads(await text(stack, f"{base}?{query}"))
        assert [row["counter"] for row in found["results"]] == counters, query
        assert found["count"] == len(counters), query
    refused = await stack.client.get(f"{base}?failed=perhaps")
    assert refused.status_code == 400


async def test_children_and_their_summary(stack: Stack) -> None:
    """A task's results are its children; the summary comes when the events are complete."""
    events = json.loads(
        await text(stack, f"/api/v2/jobs/{JOB}/job_events/?event=playbook_on_task_start")
    )
    (task,) = events["results"]
    assert (task["event_level"], task["event_display"]) == (2, "Task Started (install)")
    children = json.loads(await text(stack, task["related"]["children"]))
    assert [row["counter"] for row in children["results"]] == [4, 6]
    path = f"/api/v2/jobs/{JOB}/job_events/children_summary/"
    tree = json.loads(await text(stack, path))
    assert tree["event_processing_finished"] is True
    assert tree["meta_event_nested_uuid"] == {"5": "task"}
    assert tree["children_summary"]["1"] == {"rowNumber": 0, "numChildren": 5}
    assert tree["children_summary"]["3"] == {"rowNumber": 2, "numChildren": 3}
    empty = json.loads(await text(stack, f"/api/v2/jobs/{EMPTY}/job_events/children_summary/"))
    assert empty["children_summary"] == {}


async def test_events_of_other_kinds_have_the_fields_that_theirs_have(stack: Stack) -> None:
    """A command's come newest first and know of no play; an update's know of no host."""
    path = f"/api/v2/ad_hoc_commands/{COMMAND}/events/"
    told = json.loads(await text(stack, path))["results"]
    assert [row["counter"] for row in told] == [3, 2, 1]
    last = json.loads(await text(stack, f"{path}?page_size=2&page=2"))["results"]
    assert [row["counter"] for row in last] == [1]
    turned = json.loads(await text(stack, f"{path}?order_by=start_line"))["results"]
    assert [row["counter"] for row in turned] == [1, 2, 3]
    assert not {"play", "task", "role", "playbook", "parent_uuid", "event_level"} & told[0].keys()
    assert told[0]["type"] == "ad_hoc_command_event"
    assert json.loads(await text(stack, told[0]["url"]))["stdout"] == "ok 3"
    (update,) = json.loads(await text(stack, f"/api/v2/project_updates/{UPDATE}/events/"))[
        "results"
    ]
    assert not {"host", "host_name", "parent_uuid"} & update.keys()
    assert (update["url"], update["event_level"]) == ("", 0)


async def test_a_cut_line_closes_its_colours(stack: Stack) -> None:
    """Lists cut output at the limit that is set, dots included; playbook events stay whole."""
    settings = "/api/v2/settings/jobs/"
    await stack.client.patch(settings, json={"EVENT_STDOUT_MAX_BYTES_DISPLAY": 12})
    try:
        base = f"/api/v2/jobs/{JOB}/job_events/"
        cut = json.loads(await text(stack, base))["results"]
        assert cut[3]["stdout"] == "\x1b[0;33mchan…\x1b[0m"
        assert cut[2]["stdout"] == EVENTS[2]["stdout"]
        whole = json.loads(await text(stack, f"{base}?no_truncate=True"))["results"]
        assert whole[3]["stdout"] == EVENTS[3]["stdout"]
        one = json.loads(await text(stack, cut[3]["url"]))
        assert one["stdout"] == EVENTS[3]["stdout"]
    finally:
        await stack.client.patch(settings, json={"EVENT_STDOUT_MAX_BYTES_DISPLAY": 1024})


async def test_a_search_names_lines_and_who_printed_them(stack: Stack) -> None:
    """Lines are counted as the events' are; filters of events narrow the search."""
    base = f"/api/playlog/jobs/{JOB}/search/"
    found = json.loads(await text(stack, f"{base}?text=needle"))
    assert found["count"] == 3
    lines = [(row["host_name"], row["lines"]) for row in found["results"]]
    assert lines == [
        ("one", [{"line": 2, "text": "changed: [one] => Needle <b>"}]),
        ("", [{"line": 3, "text": "[WARNING]: needle"}]),
        ("two", [{"line": 5, "text": "no needle here"}]),
    ]
    narrowed = json.loads(await text(stack, f"{base}?text=needle&failed=true&page_size=1"))
    assert [row["task"] for row in narrowed["results"]] == ["install"]
    paged = json.loads(await text(stack, f"{base}?text=needle&page_size=2"))
    assert paged["next"] == f"{base}?page=2&page_size=2&text=needle"
    update = f"/api/playlog/project_updates/{UPDATE}/search/?text=fetched"
    assert json.loads(await text(stack, update))["results"][0]["lines"][0]["line"] == 0
    assert (
        json.loads(await text(stack, f"/api/playlog/jobs/{EMPTY}/search/?text=x"))["results"] == []
    )


async def test_only_line_feeds_end_lines() -> None:
    """What merely looks like an end, such as a progress bar's carriage return, counts as none."""
    assert stdout.lines("a\rb\x0cc\u2028d\r\n\r\ne") == ["a\rb\x0cc\u2028d\r\n", "\r\n", "e"]


async def test_a_search_is_refused_in_words(stack: Stack) -> None:
    """Without a text, for an unknown job, and for somebody who may not see the job."""
    base = f"/api/playlog/jobs/{JOB}/search/"
    missing = await stack.client.get(base)
    assert (missing.status_code, missing.json()) == (400, {"text": ["This field is required."]})
    assert (await stack.client.get(f"{base}?text={'x' * 1001}")).status_code == 400
    assert (await stack.client.get(f"{base}?text=a&nothing=1")).status_code == 400
    unknown = await stack.client.get("/api/playlog/jobs/99999/search/?text=a")
    assert unknown.status_code == 404
    assert (await stack.as_user("nobody").get(f"{base}?text=a")).status_code == 403
