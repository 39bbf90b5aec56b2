"""One attempt from start to end, in a process of its own that outlives agent and zygote.

Writes ``supervisor.json``, runs the job, ends every process of it whatever happens, appends the
final frame. Started by the zygote, or without it by ``python -m runners.supervisor <job
directory>`` with the secrets in a file (in memory, for the agent) as standard input.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import msgspec
from msgspec import Struct

from runners import (
    ansible,
    causes,
    environment,
    git_remote,
    inventory_sync,
    process_tree,
    project_sync,
    redact,
    steps,
)
from runners.ending import Ending, Stopped, Why
from runners.isolation import around
from runners.journal import FINAL, STATUS, JournalReader, JournalWriter
from runners.preparation import Preparation, Unrunnable
from runners.spec import (
    JOURNAL_FILE,
    SUPERVISOR_FILE,
    Secrets,
    read_spec,
    write_private,
)
from runners.steps import workspace
from runners.tool import NoRoom, full_disk_told

_LOG_FILE = "supervisor.log"


class SupervisorFile(Struct, frozen=True, kw_only=True):
    """Who supervises an attempt."""

    pid: int
    start_ticks: int


class Outcome(Struct, frozen=True, kw_only=True):
    """How the attempt went; becomes the final frame."""

    status: str
    rc: int | None = None
    explanation: str = ""
    traceback: str = ""
    ansible_pid: int = 0
    scm_revision: str = ""
    content_sha256: str = ""
    galaxy_sha256: str = ""
    playbooks: tuple[str, ...] = ()
    inventory_files: tuple[str, ...] = ()


def read_supervisor(job_dir: Path) -> SupervisorFile | None:
    """Return who supervises the attempt of this directory; None when nobody ever did."""
    try:
        return msgspec.json.decode((job_dir / SUPERVISOR_FILE).read_bytes(), type=SupervisorFile)
    except FileNotFoundError:
        return None


def supervise(job_dir: Path, secrets: Secrets) -> None:
    """Run the attempt of a job directory to its end.

    Do nothing when somebody else has started it.
    """
    if not _claim(job_dir):
        return
    spec = read_spec(job_dir)
    mask = redact.mask_of(secrets.known() + git_remote.secrets_in(spec.scm_url))
    journal = JournalWriter(job_dir / JOURNAL_FILE, mask)
    ending = Ending(spec, JournalReader(job_dir / JOURNAL_FILE).size)
    ending.listen()
    journal.control(STATUS, status="starting")
    job = Preparation(spec=spec, secrets=secrets, dir=job_dir, mask=mask)
    try:
        with full_disk_told():
            outcome = _perform(job, journal, ending)
    except Stopped:
        outcome = ended(ending)
    except (Unrunnable, NoRoom) as error:
        outcome = Outcome(status="error", explanation=str(error))
    except Exception as error:  # noqa: BLE001 - whatever happens, the attempt ends with a final frame
        text = f"{type(error).__name__}: {error}"
        outcome = Outcome(status="error", explanation=text, traceback=traceback.format_exc())
    around.settle(job)
    process_tree.sweep()
    try:
        steps.cleanup(job)
    except Exception as error:  # noqa: BLE001 - the run is over: its end must be told all the same
        traceback.print_exc()
        text = f"What the job left cannot be kept: {type(error).__name__}: {error}"
        outcome = msgspec.structs.replace(outcome, explanation=outcome.explanation or text)
    workspace.make_room(job)
    journal.trim()
    journal.control(FINAL, **msgspec.structs.asdict(outcome))
    journal.close()


def _perform(job: Preparation, journal: JournalWriter, ending: Ending) -> Outcome:
    process_tree.become_subreaper()
    if job.spec.kind == "project_update":
        workspace.prepare(job)
        journal.control(STATUS, status="running", job_cwd=str(job.dir))
        result = project_sync.sync(job, journal, ending)
        return Outcome(**msgspec.structs.asdict(result))
    if job.spec.kind == "inventory_update":
        read = inventory_sync.sync(job, journal, ending)
        return Outcome(**msgspec.structs.asdict(read))
    if job.spec.kind not in ("job", "ad_hoc_command"):
        raise Unrunnable(f"This runner runs no {job.spec.kind.replace('_', ' ')}")
    steps.prepare(job)
    around.ready(job, journal, ending)
    return _run_playbook(job, journal, ending)


def _run_playbook(job: Preparation, journal: JournalWriter, ending: Ending) -> Outcome:
    pid = 0

    def on_text(event: dict[str, object]) -> None:
        journal.from_terminal(event)

    def on_starting(command: list[str], cwd: str, env: dict[str, str]) -> None:
        journal.control(
            STATUS,
            status="running",
            job_args=command,
            job_cwd=cwd,
            job_env=environment.shown({**env, **job.invocation.within, **job.invocation.shown_env}),
        )

    def should_end() -> bool:
        nonlocal pid
        pid = pid or next(iter(process_tree.children(os.getpid())), 0)
        return ending.end_if_due()

    if ending.due():
        return ended(ending)
    listeners = ansible.Listeners(text=on_text, starting=on_starting, should_end=should_end)
    status, rc = ansible.run(job.invocation, listeners)
    if status == "canceled":
        return msgspec.structs.replace(ended(ending), rc=rc, ansible_pid=pid)
    unstarted = around.explained(job, rc)
    if unstarted:
        return Outcome(status="error", rc=rc, explanation=unstarted, ansible_pid=pid)
    return Outcome(status=status, rc=rc, explanation=_why(job, status, rc), ansible_pid=pid)


def _why(job: Preparation, status: str, rc: int | None) -> str:
    """Return what explains an end that its number alone does not."""
    if short := around.limit_met(job, status):
        return short
    if rc is None:
        return "The playbook's process was ended by a signal"
    if status != "failed":
        return ""
    limit = job.spec.limit if rc == causes.REFUSED else ""
    return causes.of_failure(job.dir / JOURNAL_FILE, job.secrets, limit)


def ended(ending: Ending) -> Outcome:
    """Return the outcome of an attempt that was ended early.

    A time limit counts as a failure, as in AWX.
    """
    status = "canceled" if ending.why is Why.CANCEL else "failed"
    return Outcome(status=status, explanation=ending.explanation())


def _claim(job_dir: Path) -> bool:
    """Become the supervisor of this attempt; only the first ever does."""
    mine = SupervisorFile(pid=os.getpid(), start_ticks=process_tree.start_ticks(os.getpid()) or 0)
    temporary = job_dir / f".{SUPERVISOR_FILE}.{mine.pid}"
    write_private(temporary, msgspec.json.encode(mine))
    try:
        os.link(temporary, job_dir / SUPERVISOR_FILE)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def become_own_master(job_dir: Path) -> None:
    """Leave session, terminal and streams of whoever started us."""
    os.setsid()
    os.umask(0o022)  # what playbooks expect; the job directory itself is closed to others
    os.chdir(job_dir)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    log = os.open(job_dir / _LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for target, source in ((0, nowhere), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(nowhere)
    os.close(log)


def run_from(job_dir: Path, secrets_fd: int) -> None:
    """Read the secrets from a descriptor and supervise; never returns.

    Leaves by ``_exit``: upstream's thread that feeds the key to ssh-agent may wait for ever on a
    job that ended before it took the key.
    """
    try:
        # From offset 0 whatever was read before: a second supervisor started in doubt shares the
        # descriptor.
        content = os.pread(secrets_fd, os.fstat(secrets_fd).st_size, 0)
        os.close(secrets_fd)
        secrets = msgspec.json.decode(content, type=Secrets)
        become_own_master(job_dir)
        supervise(job_dir, secrets)
    except BaseException:  # noqa: BLE001 - nobody above could report it
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    run_from(Path(sys.argv[1]).absolute(), os.dup(0))
