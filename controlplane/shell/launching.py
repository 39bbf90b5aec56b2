"""Launching: looks up what the pure resolver needs, stores content and secrets, appends the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.js.errors import Error as JetStreamError

from controlplane.domain import extra_vars, launch, project_update
from controlplane.domain.errors import Refused, Unavailable
from controlplane.domain.facts import Unsealed
from controlplane.domain.job import JOB, Launch
from controlplane.domain.launch import CredentialFact, PromptFacts, Resolved, TemplateFacts
from controlplane.domain.numerals import whole
from controlplane.domain.survey import Sealed
from controlplane.shell.event_store import EventStore
from controlplane.shell.inventory_content import SmartHosts, inventory_content
from controlplane.shell.launch_keys import LaunchKeys
from controlplane.shell.numbers import UNIFIED_JOB, Numbers
from controlplane.shell.read_model import Row, View
from controlplane.shell.transact import transact
from controlplane.shell.vault import Vault
from ops.blobs import Blobs
from schemas import subjects
from schemas.envelope import Context
from schemas.events.job import JobLaunched, NamedRef, PlaybookLaunch
from schemas.status import LaunchType

_ASKS = {
    "ssh": {
        "password": "ssh_password",
        "become_password": "become_password",
        "ssh_key_unlock": "ssh_key_unlock",
    },
    "vault": {"vault_password": "vault_password"},
}
ASK = "ASK"


class LaunchTools(Struct, frozen=True, kw_only=True):
    """What a launch works with."""

    store: EventStore
    numbers: Numbers
    vault: Vault
    blobs: Blobs
    keys: LaunchKeys
    smart_hosts: SmartHosts


class How(Struct, frozen=True, kw_only=True):
    """What kind of launch this is: by hand, again, or a repeated request."""

    launch_type: LaunchType = LaunchType.MANUAL
    idempotency_key: str = ""
    relaunch_of: int | None = None
    launched_by: NamedRef | None = None
    """What launched it when nobody did: the template itself, for webhooks and callbacks."""


BY_HAND = How()
STOPPED = "The read model of jobs is stopped; `playlog status` says why."


class Launched(Struct, frozen=True, kw_only=True):
    """A job that exists: its id, JOBS position, launch record and the body's ignored fields."""

    job: int
    position: int
    record: JobLaunched | None
    ignored_fields: dict[str, Any]
    repeated: bool = False


async def template_facts(view: View, template: Row) -> TemplateFacts:
    """Look up what a job template's launch starts from."""
    credentials = await credential_facts(
        view,
        [row["target"] for row in await view.named("template_credentials", template["id"])],
    )
    labels = await view.named("template_labels", template["id"])
    ready, allows = False, False
    if template["project"] is not None:
        project = await view.named_row("project_for_launch", template["project"])
        if project is not None:
            ready = bool(
                project["content"] or project["current_job"] or not project["last_job_failed"]
            )
            allows = bool(project["allow_override"])
    return TemplateFacts(
        template=template,
        credentials=tuple(credentials),
        labels=tuple(row["target"] for row in labels),
        project_ready=ready,
        project_allows_branch=allows,
    )


async def credential_facts(view: View, ids: Sequence[int]) -> list[CredentialFact]:
    """Look up credentials, in the order of ``ids``; those that do not exist are left out."""
    rows = {row["id"]: row for row in await view.named("credentials_for_launch", list(ids))}
    return [_credential(rows[number]) for number in ids if number in rows]


def _credential(row: Row) -> CredentialFact:
    inputs = row["inputs"]
    values: dict[str, Any] = msgspec.json.decode(inputs) if isinstance(inputs, str) else inputs
    vault_id = str(values.get("vault_id") or "")
    suffix = f".{vault_id}" if vault_id else ""
    asks = [
        name + (suffix if name == "vault_password" else "")
        for field, name in _ASKS.get(row["kind"] or "", {}).items()
        if values.get(field) == ASK
    ]
    return CredentialFact(
        id=row["id"],
        name=row["name"],
        type_id=row["credential_type"],
        type_name=row["type_name"],
        kind=row["kind"] or "",
        vault_id=vault_id,
        asks=tuple(asks),
        looked_up=row["looked_up"],
    )


async def _refuse_when_stopped(view: View) -> None:
    """Raise Unavailable while the projection of JOBS is stopped: nobody would see the job."""
    stopped = await view.value(
        "select 1 from projection_state where projection = 'jobs'"
        " and state in ('stopped', 'truncated')"
    )
    if stopped:
        raise Unavailable(STOPPED)


async def launch_template(
    tools: LaunchTools,
    view: View,
    facts: TemplateFacts,
    resolved: Resolved,
    context: Context,
    *,
    how: How = BY_HAND,
) -> Launched:
    """Append the job of a resolved launch; raises Unavailable with nothing stored.

    The same idempotency key of the same user answers with the job that the first launch made.
    """
    await _refuse_when_stopped(view)
    actor = context.actor
    if how.idempotency_key:
        job, new = await tools.keys.job_for(f"{actor.id}:{how.idempotency_key}")
        if not new and (history := await tools.store.load(subjects.job(job))):
            return Launched(
                job=job,
                position=history[-1].sequence,
                record=None,
                ignored_fields=resolved.ignored_fields,
                repeated=True,
            )
    else:
        job = (await tools.numbers.take(UNIFIED_JOB))[0]
    record = resolved.record
    content = await _content(tools, view, record)
    record = msgspec.structs.replace(
        record,
        inventory_content=content.digest if content else "",
        host_count=content.hosts if content else 0,
        runtime_vars=await _runtime_vars(view, facts.template, record, context),
    )
    launched = JobLaunched(
        id=job,
        name=facts.template["name"],
        description=facts.template["description"],
        created=context.at,
        organization=facts.template["organization"],
        template=facts.template["id"],
        launch_type=how.launch_type,
        launched_by=how.launched_by or NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        created_by=actor.id if actor.kind == "user" else None,
        record=record,
        config_position=await view.value(
            "select position from checkpoint where projection = 'config'"
        ),
        depends=await _depends(view, facts.template, record),
        instance_groups=resolved.instance_groups or await _groups(view, facts.template, record),
        impact=launch.impact(record),
        timeout_s=resolved.timeout_s,
        secrets=await _sealed(tools, job, facts.template["id"], resolved),
        relaunch_of=how.relaunch_of,
    )
    done = await transact(tools.store, subjects.job(job), JOB, Launch(launched=launched), context)
    return Launched(
        job=job,
        position=done.position,
        record=launched,
        ignored_fields=resolved.ignored_fields,
    )


