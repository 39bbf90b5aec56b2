"""Whatever a playbook prints reaches the log whole: lines, bytes, megabytes; secrets do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ops.blobs import Blobs
from schemas.output import EVENT_BYTES_MAX, AnsibleEvent
from schemas.work import JobSecrets
from tests.runners.agent_rig import AgentProcess, ControlPlane
from tests.runners.rig import play

SECRET = 'pa"ss\\word-17'
NAMED = {"shown": SECRET, "lines": 200_000}
PLAYBOOK = play(
    "{name: lines, debug: {msg: '{{ range(lines) | list }}'}}",
    "{name: line, command: {argv: [python3, -c, 'print(\"x\" * 600000)']}}",
    "{name: bytes, raw: \"printf 'a\\\\377b\\\\r\\\\nc\\\\0d'\"}",
    '{name: long, debug: {msg: \'{{ "y" * 3000000 }} {{ shown }} {{ "z" * 2000000 }}\'}}',
    "{name: loop, debug: {msg: '{{ item }}'}, loop: '{{ range(300) | list }}'}",
)
pytestmark = pytest.mark.timeout(240)


async def whole(plane: ControlPlane, event: AnsibleEvent) -> dict[str, Any]:
    """Return the text and data of an event that were too large for a message."""
    assert event.body is not None
    body = await Blobs(plane.nats).get(event.body)
    assert SECRET.encode() not in body
    assert msgspec.json.encode(SECRET)[1:-1] not in body
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


async def test_output_of_any_size_and_shape_is_told(
    plane: ControlPlane, agent: AgentProcess
) -> None:
    """200,000 lines, a line of 600 kB, bytes that are no text, 5 MB at once, a secret within."""
    plane.secrets[1] = JobSecrets(extra_vars=msgspec.json.encode(NAMED).decode())
    agent.start()
    await plane.order(1, PLAYBOOK, run={"verbosity": 1})
    events = {each.task: each for each in await plane.ended_well(1) if each.event == "runner_on_ok"}
    lines = await whole(plane, events["lines"])
    assert lines["stdout"].count("\r\n") > 200_000
    assert "\x1b[0;32m        199999\x1b[0m" in lines["stdout"]
    assert events["lines"].end_line - events["lines"].start_line == lines["stdout"].count("\n") + 1
    assert "x" * 600_000 in (await whole(plane, events["line"]))["stdout"]
    odd = msgspec.json.decode(events["bytes"].event_data)["res"]
    assert odd["stdout_lines"] == ["a\ufffdb", "c\ufffdd"]
    long = (await whole(plane, events["long"]))["stdout"]
    assert "y" * 3_000_000 + " $encrypted$ " + "z" * 2_000_000 in long
    frames = await plane.frames(1)
    assert max(len(msgspec.json.encode(each)) for each in frames) < 2 * EVENT_BYTES_MAX
    assert sum(each.event == "runner_item_on_ok" for each in await plane.events(1)) == 300
