"""Values of declared resources that no field holds: each kind's, for a whole page at once.

``columns`` adds to the rows' own values, ``summaries`` to ``summary_fields``. Every function asks a
fixed number of queries whatever the page's size.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from controlplane.api import smart_hosts
from controlplane.api.links import SHADOW, url_of
from controlplane.api.tables import table_of
from controlplane.domain import recurrence
from controlplane.shell.read_model import Row, View
from ops import clock
from schemas.notification_types import NOTIFICATION_TYPES
from schemas.resources.application import HIDDEN, PUBLIC
from schemas.resources.workflow_job_template_node import NEXT

ByID = dict[int, dict[str, Any]]
Computer = Callable[[View, Sequence[Row]], Awaitable[ByID]]

ENCRYPTED = "$encrypted$"
ASK = "ASK"
RECENT_MAX = 10
TOKENS_MAX = 10
LABELS_MAX = 10
GROUPS_MAX = 5
HOST_JOBS_MAX = 5
NOTIFICATIONS_MAX = 5
EXTERNAL = {None: None, "ldap": "ldap", "saml": "enterprise"}
"""Who made a user, as ``external_account`` shows it; all others are ``social``."""


async def columns(view: View, kind: str, rows: Sequence[Row]) -> ByID:
    """Return the computed values of a page's rows by id; a field that is UNSET is not shown."""
    computer = _COLUMNS.get(kind)
    return await computer(view, rows) if computer is not None and rows else {}


async def summaries(view: View, kind: str, rows: Sequence[Row]) -> ByID:
    """Return the computed summary fields of a page's rows by id."""
    found: ByID = {}
    for computer in _SUMMARIES.get(kind, ()):
        for number, values in (await computer(view, rows) if rows else {}).items():
            found.setdefault(number, {}).update(values)
    return found


def _ids(rows: Sequence[Row]) -> list[int]:
    return [row["id"] for row in rows]


async def _template_status(view: View, rows: Sequence[Row]) -> ByID:
    """Status of templates follows from their last job."""
    found: ByID = {}
    states = {row["id"]: row for row in await view.named("template_status", _ids(rows))}
    for row in rows:
        state = states.get(row["id"], {})
        found[row["id"]] = {
            "last_job_run": state.get("last_job_run"),
            "last_job_failed": bool(state.get("last_job_failed")),
            "next_job_run": None,
            "status": state.get("status") or "never updated",
        }
    return found


async def _project(view: View, rows: Sequence[Row]) -> ByID:
    found = await _template_status(view, rows)
    states = {row["id"]: row for row in await view.named("project_content", _ids(rows))}
    for row in rows:
        state, values = states.get(row["id"], {}), found[row["id"]]
        if not row["scm_type"]:
            values["status"] = "ok"
        values["scm_revision"] = state.get("scm_revision") or ""
        values["last_update_failed"] = values["last_job_failed"]
        values["last_updated"] = values["last_job_run"]
    return found


def _without_answers(row: Row) -> dict[str, Any]:
    """Return the prompts of a saved launch with its secret answers hidden."""
    secret = decoded(row["survey_passwords"])
    return {"extra_data": {**decoded(row["extra_data"]), **secret}}


async def _node(view: View, rows: Sequence[Row]) -> ByID:
    """Edges of workflow nodes, by the outcome that they wait for."""
    found = {row["id"]: {**_without_answers(row), **{name: [] for name in NEXT}} for row in rows}
    for edge in await view.named("workflow_edges", _ids(rows)):
        found[edge["id"]][edge["relation"]].append(edge["target"])
    return found


async def _survey(view: View, rows: Sequence[Row]) -> ByID:
    """What is asked at a launch, in a word."""
    del view
    specs = {row["id"]: decoded(row["survey_spec"]) for row in rows}
    return {
        number: {"survey": {"title": spec["name"], "description": spec["description"]}}
        for number, spec in specs.items()
        if spec
    }


async def _schedule(view: View, rows: Sequence[Row]) -> ByID:
    """What follows from the rule and the present moment.

    A rule that was stored when more was allowed is shown, and has no next time.
    """
    del view
    return {row["id"]: {**_without_answers(row), **_times_of(row)} for row in rows}


