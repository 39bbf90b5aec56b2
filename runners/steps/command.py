"""The command line and environment of ``ansible`` for an ad hoc command, after AWX's.

The limit is an option, not the pattern: a pattern could name the runner itself, as ``localhost``.
"""

from __future__ import annotations

from runners.preparation import Preparation
from runners.steps import playbook

COMMAND = "ansible"


def prepare(job: Preparation) -> None:
    """Complete the invocation."""
    call = job.invocation
    call.module = job.spec.module_name
    call.module_args = job.spec.module_args
    call.args = playbook.options(job.spec) + call.args
    call.env = {**job.spec.env, **call.env, **playbook.environment(job)}
    call.env["AD_HOC_COMMAND_ID"] = str(job.spec.job)
    playbook.launch_by(job, COMMAND, "adhoc")


def cleanup(_job: Preparation) -> None:
    """Nothing was done outside memory."""
