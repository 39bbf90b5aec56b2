"""A job outlives agent and zygote, and leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners import process_tree
from runners.conclusion import conclude
from runners.journal import Final
from runners.preparation import artifacts_dir, memory_dir
from runners.spec import Secrets
from runners.steps import workspace
from runners.zygote_client import SupervisorHandle, Zygote
from tests.runners.rig import Rig, play
from tests.waiting import eventually

SLEEPS = play("{name: waits, command: sleep 600}")
MANY = "'{{ range(100000) | list }}'"
CHATTY = play("{name: chats, debug: {msg: '{{ item }}{{ \"x\" * 3000 }}'}, loop: " + MANY + "}")
ESCAPES = play(
    "{name: escapes, shell: 'setsid -f sleep 600; (sleep 600 &) ; echo done'}",
    "{debug: {msg: end}}",
)
PAUSED = play(
    "{name: first, debug: {msg: one}}",
    "{name: gate, wait_for: {path: '{{ playbook_dir }}/../go', sleep: 1, timeout: 60}}",
    "{name: last, debug: {msg: two}}",
)


def assert_nothing_left(rig: Rig) -> None:
    """No process of the job lives and no secret file of it exists."""
    assert rig.processes() == []
    assert not memory_dir(rig.dir).exists()
    assert not artifacts_dir(rig.dir).exists()
    assert list((rig.dir / "tmp").iterdir()) == []


def test_success_leaves_nothing(rig: Rig) -> None:
    """A successful job's stray background processes are ended as well."""
    rig.write(ESCAPES)
    final = rig.run()
    assert (final.status, final.rc) == ("successful", 0)
    assert_nothing_left(rig)


@pytest.mark.parametrize(
    ("files", "sign"), [(SLEEPS, "runner_on_start"), (CHATTY, "runner_item_on_ok")]
)
def test_cancel_leaves_nothing(rig: Rig, files: dict[str, str], sign: str) -> None:
    """A canceled job, asleep or chatty, ends as canceled without a process left."""
    rig.write(files)
    handle = rig.start()
    rig.seen(sign)
    handle.cancel()
    assert rig.finish().status == "canceled"
    assert_nothing_left(rig)


def test_cancel_before_the_playbook_starts_it_never(rig: Rig) -> None:
    """A cancel that arrives early is not lost."""
    rig.write(SLEEPS)
    handle = rig.start()
    handle.cancel()
    assert rig.finish().status == "canceled"
    assert_nothing_left(rig)


def test_second_cancel_takes_the_grace_away(rig: Rig) -> None:
    """A playbook that ignores SIGTERM is killed at the second order, whatever its grace."""
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); signal.signal = lambda *a: None"
    plugin = f"{deaf}\nclass FilterModule:\n    def filters(self): return {{'deaf': lambda x: x}}\n"
    files = play("{name: 'waits {{ 1 | deaf }}', command: sleep 600}")
    rig.write({**files, "filter_plugins/deaf.py": plugin}, cancel_grace_s=500.0)
    handle = rig.start()
    rig.seen("runner_on_start")

    def gone() -> bool:
        handle.cancel()
        return not handle.is_alive()

    eventually(gone, 60.0)
    assert rig.finish().status == "canceled"
    assert_nothing_left(rig)


@pytest.mark.parametrize(
    ("limits", "explanation"),
    [
        ({"timeout_s": 1}, "Job terminated due to timeout"),
        ({"idle_timeout_s": 2}, "Job terminated due to timeout: no output for 2 seconds"),
    ],
)
def test_time_limits_fail_the_job(rig: Rig, limits: dict[str, Any], explanation: str) -> None:
    """A job over its time or silent for too long fails with AWX's explanation, leaving nothing."""
    rig.write(SLEEPS, **limits)
    final = rig.run()
    assert (final.status, final.explanation) == ("failed", explanation)
    assert_nothing_left(rig)