async def launch_project_update(
    tools: LaunchTools, view: View, project: Row, context: Context
) -> Launched:
    """Append an update of an scm project; raises Unavailable, or Refused, with nothing stored."""
    await _refuse_when_stopped(view)
    if await needs_lookup(view, project):
        raise Refused({"detail": launch.NO_LOOKUPS})
    position = await view.value("select position from checkpoint where projection = 'config'")
    job = (await tools.numbers.take(UNIFIED_JOB))[0]
    return await _update(tools, job, project, context, position)


async def needs_lookup(view: View, project: Row) -> bool:
    """Return whether a secret of a project's credential would have to be looked up elsewhere."""
    used = [] if project["credential"] is None else [project["credential"]]
    return any(each.looked_up for each in await credential_facts(view, used))


async def update_changed_project(
    tools: LaunchTools, project: Row, context: Context, position: int
) -> Launched:
    """Append the update of a project whose source changed at a CONFIG position.

    The loop ``project_updates`` does the same: whoever comes first launches the one job.
    """
    cause = project_update.update_cause(position, project["id"])
    job, _ = await tools.keys.job_for(cause)
    return await _update(tools, job, project, msgspec.structs.replace(context, id=cause), position)


async def _update(
    tools: LaunchTools, job: int, project: Row, context: Context, position: int
) -> Launched:
    actor = context.actor
    launched = project_update.update_of(
        job,
        project,
        created=context.at,
        launch_type=LaunchType.MANUAL,
        launched_by=NamedRef(type=actor.kind, id=actor.id, name=actor.name),
        config_position=position,
    )
    done = await transact(tools.store, subjects.job(job), JOB, Launch(launched=launched), context)
    return Launched(job=job, position=done.position, record=launched, ignored_fields={})


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


async def _content(tools: LaunchTools, view: View, record: PlaybookLaunch) -> Any:
    if record.inventory is None:
        return None
    try:
        return await inventory_content(tools.blobs, view, record.inventory, tools.smart_hosts)
    except (nats.errors.Error, JetStreamError, TimeoutError) as error:
        raise Unavailable("The content store is not available.") from error


async def _sealed(tools: LaunchTools, job: int, template: int, resolved: Resolved) -> str:
    """Seal for the job what nobody may read of it: passwords and secret answers."""
    secrets = dict(resolved.passwords)
    answers: dict[str, Any] = {}
    for name, value in resolved.secret_vars.items():
        opened = isinstance(value, Sealed)
        answers[name] = (
            await tools.vault.open("job_template", template, value.text) if opened else value.text
        )
    if answers:
        secrets["extra_vars"] = extra_vars.as_text(answers)
    if not secrets:
        return ""
    return await tools.vault.seal("job", job, msgspec.json.encode(secrets).decode())


async def secret_variables(tools: LaunchTools, job: int) -> dict[str, Unsealed | Sealed]:
    """Return the secret answers that a job was launched with, in clear.

    Raises KeyError or ValueError when they cannot be opened any more.
    """
    history = await tools.store.load(subjects.job(job))
    launched = next(
        (event for each in history for event in each.events if isinstance(event, JobLaunched)), None
    )
    if launched is None or not launched.secrets:
        return {}
    secrets = msgspec.json.decode(await tools.vault.open("job", job, launched.secrets))
    answers = extra_vars.parse(secrets.get("extra_vars", ""))
    return {name: Unsealed(str(value)) for name, value in answers.items()}


async def _runtime_vars(
    view: View, template: Row, record: PlaybookLaunch, context: Context
) -> dict[str, Any]:
    """Return AWX's own variables, without the prefixes (AWX 4.2)."""
    values: dict[str, Any] = {
        "job_template_id": template["id"],
        "job_template_name": template["name"],
    }
    if context.actor.kind == "user" and context.actor.id is not None:
        user = await view.named_row("user_names", context.actor.id)
        if user is not None:
            values |= {f"user_{name}": user[name] for name in user.keys()}  # noqa: SIM118 - a Record
    if record.inventory is not None:
        inventory = await view.named_row("inventory_for_script", record.inventory)
        values |= {
            "inventory_id": record.inventory,
            "inventory_name": (inventory or {}).get("name"),
        }
    if record.project is not None:
        values["project_scm_branch"] = template["scm_branch"]
    return values


async def _depends(view: View, template: Row, record: PlaybookLaunch) -> tuple[str, ...]:
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


async def _groups(view: View, template: Row, record: PlaybookLaunch) -> tuple[str, ...]:
    """Return the template's groups, then the inventory's, then the default ones (AWX 4.11)."""
    rows = await view.named("groups_for_launch", template["id"], record.inventory)
    names = [row["name"] for row in rows]
    if template["prevent_instance_group_fallback"] and names:
        return tuple(dict.fromkeys(names))
    return tuple(dict.fromkeys((*names, "default")))
