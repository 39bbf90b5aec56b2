"""The processes of a job, as Linux shows them: who descends from whom, who lives, how all end.

Ansible's workers leave their process group and session, so ending a group is never enough.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import select
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from ops import clock

PR_SET_CHILD_SUBREAPER = 36
MARK = "PLAYLOG_JOB"
"""Environment variable that every process of a job carries: ``mark_of`` its directory."""
_PLACE_CHARS = 12
_SWEEP_PAUSE_S = 0.005
_HURRY_POLL_S = 0.1
_SWEEP_WITHIN_S = 30.0
_KEY_AGENT = "ssh-agent"
_KEY_AGENT_WITHIN_S = 1.0


def become_subreaper() -> None:
    """Make orphans among our descendants our children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def start_ticks(pid: int) -> int | None:
    """Return when a living process started (clock ticks since boot).

    None for a zombie or none at all.
    """
    fields = _stat(pid)
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[19])


def is_alive(pid: int, started: int) -> bool:
    """Tell whether this very process lives.

    A process that was given the same pid later is another one.
    """
    return start_ticks(pid) == started


def children(pid: int) -> list[int]:
    """Return the direct children of a process, zombies included."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        texts = [(task / "children").read_text() for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(each) for text in texts for each in text.split()]


def descendants(pid: int) -> list[int]:
    """Return all living or dead processes below one, parents first."""
    found: list[int] = []
    waiting = children(pid)
    while waiting:
        each = waiting.pop(0)
        found.append(each)
        waiting += children(each)
    return found


def mark_of(job_dir: Path) -> str:
    """Return what names an attempt on this machine: another deployment may have one of its number.

    Of the same job directory it is always the same.
    """
    return f"{place_of(job_dir)}-{job_dir.name}"


def place_of(job_dir: Path) -> str:
    """Return what stands for the deployment whose job directory this is."""
    place = os.path.realpath(job_dir.parent).encode()
    return hashlib.sha256(place).hexdigest()[:_PLACE_CHARS]


def marked(job_dir: Path) -> list[int]:
    """Return the living processes that carry a job's mark, wherever they hang.

    Ourselves excepted.
    """
    wanted = f"{MARK}={mark_of(job_dir)}".encode()
    found = []
    for process in Path("/proc").iterdir():
        name = process.name
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environ = (process / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environ.split(b"\0") and start_ticks(int(name)) is not None:
            found.append(int(name))
    return found


def own_number(pid: int) -> int:
    """Return what a process takes for its pid: another one in a container or sandbox."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return pid
    found = (line.split()[-1] for line in lines if line.startswith("NSpid:"))
    return int(next(found, pid))


def end_groups(leaders: Iterable[int], grace_s: float, hurry: Callable[[], bool]) -> None:
    """Ask the process groups of these processes to end.

    Wait until they did, the grace is over, or in a hurry.
    """
    fds = []
    for pid in leaders:
        try:
            group = os.getpgid(pid)
            fds += _open_group(pid, group)
            os.killpg(group, signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            continue
    try:
        _wait_all(fds, grace_s, hurry)
    finally:
        for fd in fds:
            os.close(fd)


def sweep() -> int:
    """Kill and reap every descendant of this process; return how many living ones were found."""
    killed: set[int] = _dismiss_key_agents(descendants(os.getpid()))
    deadline = clock.monotonic() + _SWEEP_WITHIN_S
    while below := descendants(os.getpid()):
        killed |= {each for each in below if _kill(each)}
        reap()
        if clock.monotonic() > deadline:
            break
        select.select([], [], [], _SWEEP_PAUSE_S)
    return len(killed)


def sweep_marked(job_dir: Path) -> int:
    """Kill every process with a job's mark, and its descendants, until none is left.

    Return how many.
    """
    killed: set[int] = _dismiss_key_agents(marked(job_dir))
    deadline = clock.monotonic() + _SWEEP_WITHIN_S
    while found := marked(job_dir):
        below = [each for pid in found for each in descendants(pid)]
        killed |= {each for each in found + below if _kill(each)}
        if clock.monotonic() > deadline:
            break
        select.select([], [], [], _SWEEP_PAUSE_S)
    return len(killed)


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat behind the name: state first."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _dismiss_key_agents(pids: Iterable[int]) -> set[int]:
    """Ask the ssh-agents among these processes to end; return who was asked.

    One that is killed leaves its socket behind in /tmp: it is setgid, so no TMPDIR reaches it.
    """
    asked: set[int] = set()
    fds: list[int] = []
    for pid in pids:
        if _name(pid) == _KEY_AGENT:
            try:
                fds.append(os.pidfd_open(pid))
                os.kill(pid, signal.SIGTERM)
            except (ProcessLookupError, PermissionError):
                continue
            asked.add(pid)
    try:
        _wait_all(fds, _KEY_AGENT_WITHIN_S, lambda: False)
    finally:
        for fd in fds:
            os.close(fd)
    return asked


def _open_group(leader: int, group: int) -> list[int]:
    """Open a leader and those of its group below it: what it stands before may end after it."""
    fds = [os.pidfd_open(leader)]
    for pid in descendants(leader):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == group:
                fds.append(os.pidfd_open(pid))
    return fds


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _kill(pid: int) -> bool:
    if start_ticks(pid) is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def reap() -> None:
    """Take note of the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _wait_all(fds: list[int], within_s: float, hurry: Callable[[], bool]) -> None:
    waiting = list(fds)
    deadline = clock.monotonic() + within_s
    while waiting and not hurry() and (left := deadline - clock.monotonic()) > 0:
        ended, _, _ = select.select(waiting, [], [], min(left, _HURRY_POLL_S))
        waiting = [each for each in waiting if each not in ended]
