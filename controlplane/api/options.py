"""OPTIONS bodies from declarations (``api.md`` 1.10): awxkit makes commands and flags of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.pagination import PAGE_SIZE_MAX
from controlplane.api.tables import table_of
from schemas import roles
from schemas.resource import RESOURCES, Field, Resource

RENDERS = ["application/json", "text/html"]
PARSES = ["application/json"]
INT_MAX = 2147483647
_TYPES = {
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "float": "float",
    "json": "json",
    "time": "datetime",
    "id": "id",
}
UNTYPED = frozenset({"role_definition"})
"""Kinds whose rows do not say what they are."""
AS_FIELDS = {"credential": ("kind", "cloud", "kubernetes")}
"""Kind to what AWX shows of another object and does not say the type of."""
NOT_FILTERABLE = frozenset({"is_system_auditor"})

COMPUTED: dict[str, dict[str, str]] = {
    "role_definition": {"created_by": "id", "modified_by": "id"},
    "user": {"external_account": "field"},
    "project": {
        "last_job_run": "datetime",
        "last_job_failed": "boolean",
        "next_job_run": "datetime",
        "status": "choice",
        "scm_revision": "string",
        "last_update_failed": "boolean",
        "last_updated": "datetime",
    },
    "inventory_source": {
        "custom_virtualenv": "string",
        "last_job_run": "datetime",
        "last_job_failed": "boolean",
        "next_job_run": "datetime",
        "status": "choice",
        "last_update_failed": "boolean",
        "last_updated": "datetime",
    },
    "job_template": {
        "last_job_run": "datetime",
        "last_job_failed": "boolean",
        "next_job_run": "datetime",
        "status": "choice",
    },
    "system_job_template": {
        "last_job_run": "datetime",
        "last_job_failed": "boolean",
        "next_job_run": "datetime",
        "status": "choice",
    },
    **{
        kind: {
            "last_job_run": "datetime",
            "last_job_failed": "boolean",
            "next_job_run": "datetime",
            "status": "choice",
        }
        for kind in ("workflow_job_template", "workflow_approval_template")
    },
    "workflow_job_template_node": {
        "success_nodes": "field",
        "failure_nodes": "field",
        "always_nodes": "field",
    },
    "schedule": {"timezone": "field", "until": "field"},
    "host": {
        "has_active_failures": "field",
        "has_inventory_sources": "field",
        "last_job": "id",
        "last_job_host_summary": "id",
        "ansible_facts_modified": "datetime",
    },
    "instance_group": {
        "capacity": "field",
        "consumed_capacity": "field",
        "percent_capacity_remaining": "field",
        "jobs_running": "field",
        "jobs_total": "integer",
        "instances": "field",
    },
}
"""Values shown beyond the declared fields, with their types."""
STATUSES = (
    ("new", "New"),
    ("pending", "Pending"),
    ("waiting", "Waiting"),
    ("running", "Running"),
    ("successful", "Successful"),
    ("failed", "Failed"),
    ("error", "Error"),
    ("canceled", "Canceled"),
    ("never updated", "Never Updated"),
    ("ok", "OK"),
    ("missing", "Missing"),
)
SHOWN_AS: dict[tuple[str, str], dict[str, Any]] = {
    ("role_definition", "content_type"): {"type": "id"},
    ("role_definition", "permissions"): {
        "type": "list",
        "child": {"type": "choice", "required": True, "read_only": False},
        "filterable": False,
    },
}
"""(kind, field) to what AWX says of it and a declaration does not."""
NO_FILES = tuple(pair for pair in STATUSES if pair[0] not in ("ok", "missing"))
"""Statuses of templates whose content does not lie in files."""
OF_SOURCES = (*NO_FILES, ("none", "No External Source"))
OF_ANY = (*STATUSES, ("none", "No External Source"), ("updating", "Updating"))
STATUSES_OF = {
    "job_template": NO_FILES,
    "inventory_source": OF_SOURCES,
    "system_job_template": OF_ANY,
    "workflow_job_template": OF_ANY,
}
"""Kind to its statuses, where they are not those of a project."""
TEMPLATES = "unified_job_template"
"""The counter of kinds that stand in one mixed list, which ``type`` filters."""
POST_CHOICES = {("credential_type", "kind"): (("net", "Network"), ("cloud", "Cloud"))}
"""Choices of a body where not every stored value may be sent."""


def of_list(resource: Resource, *, create: bool) -> dict[str, Any]:
    """Return the body for a list; ``create``: the caller may POST."""
    table = table_of(resource.kind)
    actions: dict[str, Any] = {"GET": readable(resource)}
    if create:
        actions["POST"] = writable(resource)
    body = {
        **_head(f"{resource.verbose} List", resource.type_name),
        "actions": actions,
        "search_fields": list(table.search),
        "related_search_fields": [f"{name}__search" for name in table.relations],
        "max_page_size": PAGE_SIZE_MAX,
    }
    if resource.roles:
        body["object_roles"] = [roles.field_name(role) for role in resource.roles]
    return body


def of_detail(resource: Resource, *, edit: bool) -> dict[str, Any]:
    """Return the body for one object; ``edit``: the caller may PUT."""
    actions: dict[str, Any] = {"GET": readable(resource)}
    if edit:
        actions["PUT"] = {
            name: described
            for name, described in writable(resource).items()
            if not resource.fields[name].once
        }
    body = {**_head(f"{resource.verbose} Detail", resource.type_name), "actions": actions}
    if resource.roles:
        body["object_roles"] = [roles.field_name(role) for role in resource.roles]
    return body


def of_attach(resource: Resource, *, creates: bool = False, create: bool = False) -> dict[str, Any]:
    """Return the body for a sub-list that takes ``{"id": N}``: awxkit exports its members' names.

    ``creates``: it takes new members too; ``create``: this caller may make them.
    """
    body = of_list(resource, create=creates and create)
    identity = {"type": "integer", "required": not creates, "label": "ID", "filterable": True}
    fields = body["actions"].get("POST", {})
    body["actions"]["POST"] = {"id": {**identity, "hidden": False}, **fields}
    return body


def plain(name: str, kinds: Sequence[str], actions: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body for a route that is not a declared resource's."""
    return {
        "name": name,
        "description": name,
        "renders": RENDERS,
        "parses": PARSES,
        "actions": {} if actions is None else actions,
        "types": list(kinds),
    }


