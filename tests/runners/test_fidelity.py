"""Events are upstream's, field by field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible_runner
import msgspec
import pytest

from runners import environment
from runners.journal import JournalEvent
from tests.runners.rig import Rig, play

SITE = """
- name: many shapes
  hosts: all
  gather_facts: true
  tasks:
    - name: loop
      debug: {msg: "{{ item }}"}
      loop: [a, b]
    - name: retried
      command: "false"
      register: out
      until: out is succeeded
      retries: 1
      delay: 0
      ignore_errors: true
    - name: diffed
      copy: {content: "one\\ntwo\\n", dest: "{{ playbook_dir }}/../tmp/diffed"}
    - name: skipped
      debug: {msg: never}
      when: false
    - name: hidden
      debug: {msg: not for you}
      no_log: true
    - name: raw
      raw: printf 'line\\nline two'
    - name: mixed loop
      command: "{{ item }}"
      loop: ["true", "false"]
      ignore_errors: true
    - name: block
      block:
        - name: fails
          fail: {msg: on purpose}
      rescue:
        - name: rescued
          debug: {var: ansible_failed_task.name}
      always:
        - name: always
          set_stats: {data: {answer: "{{ 42 }}"}}
    - name: notifies
      command: "true"
      notify: handler
  handlers:
    - name: handler
      debug: {msg: handled}
- name: nothing
  hosts: nobody
  tasks: []
"""
DERIVED = ("counter", "start_line", "end_line", "runner_ident", "_lines")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARYING = {
    "created",
    "pid",
    "start",
    "end",
    "delta",
    "duration",
    "ansible_job_id",
    "mtime",
    "job_id",
}
_VARYING |= {"src", "_original_basename"}
_RANDOM = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+|\d:\d\d:\d\d\.\d+|ansible-tmp-[\d.-]+|/tmp[a-z0-9_]{8}/"
)


class Normal:
    """Rewrites what differs between two runs of one playbook: uuids by order, times, paths."""

    def __init__(self, job_dir: Path) -> None:
        self._dir = str(job_dir)
        self._uuids: dict[str, str] = {}

    def value(self, value: Any, key: str = "") -> Any:
        """Return the comparable form of a value."""
        if key in _VARYING:
            return type(value).__name__
        if key == "ansible_facts":
            return sorted(value)
        if isinstance(value, dict):
            return {
                name: self.value(value[name], name) for name in sorted(value) if name not in DERIVED
            }
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, str):
            text = _RANDOM.sub("RANDOM", value.replace(self._dir, "DIR"))
            return _UUID.sub(self._uuid, text)
        return value

    def _uuid(self, match: re.Match[str]) -> str:
        return self._uuids.setdefault(match[0], f"uuid-{len(self._uuids)}")


def differences(one: Any, other: Any, at: str) -> list[str]:
    """Return where two comparable values differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [f"{at}: {one!r} is not {other!r}"]
    names = sorted(one.keys() | other.keys())
    return [
        each
        for name in names
        for each in differences(one.get(name), other.get(name), f"{at}.{name}")
    ]