def _times_of(row: Row) -> dict[str, Any]:
    try:
        rule = recurrence.read(row["rrule"])
    except recurrence.Unruly:
        return {"next_run": None, "timezone": "", "until": ""}
    following = rule.next_run(clock.now()) if row["enabled"] else None
    return {"next_run": following, "timezone": rule.zone, "until": rule.until}


async def _host(view: View, rows: Sequence[Row]) -> ByID:
    last = {row["host"]: row for row in await view.named("host_last_jobs", _ids(rows))}
    origin = {row["id"]: row for row in await view.named("hosts_from_elsewhere", _ids(rows))}
    facts = await view.named("facts_modified", _ids(rows))
    known = {row["host"]: clock.iso(row["modified"]) for row in facts}
    return {
        row["id"]: {
            "has_active_failures": bool(last.get(row["id"], {}).get("failed")),
            "has_inventory_sources": bool(origin.get(row["id"], {}).get("sourced")),
            SHADOW: bool(origin.get(row["id"], {}).get("shadow")),
            "last_job": last.get(row["id"], {}).get("job"),
            "last_job_host_summary": last.get(row["id"], {}).get("summary"),
            "ansible_facts_modified": known.get(row["id"]),
        }
        for row in rows
    }


async def _inventory(view: View, rows: Sequence[Row]) -> ByID:
    """Count hosts, those of smart inventories as they are now, and what failed last."""
    ids = _ids(rows)
    smart = await smart_hosts.counts(view, [row for row in rows if row["kind"] == "smart"])
    hosts = {row["id"]: row["failed"] for row in await view.named("failures_in_inventories", ids)}
    sources = {row["id"]: row["failed"] for row in await view.named("source_failures", ids)}
    found: ByID = {}
    for row in rows:
        number = row["id"]
        failed = smart[number]["failed"] if number in smart else hosts.get(number, 0)
        found[number] = {
            "total_hosts": smart[number]["total"] if number in smart else row["total_hosts"],
            "has_active_failures": bool(failed),
            "hosts_with_active_failures": failed,
            "has_inventory_sources": bool(row["total_inventory_sources"]),
            "inventory_sources_with_failures": sources.get(number, 0),
        }
    return found


async def _inventory_source(view: View, rows: Sequence[Row]) -> ByID:
    found = await _template_status(view, rows)
    for values in found.values():
        values["last_update_failed"] = values["last_job_failed"]
        values["last_updated"] = values["last_job_run"]
        values["custom_virtualenv"] = None
    return found


async def _inventory_source_extras(view: View, rows: Sequence[Row]) -> ByID:
    """Name the organization of a source, and its credential as a list of one."""
    found: ByID = {}
    for row in await view.named("inventory_source_extras", _ids(rows)):
        words = ("id", "name", "description", "kind", "cloud")
        held = row["id"] is not None
        found[row["owner"]] = {
            "organization": {
                "id": row["organization"],
                "name": row["organization_name"],
                "description": row["organization_description"],
            },
            "credentials": [{name: row[name] for name in words}] if held else [],
        }
    return found


async def _instance_group(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {}
    loads = {row["id"]: row for row in await view.named("instance_group_load", _ids(rows))}
    for row in rows:
        load = loads.get(row["id"], {})
        capacity = int(load.get("capacity") or 0)
        consumed = float(load.get("consumed") or 0)
        found[row["id"]] = {
            "capacity": capacity,
            "consumed_capacity": consumed,
            "percent_capacity_remaining": round(100 * (1 - consumed / capacity), 2)
            if capacity
            else 0.0,
            "jobs_running": load.get("running") or 0,
            "jobs_total": load.get("total") or 0,
            "instances": load.get("instances") or 0,
        }
    return found


async def _credential(view: View, rows: Sequence[Row]) -> ByID:
    """Inputs with every secret hidden; of an unknown type all count as secret.

    A field with an input source shows what is stored with the credential itself, if anything: who
    writes back what was read stores nothing under the field, and nothing seems to have changed.
    """
    types = {row["id"]: row for row in await view.named("credential_type_inputs", _types(rows))}
    found: ByID = {}
    for row in rows:
        inputs = decoded(row["inputs"])
        schema = types.get(row["credential_type"])
        secret = set(inputs) if schema is None else secret_ids(decoded(schema["inputs"]))
        found[row["id"]] = {
            "inputs": {
                name: ENCRYPTED if name in secret and value not in ("", ASK) else value
                for name, value in inputs.items()
            }
        }
    return found


async def _notification_template(_view: View, rows: Sequence[Row]) -> ByID:
    """Configurations with every password hidden."""
    found: ByID = {}
    for row in rows:
        secret = NOTIFICATION_TYPES[row["notification_type"]].secrets
        config = decoded(row["notification_configuration"])
        shown = {
            name: ENCRYPTED if value and name in secret else value for name, value in config.items()
        }
        found[row["id"]] = {"notification_configuration": shown}
    return found


async def _recent_notifications(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"recent_notifications": []} for row in rows}
    for row in await view.named("recent_notifications", _ids(rows), NOTIFICATIONS_MAX):
        words = ("id", "status", "created", "error")
        summary = {name: row[name] for name in words}
        found[row["owner"]]["recent_notifications"].append(summary)
    return found


