"""What differs between two runs: their launch records, and words for results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.domain import extra_vars

OUTCOMES = ("skipped", "ok", "changed", "ignored", "failed", "unreachable")
"""By rank: what a task came to on a host; of several results of one task the worst counts."""
_FIELDS = {
    "job_template": "job_template_id",
    "job_type": "job_type",
    "project": "project_id",
    "playbook": "playbook",
    "scm_branch": "scm_branch",
    "scm_revision": "scm_revision",
    "inventory": "inventory_id",
    "inventory_content": "inventory_content",
    "execution_environment": "execution_environment_id",
    "limit": "limit_",
    "forks": "forks",
    "verbosity": "verbosity",
    "job_tags": "job_tags",
    "skip_tags": "skip_tags",
    "start_at_task": "start_at_task",
    "diff_mode": "diff_mode",
    "become_enabled": "become_enabled",
    "force_handlers": "force_handlers",
    "use_fact_cache": "use_fact_cache",
    "timeout": "timeout",
    "job_slice_number": "job_slice_number",
    "job_slice_count": "job_slice_count",
    "launch_type": "launch_type",
    "instance_group": "instance_group",
    "execution_node": "execution_node",
    "status": "status",
}
"""What is compared, by its name in AWX, and its column."""


def outcome(rank: int | None) -> str | None:
    """Return the word of a rank; None where the task has no result on the host."""
    return None if rank is None else OUTCOMES[rank]


def launch_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two jobs were launched with that is not the same, as (first, second)."""
    found: dict[str, Any] = {
        name: [first[column], second[column]]
        for name, column in _FIELDS.items()
        if first[column] != second[column]
    }
    variables = _variables(first["extra_vars"], second["extra_vars"])
    if any(variables.values()):
        found["extra_vars"] = variables
    for name in ("credentials", "labels"):
        one, two = list(first[name]), list(second[name])
        if sorted(one) != sorted(two):
            found[name] = {
                "only_in_first": [each for each in one if each not in two],
                "only_in_second": [each for each in two if each not in one],
            }
    return found


def _variables(first: str, second: str) -> dict[str, Any]:
    """Return the variables that differ; secret ones stand as encrypted and look the same."""
    one, two = _parsed(first), _parsed(second)
    return {
        "changed": {
            k: [one[k], two[k]] for k in sorted(one.keys() & two.keys()) if one[k] != two[k]
        },
        "only_in_first": {k: one[k] for k in sorted(one.keys() - two.keys())},
        "only_in_second": {k: two[k] for k in sorted(two.keys() - one.keys())},
    }


def _parsed(text: str) -> dict[str, Any]:
    try:
        return extra_vars.parse(text)
    except extra_vars.NotVariables:
        return {}