def stock_events(rig: Rig, command: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run the rig's job again through ansible-runner as it is."""
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> bool:
        events.append(dict(event))
        return False

    env = {
        **environment.scrubbed(),
        "ANSIBLE_FORCE_COLOR": "True",
        "JOB_ID": str(rig.job),
        "HOME": str(rig.dir / "home"),
    }
    env |= {"ANSIBLE_LOCAL_TEMP": str(rig.dir / "tmp"), "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"}
    ansible_runner.run(
        private_data_dir=str(rig.dir),
        artifact_dir=str(rig.dir / "stock"),
        project_dir=str(rig.dir / "project"),
        playbook="site.yml",
        inventory=str(rig.dir / "inventory" / "hosts"),
        cmdline=" ".join(command),
        envvars=env,
        fact_cache_type="",
        quiet=True,
        cancel_callback=lambda: False,
        suppress_env_files=True,
        event_handler=keep,
    )
    return [each for each in events if each["event"] != "EOF"]


@pytest.mark.parametrize("options", [{}, {"verbosity": 1, "diff_mode": True, "job_type": "check"}])
def test_every_field_is_upstreams(rig: Rig, options: dict[str, Any]) -> None:
    """A playbook of many shapes gives the same events and lines as upstream's callback."""
    rig.write({"site.yml": SITE}, **options)
    assert rig.run().status == "successful"
    ours = [json.loads(each.body) for each in rig.reader.read(0, 1 << 30)]
    derived = [each for each in rig.reader.all() if isinstance(each, JournalEvent)]
    ours = [each for each in ours if not each["event"].startswith("_")]
    (rig.dir / "tmp" / "diffed").unlink(missing_ok=True)
    flags = ("--check", "--diff", "-v") if options else ()
    stock = stock_events(rig, ("--user=root", *flags))

    positions = [
        (each.event.counter, each.event.start_line, each.event.end_line) for each in derived
    ]
    assert positions == [(e["counter"], e["start_line"], e["end_line"]) for e in stock]
    mine, theirs = Normal(rig.dir), Normal(rig.dir)
    found = [
        each
        for one, other in zip(ours, stock, strict=True)
        for each in differences(mine.value(one), theirs.value(other), one["event"])
    ]
    assert not found, "\n".join(found)


def test_columns_follow_awx_rules(rig: Rig) -> None:
    """Host, play, task, failed and changed of an event are what AWX stores beside it."""
    rig.write({"site.yml": SITE})
    rig.run()
    failed = rig.seen("runner_on_failed", "fails")
    assert (failed.host_name, failed.play, failed.failed) == ("localhost", "many shapes", True)
    assert not rig.seen("runner_on_failed", "retried").failed, "ignored errors are no failure"
    assert rig.seen("runner_on_ok", "notifies").changed
    stats = rig.events("playbook_on_stats")[0]
    assert (stats.failed, stats.changed) == (False, True)
    assert msgspec.json.decode(stats.event_data)["artifact_data"] == {"answer": 42}


def test_without_our_callback_events_come_through_the_terminal(rig: Rig) -> None:
    """An execution environment that cannot load the callback gives the same events and columns."""
    rig.write(
        play("{name: says, debug: {msg: hello}}", "{name: bad, fail: {msg: no, }, no_log: true}")
    )
    without_callback(rig)
    names = [each.event for each in rig.events()]
    assert names[:2] == ["playbook_on_start", "playbook_on_play_start"]
    assert rig.results("runner_on_ok", "says")[0]["msg"] == "hello"
    assert "hello" in rig.seen("runner_on_ok", "says").stdout
    last = rig.events()[-1]
    assert (last.event, last.failed, last.counter) == ("playbook_on_stats", True, len(names))
    assert last.end_line == sum(each.end_line - each.start_line for each in rig.events())


def test_without_our_callback_no_log_still_hides(rig: Rig) -> None:
    """What upstream's callback prints about a failed no_log task does not reach the journal."""
    rig.write(play("{name: bad, fail: {msg: 'hidden-word-17'}, no_log: true}"))
    without_callback(rig)
    assert b"hidden-word-17" not in rig.raw()
    assert "censored" in rig.seen("runner_on_failed", "bad").stdout


def without_callback(rig: Rig) -> None:
    """Run a rig's job with an empty directory where our callback would be."""
    program = (
        "import sys, pathlib, runners.ansible as a; a.PLUGIN_DIR = pathlib.Path(sys.argv[1]);"
        "from runners import supervisor, spec; here = pathlib.Path(sys.argv[2]);"
        "supervisor.supervise(here, spec.Secrets())"
    )
    command = [sys.executable, "-c", program, str(rig.dir / "cp"), str(rig.dir)]
    subprocess.run(command, env=environment.scrubbed(), check=True, timeout=60)
