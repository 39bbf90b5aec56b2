"""What the pure resolver of launches needs to know, looked up in the read model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from controlplane.domain.launch import CredentialFact, PromptFacts, TemplateFacts
from controlplane.domain.numerals import whole
from controlplane.shell.read_model import Row, View
from schemas.envelope import Context
from schemas.events.job import PlaybookLaunch

_ASKS = {
    "ssh": {
        "password": "ssh_password",
        "become_password": "become_password",
        "ssh_key_unlock": "ssh_key_unlock",
    },
    "vault": {"vault_password": "vault_password"},
}
ASK = "ASK"
DEFAULT_GROUPS = ("default",)


async def template_facts(view: View, template: Row) -> TemplateFacts:
    """Look up what a job template's launch starts from."""
    credentials = await credential_facts(
        view,
        [row["target"] for row in await view.named("template_credentials", template["id"])],
    )
    labels = await view.named("template_labels", template["id"])
    ready, allows, branch = False, False, ""
    if template["project"] is not None:
        project = await view.named_row("project_for_launch", template["project"])
        if project is not None:
            ready = bool(
                project["content"] or project["current_job"] or not project["last_job_failed"]
            )
            allows, branch = bool(project["allow_override"]), project["scm_branch"]
    return TemplateFacts(
        template=template,
        credentials=tuple(credentials),
        labels=tuple(row["target"] for row in labels),
        project_ready=ready,
        project_allows_branch=allows,
        project_branch=branch,
    )


async def credential_facts(view: View, ids: Sequence[int]) -> list[CredentialFact]:
    """Look up credentials, in the order of ``ids``; those that do not exist are left out."""
    rows = {row["id"]: row for row in await view.named("credentials_for_launch", list(ids))}
    return [_credential(rows[number]) for number in ids if number in rows]


def _credential(row: Row) -> CredentialFact:
    inputs = row["inputs"]
    values: dict[str, Any] = msgspec.json.decode(inputs) if isinstance(inputs, str) else inputs
    return CredentialFact(
        id=row["id"],
        name=row["name"],
        type_id=row["credential_type"],
        type_name=row["type_name"],
        kind=row["kind"] or "",
        vault_id=str(values.get("vault_id") or ""),
        asks=asked_by(row["kind"] or "", values),
    )


def asked_by(kind: str, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the passwords that a credential of a kind asks for at launch."""
    vault_id = str(inputs.get("vault_id") or "")
    suffix = f".{vault_id}" if vault_id else ""
    return tuple(
        name + (suffix if name == "vault_password" else "")
        for field, name in _ASKS.get(kind, {}).items()
        if inputs.get(field) == ASK
    )


async def prompt_facts(view: View, body: Mapping[str, Any]) -> PromptFacts:
    """Look up what the ids in a launch body stand for."""

    def ids(name: str) -> list[int]:
        value = body.get(name)
        given = value if isinstance(value, list) else [value]
        read = (whole(str(each)) for each in given if not isinstance(each, bool))
        return [each for each in read if each is not None]

    groups = await view.named("named_groups", ids("instance_groups"))
    inventories = await view.named("known_inventories", ids("inventory"))
    labels = await view.named("known_labels", ids("labels"))
    environments = await view.named("known_environments", ids("execution_environment"))
    return PromptFacts(
        inventories=frozenset(row["id"] for row in inventories),
        credentials=tuple(await credential_facts(view, ids("credentials"))),
        labels=frozenset(row["id"] for row in labels),
        instance_groups={row["id"]: row["name"] for row in groups},
        execution_environments=frozenset(row["id"] for row in environments),
    )


async def runtime_vars(
    view: View, template: Row, record: PlaybookLaunch, context: Context
) -> dict[str, Any]:
    """Return AWX's own variables, without the prefixes (AWX 4.2)."""
    values = await common_vars(view, record.inventory, context)
    if template["id"] is not None:
        values |= {"job_template_id": template["id"], "job_template_name": template["name"]}
    if record.project is not None:
        values["project_scm_branch"] = template["scm_branch"]
    return values


async def common_vars(view: View, inventory: int | None, context: Context) -> dict[str, Any]:
    """Return what AWX's own variables say of who launches, and on what."""
    values: dict[str, Any] = {}
    if context.actor.kind == "user" and context.actor.id is not None:
        user = await view.named_row("user_names", context.actor.id)
        if user is not None:
            values |= {f"user_{name}": user[name] for name in user.keys()}  # noqa: SIM118 - a Record
    if inventory is not None:
        row = await view.named_row("inventory_for_script", inventory)
        values |= {"inventory_id": inventory, "inventory_name": (row or {}).get("name")}
    return values


async def depends(view: View, template: Row, record: PlaybookLaunch) -> tuple[str, ...]:
    """Return everything the job needs, the organizations that it would go with included."""
    named: dict[str, list[int | None]] = {
        "job_template": [template["id"]],
        "project": [record.project],
        "inventory": [record.inventory],
        "credential": list(record.credentials),
    }
    organizations = await view.named(
        "organizations_behind",
        record.project,
        record.inventory,
        list(record.credentials),
    )
    named["organization"] = [row["organization"] for row in organizations]
    return tuple(
        f"{kind}:{number}"
        for kind, numbers in named.items()
        for number in dict.fromkeys(numbers)
        if number is not None
    )


async def groups(
    view: View, template: int | None, inventory: int | None, organization: int | None
) -> tuple[str, ...]:
    """Return the template's groups, then the inventory's, then the organization's (AWX 4.11).

    The default one stands for none; a template or inventory may end the list at its own.
    """
    rows = await view.named("groups_for_launch", template, inventory, organization)
    return tuple(dict.fromkeys(row["name"] for row in rows)) or DEFAULT_GROUPS
