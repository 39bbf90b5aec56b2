"""The command line and environment of ``ansible-playbook``, after AWX's."""

from __future__ import annotations

import sys
from pathlib import Path

from runners import host_limit, large_inventory
from runners.ansible import PLUGIN_DIR
from runners.environment import scrubbed
from runners.preparation import Preparation
from runners.process_tree import MARK, mark_of
from runners.spec import JOURNAL_FILE, JobSpec, write_private

VERBOSITY_MAX = 5
COMMAND = "ansible-playbook"
DRY_RUN = ("--list-hosts", "--list-tasks")
"""Listing reads all that ``--syntax-check`` reads, which would keep it from listing."""
SHEBANG_CHARS_MAX = 127
"""What every kernel reads of a script's first line."""
_LAUNCHER = """#!{python}
import gc
import sys

gc.disable()
from ansible.cli.{module} import main
{large}
gc.freeze()
gc.enable()
sys.exit(main())
"""
"""Ansible's own command, but that its imports are not searched for garbage: that is a fifth of the
processor time of a short run."""
_LARGE = """
import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("playlog_large_inventory", {module!r})
large = importlib.util.module_from_spec(spec)
spec.loader.exec_module(large)
large.install(Path({directory!r}))
"""


def prepare(job: Preparation) -> None:
    """Complete the invocation."""
    call = job.invocation
    call.playbook = job.spec.playbook
    call.args = options(job.spec) + call.args
    call.env = {**job.spec.env, **call.env, **environment(job)}
    launch_by(job, COMMAND, "playbook")


def launch_by(job: Preparation, command: str, module: str) -> None:
    """Put our own start of one of Ansible's commands first on the job's path."""
    call, python = job.invocation, Path(sys.executable)
    if (python.parent / command).exists() and len(str(python)) + 2 < SHEBANG_CHARS_MAX:
        script = launcher(job.dir / "inventory", module).encode()
        write_private(job.dir / "bin" / command, script, 0o700)
        call.env["PATH"] = f"{job.dir / 'bin'}:{call.env.get('PATH', scrubbed()['PATH'])}"


def launcher(inventory: Path, module: str) -> str:
    """Return our start of one of Ansible's commands, for jobs on the inventory of a directory."""
    large = ""
    if (inventory / large_inventory.INDEX_FILE).exists():
        large = _LARGE.format(module=large_inventory.__file__, directory=str(inventory))
    return _LAUNCHER.format(python=sys.executable, module=module, large=large)


def cleanup(_job: Preparation) -> None:
    """Nothing was done outside memory."""


def options(spec: JobSpec) -> list[str]:
    """Return the options a specification asks for.

    Values are joined to their names, none can be read as one. Raises Unrunnable.
    """
    asked = [
        ("--check", spec.job_type == "check"),
        ("--diff", spec.diff_mode),
        ("--force-handlers", spec.force_handlers),
        (f"--forks={spec.forks}", spec.forks > 0),
        *((option, True) for option in host_limit.option(spec.limit)),
        (f"--tags={spec.job_tags}", bool(spec.job_tags)),
        (f"--skip-tags={spec.skip_tags}", bool(spec.skip_tags)),
        (f"--start-at-task={spec.start_at_task}", bool(spec.start_at_task)),
        *((option, spec.dry_run) for option in DRY_RUN),
        ("-" + "v" * min(spec.verbosity, VERBOSITY_MAX), spec.verbosity > 0),
    ]
    return [option for option, wanted in asked if wanted]


def environment(job: Preparation) -> dict[str, str]:
    """Return the variables AWX's jobs rely on, and those that keep files in the directory."""
    temporary = str(job.socket_dir("tmp"))
    found = {
        "JOB_ID": str(job.spec.job),
        "PROJECT_REVISION": job.spec.project_revision,
        "MAX_EVENT_RES": str(job.spec.event_res_chars_max),
        "HOME": str(job.dir / "home"),
        "TMPDIR": temporary,
        "ANSIBLE_HOME": str(job.dir / "home" / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": temporary,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(job.socket_dir("cp")),
        "ANSIBLE_FORCE_COLOR": "True",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGIN_DIR),
        "PLAYLOG_JOURNAL": str(job.dir / JOURNAL_FILE),
        MARK: mark_of(job.dir),
    }
    if job.spec.inventory is not None:
        found["INVENTORY_ID"] = str(job.spec.inventory)
    return found
