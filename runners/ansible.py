"""Ansible, through ansible-runner's public interface: the only importer of ``ansible_runner``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ansible_runner
import ansible_runner.utils

from runners.spec import write_private

PLUGIN_DIR = Path(__file__).parent / "callback"
UPSTREAM_PLUGIN_DIR = Path(ansible_runner.utils.get_callback_dir())
POLL_S = 0.2
"""How often a cancel or a time limit is looked at."""

_SETTINGS = {"suppress_output_file": True, "pexpect_timeout": POLL_S}


@dataclass(kw_only=True)
class Invocation:
    """One call of ``ansible_runner.run``, filled in by the steps."""

    ident: str
    private: Path
    artifacts: Path
    project: Path
    playbook: str = ""
    module: str = ""
    """Instead of a playbook: one module with its arguments, on all hosts of the limit."""
    module_args: str = ""
    inventory: Path | None = None
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    within: dict[str, str] = field(default_factory=dict)
    """Variables that the job has and the programs that start its sandbox or container have not."""
    shown_env: dict[str, str] = field(default_factory=dict)
    """How to show variables that are not shown as they are."""
    passwords: dict[str, str] = field(default_factory=dict)
    """Prompt (pattern) to answer."""
    ssh_key: str = ""
    fact_cache: Path | None = None
    shown: list[Path] = field(default_factory=list)
    """What the job reads outside its directory: a sandbox or container lets it see that."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is told what while Ansible runs."""

    text: Callable[[dict[str, object]], None]
    """Events that come through the terminal: stray output, or all of them without our callback."""
    starting: Callable[[list[str], str, dict[str, str]], None]
    """Command line, directory and environment, before the process starts."""
    should_end: Callable[[], bool]
    """Asked every ``POLL_S``; True ends the run, what it started being ended already."""


def run(invocation: Invocation, listeners: Listeners) -> tuple[str, int | None]:
    """Run a playbook or a module; return upstream's status word and Ansible's exit code."""

    def on_event(event: dict[str, object]) -> bool:
        if event.get("event") != "EOF":
            listeners.text(event)
        return False

    def on_status(data: dict[str, object], **_: object) -> None:
        if data["status"] == "starting":
            listeners.starting(data["command"], data["cwd"], data["env"])  # type: ignore[arg-type]  # upstream's

    # Upstream drops settings given as an argument when it may write no files: it reads a file.
    write_private(invocation.private / "env" / "settings", json.dumps(_SETTINGS).encode())
    runner = ansible_runner.run(
        private_data_dir=str(invocation.private),
        artifact_dir=str(invocation.artifacts),
        project_dir=str(invocation.project),
        ident=invocation.ident,
        playbook=invocation.playbook or None,
        module=invocation.module or None,
        module_args=invocation.module_args or None,
        host_pattern="all" if invocation.module else None,
        inventory=str(invocation.inventory) if invocation.inventory else None,
        cmdline=shlex.join(invocation.args),
        envvars=invocation.env,
        passwords=invocation.passwords or None,
        ssh_key=invocation.ssh_key or None,
        fact_cache_type="jsonfile" if invocation.fact_cache else "",
        fact_cache=str(invocation.fact_cache) if invocation.fact_cache else None,
        quiet=True,
        suppress_env_files=True,
        event_handler=on_event,
        status_handler=on_status,
        cancel_callback=listeners.should_end,
    )
    return runner.status, runner.rc
