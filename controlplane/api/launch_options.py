"""What launch and relaunch say about themselves: OPTIONS, and the launch-time GET (AWX 4.2)."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.domain import extra_vars, launch, survey
from controlplane.domain.launch import TemplateFacts
from controlplane.domain.launch_fields import ASK
from controlplane.shell.read_model import View


def _field(kind: str, label: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "required": False,
        "label": label,
        "filterable": True,
        "hidden": False,
        **more,
    }


_VERBOSITY = [
    [0, "0 (Normal)"],
    [1, "1 (Verbose)"],
    [2, "2 (More Verbose)"],
    [3, "3 (Debug)"],
    [4, "4 (Connection Debug)"],
    [5, "5 (WinRM Debug)"],
]
_JOB_TYPES = [["run", "Run"], ["check", "Check"]]
LAUNCH_ACTIONS: dict[str, Any] = {
    "POST": {
        "extra_vars": _field("json", "Extra vars"),
        "inventory": _field("id", "Inventory"),
        "scm_branch": _field("string", "Scm branch"),
        "limit": _field("string", "Limit"),
        "job_tags": _field("string", "Job tags"),
        "skip_tags": _field("string", "Skip tags"),
        "job_type": _field("choice", "Job type", choices=_JOB_TYPES),
        "verbosity": _field("choice", "Verbosity", choices=_VERBOSITY),
        "diff_mode": _field("boolean", "Diff mode"),
        "credentials": _field("list_of_ids", "Credentials"),
        "credential_passwords": _field("json", "Credential passwords"),
        "execution_environment": _field("id", "Execution environment"),
        "labels": _field("list_of_ids", "Labels"),
        "forks": _field("integer", "Forks", min_value=0),
        "job_slice_count": _field("integer", "Job slice count", min_value=0),
        "timeout": _field("integer", "Timeout"),
        "instance_groups": _field("list_of_ids", "Instance groups"),
    }
}
ALL_HOSTS = "all"
RELAUNCH_HOSTS = {
    ALL_HOSTS: "No change to job limit",
    "failed": "All failed and unreachable hosts",
    "ok": "All hosts with tasks that went well",
    "changed": "All hosts that were changed",
    "unreachable": "All unreachable hosts",
}
"""What hosts a relaunch runs on, and how that is called; AWX offers the first two."""
RELAUNCH_ACTIONS: dict[str, Any] = {
    "GET": {
        name: {"type": "field", "label": label, "filterable": False, "hidden": False}
        for name, label in (
            ("passwords_needed_to_start", "Passwords needed to start"),
            ("retry_counts", "Retry counts"),
        )
    },
    "POST": {
        "hosts": _field(
            "choice",
            "Hosts",
            default=ALL_HOSTS,
            choices=[[None, "---------"], *(list(pair) for pair in RELAUNCH_HOSTS.items())],
        ),
        "job_type": _field("choice", "Job type", choices=[[None, "---------"], *_JOB_TYPES]),
        "credentials": _field("list_of_ids", "Credentials"),
        "credential_passwords": _field("json", "Credential passwords"),
    },
}
_DEFAULTS = (
    *("limit", "scm_branch", "job_tags", "skip_tags", "diff_mode", "job_type", "verbosity"),
    *("forks", "job_slice_count", "timeout"),
)


async def launch_info(view: View, facts: TemplateFacts) -> dict[str, Any]:
    """Return the launch-time GET of a job template."""
    template = facts.template
    inventory = None
    if template["inventory"] is not None:
        inventory = await view.row(
            'select "id", "name" from "inventory" where "id" = $1', template["inventory"]
        )
    environment = None
    if template["execution_environment"] is not None:
        environment = await view.row(
            'select "id", "name" from "execution_environment" where "id" = $1',
            template["execution_environment"],
        )
    labels = await view.named("labels_of", list(facts.labels))
    return {
        "can_start_without_user_input": launch.can_start_without_input(template, facts.credentials),
        "passwords_needed_to_start": launch.passwords_needed(facts.credentials),
        **{flag: template[flag] for flag in ASK.values()},
        "survey_enabled": template["survey_enabled"],
        "variables_needed_to_start": survey.needed(survey.questions(template)),
        "credential_needed_to_start": False,
        "inventory_needed_to_start": template["inventory"] is None,
        "job_template_data": {
            "name": template["name"],
            "id": template["id"],
            "description": template["description"],
        },
        "defaults": {
            **{name: template[name] for name in _DEFAULTS},
            "extra_vars": _shown(template["extra_vars"]),
            "inventory": dict(inventory) if inventory else {},
            "execution_environment": dict(environment) if environment else {},
            "instance_groups": [],
            "credentials": [
                {
                    "id": each.id,
                    "name": each.name,
                    "credential_type": each.type_id,
                    "passwords_needed": list(each.asks),
                    **({"vault_id": each.vault_id} if each.kind == "vault" else {}),
                }
                for each in facts.credentials
            ],
            **({"labels": [dict(row) for row in labels]} if labels else {}),
        },
    }


def _shown(text: str) -> str:
    """Return a template's variables as AWX shows them: always JSON or YAML text."""
    try:
        extra_vars.parse(text)
    except extra_vars.NotVariables:
        return msgspec.json.encode({}).decode()
    return text