async def _last_logins(view: View, rows: Sequence[Row]) -> dict[int, Any]:
    expression = table_of("user").columns["last_login"].sql.format(t="u")
    sql = f'select u."id", {expression} as "at" from "user" u where u."id" = any($1)'  # noqa: S608 - names from a table
    return {row["id"]: row["at"] for row in await view.fetch(sql, _ids(rows))}


async def _application(_view: View, rows: Sequence[Row]) -> ByID:
    """A public application has no secret to show."""
    return {row["id"]: {"client_secret": UNSET} for row in rows if row["client_type"] == PUBLIC}


async def _application_tokens(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"tokens": {"count": 0, "results": []}} for row in rows}
    for row in await view.named("tokens_of_applications", _ids(rows), TOKENS_MAX):
        tokens = found[row["owner"]]["tokens"]
        tokens["count"] = row["count"]
        tokens["results"].append({"id": row["id"], "scope": row["scope"], "token": HIDDEN})
    return found


def _types(rows: Sequence[Row]) -> list[int]:
    return sorted({row["credential_type"] for row in rows})


def secret_ids(schema: dict[str, Any]) -> set[str]:
    """Return the fields that a credential type's ``inputs`` call secret."""
    fields = schema.get("fields", [])
    return {field["id"] for field in fields if field.get("secret")}


def decoded(value: Any) -> dict[str, Any]:
    """Return a JSON object column as a value, whether or not the connection decodes it."""
    found: dict[str, Any] = msgspec.json.decode(value) if isinstance(value, str) else value
    return found


async def _user(view: View, rows: Sequence[Row]) -> ByID:
    """Say who vouches for a user; one for whom others do has no password to show."""
    found: ByID = {}
    logins = await _last_logins(view, rows)
    for row in rows:
        provider = row["external_provider"]
        social = provider not in (None, "ldap")
        found[row["id"]] = {
            "last_login": logins.get(row["id"]),
            "external_account": EXTERNAL.get(provider, "social"),
            "auth": [{"provider": provider, "uid": row["external_uid"]}] if social else [],
            **({"password": UNSET} if provider is not None else {}),
        }
    return found


async def _label_summary(view: View, rows: Sequence[Row], kind: str) -> ByID:
    found: ByID = {row["id"]: {"labels": {"count": 0, "results": []}} for row in rows}
    for row in await view.named(f"{kind}_label_rows", _ids(rows)):
        labels = found[row["owner"]]["labels"]
        labels["count"] += 1
        if labels["count"] <= LABELS_MAX:
            labels["results"].append({"id": row["id"], "name": row["name"]})
    return found


async def _job_template_labels(view: View, rows: Sequence[Row]) -> ByID:
    return await _label_summary(view, rows, "job_template")


async def _workflow_labels(view: View, rows: Sequence[Row]) -> ByID:
    return await _label_summary(view, rows, "workflow_job_template")


async def _inventory_labels(view: View, rows: Sequence[Row]) -> ByID:
    return await _label_summary(view, rows, "inventory")


async def _job_template_credentials(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"credentials": []} for row in rows}
    for row in await view.named("job_template_credential_rows", _ids(rows)):
        credential = {name: row[name] for name in ("id", "name", "description", "kind", "cloud")}
        if row["vault_id"] is not None:
            credential["vault_id"] = row["vault_id"]
        found[row["owner"]]["credentials"].append(credential)
    return found