def readable(resource: Resource) -> dict[str, Any]:
    """Return ``actions.GET``: every field that is shown."""
    found: dict[str, Any] = {
        "id": _system("integer", "ID", f"Database ID for this {resource.verbose.lower()}."),
        "type": {
            **_system("choice", "Type", f"Data type for this {resource.verbose.lower()}."),
            "choices": [[resource.type_name, resource.verbose]],
        },
        "url": _system("string", "Url", f"URL for this {resource.verbose.lower()}."),
        "related": _system("object", "Related", "Related resources."),
        "summary_fields": _system("object", "Summary fields", "Details of related objects."),
    }
    if resource.has_created:
        for name, text in (("created", "created"), ("modified", "last modified")):
            found[name] = _system(
                "datetime", name.title(), f"Timestamp when this was {text}.", filterable=True
            )
    found["id"]["filterable"] = True
    for field in resource.fields.values():
        if not field.hidden:
            found[field.name] = _readable(field) | SHOWN_AS.get((resource.kind, field.name), {})
    for name in AS_FIELDS.get(resource.kind, ()):
        found[name] |= {"type": "field", "filterable": False}
    if resource.kind in UNTYPED:
        del found["type"]
    elif resource.sequence == TEMPLATES:
        found["type"]["filterable"] = True
    else:
        del found["type"]["filterable"]
    known = table_of(resource.kind).columns
    for name, kind in COMPUTED.get(resource.kind, {}).items():
        label = name.replace("_", " ").capitalize()
        found[name] = _system(kind, label, "", filterable=name in known)
        if kind == "choice":
            pairs = STATUSES_OF.get(resource.kind, STATUSES)
            found[name]["choices"] = [list(pair) for pair in pairs]
    return found


def writable(resource: Resource) -> dict[str, Any]:
    """Return ``actions.POST`` or ``PUT``: every field a body may hold."""
    return {
        field.name: _writable(resource, field) | SHOWN_AS.get((resource.kind, field.name), {})
        for field in resource.fields.values()
        if not field.read_only
    }


def _head(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": name,
        "renders": RENDERS,
        "parses": PARSES,
        "types": [kind],
    }


def _system(kind: str, label: str, text: str, *, filterable: bool = False) -> dict[str, Any]:
    described: dict[str, Any] = {"type": kind, "label": label}
    if text:
        described["help_text"] = text
    return {**described, "filterable": filterable, "hidden": False}


def _label(field: Field) -> str:
    return field.help.label or field.name.replace("_", " ").capitalize()


def _type(field: Field) -> str:
    return "choice" if field.choices is not None else _TYPES[field.base]


def _readable(field: Field) -> dict[str, Any]:
    found = _system(_type(field), _label(field), field.help.text, filterable=_filterable(field))
    found.update({name: bound for name, bound in _bounds(field).items() if name != "max_length"})
    if field.choices is not None:
        found["choices"] = _with_none(field, field.choices.pairs)
    return found


def _filterable(field: Field) -> bool:
    return not field.hidden and field.name not in NOT_FILTERABLE


def _writable(resource: Resource, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"type": _type(field), "required": field.required}
    found["label"] = _label(field)
    if field.help.text:
        found["help_text"] = field.help.text
    if field.name == "name":
        found["help_text"] = field.help.text or f"Name of this {resource.verbose.lower()}."
    if not field.required and field.default is not None:
        found["default"] = field.default
    found.update(_bounds(field))
    if field.choices is not None:
        found["choices"] = _choices(resource, field)
    found["filterable"] = _filterable(field)
    found["hidden"] = False
    if field.hidden or field.secret is not None:
        found["write_only"] = True
    return found


def _bounds(field: Field) -> dict[str, Any]:
    meta = field.meta
    found: dict[str, Any] = {}
    if meta is not None and meta.max_length is not None and field.base == "str":
        found["max_length"] = meta.max_length
    if field.base == "int" and field.choices is None and not field.read_only:
        low = meta.ge if meta is not None and meta.ge is not None else -INT_MAX - 1
        high = meta.le if meta is not None and meta.le is not None else INT_MAX
        found = {"min_value": low, "max_value": high}
    return found


def _choices(resource: Resource, field: Field) -> list[list[Any]]:
    if field.choices is None:
        return []
    pairs = POST_CHOICES.get((resource.kind, field.name), field.choices.pairs)
    return _with_none(field, pairs)


def _with_none(field: Field, pairs: Sequence[tuple[Any, str]]) -> list[list[Any]]:
    """Return choices as pairs, with the one that means none where a field may be left out."""
    values = {pair[0] for pair in pairs}
    found = [list(pair) for pair in pairs]
    if not field.required and field.default not in values:
        found.insert(0, [field.default, "---------"])
    return found


def kind_named(plural: str) -> str:
    """Return the declared kind whose list has this path segment; raises KeyError."""
    for kind, resource in RESOURCES.items():
        if resource.plural == plural:
            return kind
    raise KeyError(plural)
