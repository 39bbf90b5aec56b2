"""Rows of declared resources as AWX's JSON, a page at a time with a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from controlplane.api import computed, links, named_urls, options, resolved_environment, visibility
from controlplane.api.installation import install_uuid
from controlplane.api.resource_ids import SHARED, ansible_id, type_of
from controlplane.api.tables import known, table_of
from controlplane.domain import access
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from schemas import roles
from schemas.resource import RESOURCES, Field, Resource, members

ENCRYPTED = computed.ENCRYPTED
Summaries = Mapping[tuple[str, int], dict[str, Any]]

SUMMARY_RENAMED = {"organization_id": "organization"}
"""Summary keys that are columns under another name."""
EXTRA_SUMMARY = {"credential": ("kind", "cloud", "kubernetes"), "job_template": ()}
_RUNS = ("last_job", "last_update", "current_job", "current_update")
JOB_LINKS = {
    "job_template": {"last_job": "job"},
    "host": {"last_job": "job", "last_job_host_summary": "job_host_summary"},
    "project": dict.fromkeys(_RUNS, "project_update"),
    "inventory_source": dict.fromkeys(_RUNS, "inventory_update"),
}
"""Kind to the summaries of jobs that have a link as well, and what they link to."""
JOB_HOLDERS = frozenset({"job_template", "workflow_job_template"})
"""Kinds of which somebody may run objects without seeing what others ran."""
NEVER_RUN = {"last_job_run": None, "last_job_failed": False, "status": "never updated"}
USER_SUMMARY = ("id", "username", "first_name", "last_name")


async def page(
    view: View, who: Principal, kind: str, rows: Sequence[Row], *, detail: bool = False
) -> list[dict[str, Any]]:
    """Return a page's rows, selected with ``visibility.fact_columns``, as the caller sees them."""
    resource = RESOURCES[kind]
    values = await computed.columns(view, kind, rows)
    more = await computed.summaries(view, kind, rows)
    if detail:
        await resolved_environment.add(view, kind, rows, more)
    found = await _referenced(view, resource, rows)
    names = await _named(view, resource, rows) if detail else {}
    installed = await install_uuid(view) if kind in SHARED else ""
    answers: list[dict[str, Any]] = []
    for row in rows:
        _hide_jobs(kind, row, who, values, more)
        full = {**row, **values.get(row["id"], {}), **_kinds(resource, row, found)}
        related = links.related(resource, full)
        if detail and resource.named_url:
            segment = named_urls.encode(kind, row, names.get(row["id"], {}))
            related = {"named_url": f"{links.ROOT}{resource.plural}/{segment}/", **related}
        _job_links(kind, related, more.get(row["id"], {}))
        answers.append(
            {
                "id": row["id"],
                **({} if kind in options.UNTYPED else {"type": resource.type_name}),
                "url": links.url_of(kind, row["id"]),
                "related": related,
                "summary_fields": {
                    **_summaries(resource, full, found),
                    **_rights(resource, row, who),
                    **more.get(row["id"], {}),
                    **_shared(installed, kind, row),
                },
                **_times(resource, row),
                **{
                    field.name: shown(field, full[field.name])
                    for field in resource.fields.values()
                    if not field.hidden and full[field.name] is not UNSET
                },
                **{
                    name: value
                    for name, value in values.get(row["id"], {}).items()
                    if name not in resource.fields and not name.startswith("@")
                },
            }
        )
    return answers


def _hide_jobs(
    kind: str, row: Row, who: Principal, values: computed.ByID, more: computed.ByID
) -> None:
    """Take what tells of jobs from a template whose jobs the caller may not all see."""
    if kind not in JOB_HOLDERS:
        return
    if access.may(who, "see_jobs", kind, visibility.facts_of(kind, row)):
        return
    values.setdefault(row["id"], {}).update(NEVER_RUN)
    summary = more.setdefault(row["id"], {})
    for name in ("last_job", "last_update", "current_job", "current_update"):
        summary.pop(name, None)
    summary["recent_jobs"] = []


async def one(view: View, who: Principal, kind: str, object_id: int) -> dict[str, Any] | None:
    """Return one object's detail, or None when there is none."""
    facts = visibility.fact_columns(kind)
    sql = f'select t.*{facts} from {table_of(kind).source} t where t."id" = $1'  # noqa: S608 - names from declarations
    rows = await view.fetch(sql, object_id)
    return (await page(view, who, kind, rows, detail=True))[0] if rows else None


def shown(field: Field, value: Any) -> Any:
    """Return a stored value as it is shown; secrets never are."""
    if field.secret is not None:
        return field.secret.stars if value or field.secret.always else ""
    if field.json is not None and field.json.form == "object":
        return msgspec.json.decode(value) if isinstance(value, str) else value
    return value


def _times(resource: Resource, row: Row) -> dict[str, Any]:
    if not resource.has_created:
        return {}
    return {"created": row["created"], "modified": row["modified"]}


def _job_links(kind: str, related: dict[str, Any], summary: Mapping[str, Any]) -> None:
    """Add links to the last job and the running update, where there are."""
    for key, target in JOB_LINKS.get(kind, {}).items():
        if key in summary:
            related[key] = links.url_of(target, summary[key]["id"])