async def _recent_jobs(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"recent_jobs": []} for row in rows}
    for job in await view.named("recent_jobs", _ids(rows), RECENT_MAX):
        summary = found[job["template"]]
        summary["recent_jobs"].append(
            {name: job[name] for name in ("id", "status", "finished", "canceled_on", "type")}
        )
        if len(summary["recent_jobs"]) == 1:
            summary["last_job"] = _last_job(job)
            summary["last_update"] = {
                name: job[name] for name in ("id", "name", "description", "status", "failed")
            }
    return found


async def _last_update(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {}
    for job in await view.named("recent_jobs", _ids(rows), 1):
        words = ("id", "name", "description", "status", "failed")
        found[job["template"]] = {
            "last_job": _last_job(job),
            "last_update": {name: job[name] for name in words},
        }
        if job["finished"] is None:
            current = {name: job[name] for name in words}
            found[job["template"]] |= {"current_update": current, "current_job": current}
    return found


def _last_job(job: Row) -> dict[str, Any]:
    words = ("id", "name", "description", "finished", "status", "failed", "canceled_on")
    return {name: job[name] for name in words}


async def _host_groups(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"groups": {"count": 0, "results": []}} for row in rows}
    for row in await view.named("host_group_rows", _ids(rows)):
        groups = found[row["owner"]]["groups"]
        groups["count"] += 1
        if groups["count"] <= GROUPS_MAX:
            groups["results"].append({"id": row["id"], "name": row["name"]})
    return found


async def _host_jobs(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"recent_jobs": []} for row in rows}
    for job in await view.named("host_recent_jobs", _ids(rows), HOST_JOBS_MAX):
        summary = found[job["host"]]
        words = ("id", "name", "type", "status", "finished")
        summary["recent_jobs"].append({name: job[name] for name in words})
        if len(summary["recent_jobs"]) == 1:
            template = job["job_template_id"]
            summary["last_job"] = {
                **_last_job(job),
                "job_template_id": template,
                "job_template_name": job["name"] if template else None,
            }
            failed = job["summary_failed"]
            summary["last_job_host_summary"] = {"id": job["summary"], "failed": failed}
    return found


async def _organization_counts(view: View, rows: Sequence[Row]) -> ByID:
    counts = await view.named("organization_counts", _ids(rows))
    return {
        row["id"]: {
            "related_field_counts": {
                name: row[name]
                for name in (
                    "inventories",
                    "teams",
                    "users",
                    "job_templates",
                    "admins",
                    "projects",
                    "hosts",
                )
            }
        }
        for row in counts
    }


async def _owners(view: View, rows: Sequence[Row]) -> ByID:
    found: ByID = {row["id"]: {"owners": []} for row in rows}
    for row in await view.named("credential_owners", _ids(rows)):
        found[row["owner"]]["owners"].append(
            {
                "id": row["id"],
                "type": row["type"],
                "name": row["name"],
                "description": row["description"],
                "url": url_of(row["type"], row["id"]),
            }
        )
    return found


async def _role_definition(_view: View, rows: Sequence[Row]) -> ByID:
    return {row["id"]: {name: row[name] for name in ("created_by", "modified_by")} for row in rows}


_COLUMNS: dict[str, Computer] = {
    "application": _application,
    "user": _user,
    "project": _project,
    "inventory": _inventory,
    "inventory_source": _inventory_source,
    "credential": _credential,
    "job_template": _template_status,
    "system_job_template": _template_status,
    "workflow_job_template": _template_status,
    "workflow_approval_template": _template_status,
    "workflow_job_template_node": _node,
    "schedule": _schedule,
    "host": _host,
    "instance_group": _instance_group,
    "notification_template": _notification_template,
    "role_definition": _role_definition,
}
_SUMMARIES: dict[str, tuple[Computer, ...]] = {
    "application": (_application_tokens,),
    "organization": (_organization_counts,),
    "project": (_last_update,),
    "inventory": (_inventory_labels,),
    "inventory_source": (_last_update, _inventory_source_extras),
    "host": (_host_groups, _host_jobs),
    "job_template": (_job_template_labels, _job_template_credentials, _recent_jobs, _survey),
    "workflow_job_template": (_workflow_labels, _recent_jobs, _survey),
    "credential": (_owners,),
    "notification_template": (_recent_notifications,),
}