def test_playbook_outlives_zygote_and_supervisor(rig: Rig) -> None:
    """With zygote and supervisor killed, the playbook runs to its end, its journal complete."""
    zygote = rig.zygote = Zygote()
    rig.write(PAUSED)
    handle = rig.start()
    rig.seen("runner_on_start", "gate")
    assert zygote.pid is not None
    os.kill(zygote.pid, signal.SIGKILL)
    zygote.stop()
    os.kill(handle.pid, signal.SIGKILL)
    eventually(lambda: not handle.is_alive())
    assert rig.processes()
    (rig.dir / "go").touch()
    eventually(lambda: not rig.processes())
    names = [each.event for each in rig.events()]
    assert names[-1] == "playbook_on_stats"
    assert rig.results("runner_on_ok", "last") != []
    assert [each.counter for each in rig.events()] == list(range(1, len(names) + 1))
    assert conclude(rig.reader.all(), "").status == "successful"


def test_playbook_outlives_a_zygote_alone(rig: Rig) -> None:
    """A supervisor does not notice that its zygote died; the next job gets a new zygote."""
    zygote = rig.zygote = Zygote()
    rig.write(PAUSED)
    rig.start()
    rig.seen("runner_on_start", "gate")
    assert zygote.pid is not None
    os.kill(zygote.pid, signal.SIGKILL)
    (rig.dir / "go").touch()
    assert rig.finish().status == "successful"
    again = asyncio.run(zygote.spawn(rig.dir, Secrets()))
    assert rig.handle is not None
    assert again.pid == rig.handle.pid, "an attempt is started once only"
    zygote.stop()


def test_orphans_of_a_lost_supervisor_are_ended(rig: Rig) -> None:
    """An agent finds and ends all processes of a job whose supervisor is gone."""
    rig.write(SLEEPS)
    handle = rig.start()
    rig.seen("runner_on_start")
    eventually(lambda: len(rig.processes()) > 2)
    os.kill(handle.pid, signal.SIGKILL)
    eventually(lambda: not handle.is_alive())
    assert process_tree.sweep_marked(rig.dir) > 0
    assert rig.processes() == []
    ended = conclude(rig.reader.all(), "")
    assert (ended.status, ended.explanation) == ("error", "The supervisor of the job was lost")


def test_an_attempt_is_started_once(new_rig: Callable[[], Rig]) -> None:
    """However often and by whomever a start is asked for, one supervisor runs one playbook."""
    rig = new_rig()
    rig.write(play("{debug: {msg: one}}"))

    async def both() -> list[SupervisorHandle]:
        starts = [rig.zygote.spawn(rig.dir, Secrets()) for _ in range(3)]
        return await asyncio.gather(*starts)

    handles = asyncio.run(both())
    rig.handle = handles[0]
    assert len({each.pid for each in handles}) == 1
    rig.finish()
    assert len(rig.events("playbook_on_start")) == 1
    assert len([each for each in rig.reader.all() if isinstance(each, Final)]) == 1


def test_waiting_for_a_supervisor_ends_with_it(rig: Rig) -> None:
    """A handle can be awaited though the supervisor is no child of ours; also afterwards."""
    rig.write(play("{debug: {msg: one}}"))

    async def run() -> None:
        handle = rig.handle = await rig.zygote.spawn(rig.dir, Secrets())
        await asyncio.wait_for(handle.wait(), 30)
        await handle.wait()
        assert not handle.is_alive()
        handle.cancel()

    asyncio.run(run())
    assert rig.finish().status == "successful"


def test_attempts_of_one_number_do_not_meet(
    new_rig: Callable[[], Rig], tmp_path: Path, zygote: Zygote
) -> None:
    """Two deployments on one machine may run the same job number: each ends its own only."""
    here = new_rig()
    there = Rig(tmp_path / "other", zygote, here.job)
    here.write(SLEEPS)
    there.write(PAUSED)
    started = here.start(), there.start()
    here.seen("runner_on_start")
    there.seen("runner_on_start", "gate")
    assert set(here.processes()).isdisjoint(there.processes())
    os.kill(started[0].pid, signal.SIGKILL)
    assert process_tree.sweep_marked(here.dir) > 0
    workspace.remove(here.dir)
    (there.dir / "go").touch()
    assert there.finish().status == "successful"
    assert_nothing_left(there)