async def _referenced(view: View, resource: Resource, rows: Sequence[Row]) -> Summaries:
    """Look up what the rows refer to: one query for each kind referred to."""
    wanted: dict[str, set[int]] = {}
    for field in resource.fields.values():
        if field.ref is not None and known(field.ref.kind) and not field.hidden:
            ids = {row[field.name] for row in rows if row[field.name] is not None}
            wanted.setdefault(field.ref.kind, set()).update(ids)
    if resource.authored:
        for name in ("created_by", "modified_by"):
            ids = {row[name] for row in rows if row[name] is not None}
            wanted.setdefault("user", set()).update(ids)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for kind, numbers in wanted.items():
        if numbers:
            found.update(await summarise(view, kind, sorted(numbers)))
    return found


async def summarise(view: View, kind: str, ids: Sequence[int]) -> Summaries:
    """Return the summaries of objects of one kind, by (kind, id)."""
    if kind not in RESOURCES:
        return await _summarise_shared(view, kind, ids)
    resource = RESOURCES[kind]
    sql = f'select t.* from "{kind}" t where t."id" = any($1)'  # noqa: S608 - names from declarations
    rows = await view.fetch(sql, list(ids))
    values = await computed.columns(view, kind, rows)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        full = {**row, **values.get(row["id"], {})}
        words = (*resource.summary, *EXTRA_SUMMARY.get(kind, ()))
        found[kind, row["id"]] = {
            word: full[SUMMARY_RENAMED.get(word, word)]
            for word in words
            if SUMMARY_RENAMED.get(word, word) in full
        }
    return found


async def _summarise_shared(view: View, name: str, ids: Sequence[int]) -> Summaries:
    """Return the summaries of objects of any kind that shares these ids; each says its kind."""
    sql = (
        'select t."id", t."name", t."description", t."kind"'  # noqa: S608 - names from declarations
        f' from {table_of(name).source} t where t."id" = any($1)'
    )
    return {
        (name, row["id"]): {
            **{word: row[word] for word in ("id", "name", "description")},
            "unified_job_type": RESOURCES[row["kind"]].job_kind,
        }
        for row in await view.fetch(sql, list(ids))
    }


def _kinds(resource: Resource, row: Row, found: Summaries) -> dict[str, str]:
    """Return the kinds that references to shared ids lead to."""
    kinds: dict[str, str] = {}
    for field in resource.fields.values():
        if field.ref is not None and field.ref.kind not in RESOURCES:
            summary = found.get((field.ref.kind, row[field.name]), {})
            for each in members(field.ref.kind):
                if each in RESOURCES and RESOURCES[each].job_kind == summary.get(
                    "unified_job_type"
                ):
                    kinds[f"{links.KIND}{field.name}"] = each
    return kinds


def _summaries(resource: Resource, row: Row, found: Summaries) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for field in resource.fields.values():
        if field.ref is None or field.hidden:
            continue
        key = (field.ref.kind, row[field.name])
        if key in found:
            extra = {}
            if field.ref.kind == "credential":
                extra = {"credential_type_id": found[key].get("credential_type_id")}
            summary[field.ref.summary or field.name] = {
                **found[key],
                **{name: value for name, value in extra.items() if value is not None},
            }
    if resource.authored:
        for name in ("created_by", "modified_by"):
            if ("user", row[name]) in found:
                summary[name] = found["user", row[name]]
    return summary


def _shared(installed: str, kind: str, row: Row) -> dict[str, Any]:
    """Return what other services call an object, where they share its kind."""
    if kind not in SHARED:
        return {}
    name = ansible_id(installed, kind, row["id"])
    return {"resource": {"ansible_id": name, "resource_type": type_of(kind)}}


def _rights(resource: Resource, row: Row, who: Principal) -> dict[str, Any]:
    rights: dict[str, Any] = {}
    if resource.roles:
        rights["object_roles"] = {
            roles.field_name(role): object_role(resource.kind, row["id"], role)
            for role in resource.roles
        }
    if resource.capabilities:
        facts = visibility.facts_of(resource.kind, row)
        rights["user_capabilities"] = access.capabilities(
            who, resource.kind, facts, resource.capabilities, row
        )
    return rights


def object_role(kind: str, object_id: int, role: str) -> dict[str, Any]:
    """Return one entry of ``object_roles``."""
    entry = {
        "description": roles.description(kind, role),
        "name": roles.NAMES[role],
        "id": roles.role_id(kind, object_id, role),
    }
    if kind == "organization" and role in ("admin", "member"):
        entry["user_only"] = True
    return entry


async def _named(view: View, resource: Resource, rows: Sequence[Row]) -> dict[int, dict[str, str]]:
    """Look up the parts of named URLs that lie beyond references."""
    parts = [field for field in resource.named_url if "." in field]
    if not parts or not rows:
        return {}
    columns = ", ".join(
        f'{visibility.path_sql(resource.kind, tuple(part.split(".")))} as "{part}"'
        for part in parts
    )
    sql = f'select t."id", {columns} from "{resource.kind}" t where t."id" = any($1)'  # noqa: S608 - names from declarations
    found = await view.fetch(sql, [row["id"] for row in rows])
    return {row["id"]: {part: row[part] or "" for part in parts} for row in found}
