"""What lists can be filtered, ordered and searched by: columns and relations of the tables read.

Tables of declared resources follow from declarations; hand-written routes ``register`` theirs.
SQL fragments here come from declarations only, never from a request.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

import schemas.resources  # noqa: F401 - declares every kind
from schemas.resource import RESOURCES, Field, Related, Resource, members


class Column(Struct, frozen=True, kw_only=True):
    """One value a list can be filtered by; ``sql`` is its expression, ``{t}`` being the table."""

    name: str
    base: str
    """``str``, ``int``, ``bool``, ``float``, ``json``, ``time`` or ``id``."""
    sql: str
    secret: bool = False


class Relation(Struct, frozen=True, kw_only=True):
    """A way from one table to another: ``on`` is true for a ``{far}`` row related to ``{near}``."""

    name: str
    table: str
    on: str
    many: bool


class Table(Struct, frozen=True, kw_only=True):
    """One table as filters see it."""

    kind: str
    source: str
    """What stands after ``from``."""
    verbose: str
    """The name in messages: ``JobTemplate``."""
    columns: dict[str, Column]
    relations: dict[str, Relation]
    order: tuple[str, ...]
    search: tuple[str, ...]
    roles: tuple[str, ...] = ()
    polymorphic: bool = False
    """True where ``type`` tells rows of several kinds apart and picks some of them."""
    wide: bool = False
    """True where rows are large and many: a page is found by ids alone, then its rows are read.

    Nothing is asked of them beyond their list, so they carry no facts for the access rules.
    """


_LAST_LOGIN = (
    '(select a."timestamp" from "access" a where a."object1" = \'login\''
    ' and a."object1_id" = {t}."id" and a."changes"::jsonb ->> \'accepted\' = \'true\''
    " and a.\"changes\"::jsonb ->> 'way' not in ('basic', 'token', 'password_grant',"
    " 'authorization_code', 'refresh_token') order by a.\"id\" desc limit 1)"
)
"""When a user last opened a session, by whatever proof; the access log tells."""
_STATUS = {
    "status": ("str", "template_status", "template", "status"),
    "last_job_run": ("time", "template_status", "template", "last_job_run"),
    "last_job_failed": ("bool", "template_status", "template", "last_job_failed"),
    "last_job": ("id", "template_status", "template", "last_job"),
    "current_job": ("id", "template_status", "template", "current_job"),
}
LOOKED_UP: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "job_template": _STATUS,
    "system_job_template": _STATUS,
    "workflow_job_template": _STATUS,
    "workflow_approval_template": _STATUS,
    "project": {
        **_STATUS,
        "last_updated": _STATUS["last_job_run"],
        "last_update_failed": _STATUS["last_job_failed"],
        "scm_revision": ("str", "project_content", "project", "revision"),
    },
    "inventory_source": {
        **_STATUS,
        "last_updated": _STATUS["last_job_run"],
        "last_update_failed": _STATUS["last_job_failed"],
    },
    "host": {
        "last_job": ("id", "host_last_job", "host", "job"),
        "last_job_host_summary": ("id", "host_last_job", "host", "summary"),
    },
}
"""Kind to the columns that other projections keep: name to (base, table, key, column)."""

LATEST = {
    "host": {"last_job": "job", "last_job_host_summary": "job_host_summary"},
    "job_template": {"last_job": "job", "current_job": "job"},
    "project": {"last_job": "project_update", "current_job": "project_update"},
    "inventory_source": {"last_job": "inventory_update", "current_job": "inventory_update"},
}
"""Looked up columns that hold the id of another table's row."""
UNSEARCHED = frozenset(
    {
        *("artifacts", "client_secret", "extra_data", "extra_vars", "host_config_key", "job_args"),
        *("job_env", "notification_configuration", "pod_spec_override", "refresh_token"),
        *("start_args", "survey_passwords", "survey_spec", "token", "webhook_key"),
    }
)
"""Columns that hold what may be secret in part: filtering by them would tell it bit by bit."""
UNSEARCHED_OF = frozenset({("credential", "inputs")})
"""(kind, column) of those whose name means something else on another kind."""
REVERSED = {
    ("group", "children"): "parents",
    ("inventory", "input_inventories"): "destination_inventories",
    **{
        ("workflow_job_template_node", f"{outcome}_nodes"): f"workflowjobtemplatenodes_{outcome}"
        for outcome in ("success", "failure", "always")
    },
}
"""Links of a kind to itself, and what they are called from the other end."""

_OF_INVENTORY = '(select i."organization" from "inventory" i where i."id" = {t}."inventory")'
"""A source's organization is its inventory's, wherever that belongs by now."""

_tables: dict[str, Table] = {}


def register(table: Table) -> None:
    """Add a table that is not a declared resource's."""
    _tables[table.kind] = table


def table_of(kind: str) -> Table:
    """Return the table of a kind; raises KeyError for an unknown one."""
    if kind not in _tables:
        _tables[kind] = _declared(RESOURCES[kind]) if kind in RESOURCES else _family(kind)
    return _tables[kind]


def known(kind: str) -> bool:
    """Return whether the kind has a table."""
    return kind in _tables or kind in RESOURCES or members(kind) != (kind,)


def column(name: str, base: str, *, secret: bool = False) -> Column:
    """Return the plain column of that name."""
    hidden = secret or name in UNSEARCHED
    return Column(name=name, base=base, sql=f'{{t}}."{name}"', secret=hidden)


def forward(name: str, table: str, local: str = "") -> Relation:
    """Return the relation of a column that holds another row's id."""
    return Relation(
        name=name, table=table, on=f'{{far}}."id" = {{near}}."{local or name}"', many=False
    )


def backward(name: str, table: str, remote: str) -> Relation:
    """Return the relation to the rows of another table that hold this row's id."""
    return Relation(name=name, table=table, on=f'{{far}}."{remote}" = {{near}}."id"', many=True)


def related_condition(resource: Resource, related: Related) -> str:
    """Return the condition under which a ``{far}`` row stands in a sub-list of ``{near}``."""
    if related.through:
        return f'{{far}}."{related.through}" = {{near}}."id"'
    if related.field:
        held = f'select o."{related.field}" from "{resource.kind}" o where o."id" = {{near}}."id"'  # noqa: S608 - names from declarations
        return f'{{far}}."id" = ({held})'
    if related.inverse_of:
        return _linked(link_table(related.kind, related.inverse_of), "target", "id")
    return _linked(link_table(resource.kind, related.name), "id", "target")


def _linked(table: str, near: str, far: str) -> str:
    rows = f'select l."{far}" from "{table}" l where l."{near}" = {{near}}."id"'  # noqa: S608 - names from declarations
    return f'{{far}}."id" in ({rows})'


def link_table(kind: str, relation: str) -> str:
    """Return the table or view of a many-to-many relation: columns id, target, position."""
    return f"{kind}_{relation}"


def _declared(resource: Resource) -> Table:
    columns = {"id": column("id", "int"), "pk": Column(name="pk", base="int", sql='{t}."id"')}
    relations: dict[str, Relation] = {}
    if resource.has_created:
        for name in ("created", "modified"):
            columns[name] = column(name, "time")
        for name in ("created_by", "modified_by"):
            columns[name] = column(name, "id")
            relations[name] = forward(name, "user")
    for field in resource.fields.values():
        if field.hidden:
            continue
        columns[field.name] = _column(resource.kind, field)
        if field.ref is not None and known(field.ref.kind):
            relations[field.name] = forward(field.name, field.ref.kind)
    columns.update(_looked_up(resource.kind))
    relations = {**_reverse(resource), **relations, **_listed(resource)}
    for name, target in LATEST.get(resource.kind, {}).items():
        relations[name] = _calculated(columns[name], target)
    if resource.kind == "inventory_source":
        columns["organization"] = Column(name="organization", base="id", sql=_OF_INVENTORY)
        relations["organization"] = _calculated(columns["organization"], "organization")
    if resource.kind == "user":
        columns["last_login"] = Column(name="last_login", base="time", sql=_LAST_LOGIN)
        columns["date_joined"] = Column(name="date_joined", base="time", sql='{t}."created"')
    return Table(
        kind=resource.kind,
        source=f'"{resource.kind}"',
        verbose=resource.model,
        columns=columns,
        relations=relations,
        order=resource.order,
        search=resource.search,
        roles=resource.roles,
    )


def _calculated(column: Column, table: str) -> Relation:
    """Return the relation to the row of another table whose id an expression gives."""
    on = f'{{far}}."id" = {column.sql}'.replace("{t}", "{near}")
    return Relation(name=column.name, table=table, on=on, many=False)


def _listed(resource: Resource) -> dict[str, Relation]:
    """Return the relations to what stands in a kind's sub-lists."""
    return {
        related.name: Relation(
            name=related.name,
            table=related.kind,
            on=related_condition(resource, related),
            many=True,
        )
        for related in resource.related
        if known(related.kind)
    }


def _looked_up(kind: str) -> dict[str, Column]:
    """Return the columns that stand in the tables of another projection."""
    return {
        name: Column(
            name=name,
            base=base,
            sql=f'(select s."{column}" from "{source}" s where s."{key}" = {{t}}."id")',  # noqa: S608 - names from above
        )
        for name, (base, source, key, column) in LOOKED_UP.get(kind, {}).items()
    }


def _column(kind: str, field: Field) -> Column:
    sql = f'{{t}}."{field.name}"'
    if field.json is not None and field.json.form == "object":
        sql = f"{sql}::text"
    in_part = field.name in UNSEARCHED or (kind, field.name) in UNSEARCHED_OF
    secret = field.secret is not None or in_part
    return Column(name=field.name, base=field.base, sql=sql, secret=secret)


def _reverse(resource: Resource) -> dict[str, Relation]:
    """Return the relations of other kinds that point here, named by the other kind's plural."""
    found: dict[str, Relation] = {}
    for other in RESOURCES.values():
        for field in _pointing(other, resource.kind):
            for name in (other.plural, other.plural.replace("_", ""), other.kind):
                found.setdefault(name, backward(name, other.kind, field))
        for related in _linking(other, resource.kind):
            on = _linked(link_table(other.kind, related), "target", "id")
            for name in _names_of(other, related, resource):
                if name:
                    found.setdefault(name, Relation(name=name, table=other.kind, on=on, many=True))
    return found


def _names_of(other: Resource, related: str, resource: Resource) -> tuple[str, ...]:
    """Return what a kind calls the rows of another that are linked to it."""
    if other.kind == resource.kind:
        return (REVERSED.get((other.kind, related), ""),)
    return (other.plural, other.plural.replace("_", ""), other.kind)


def _linking(other: Resource, kind: str) -> Iterable[str]:
    """Return the link lists of a kind that hold rows of another."""
    return (
        each.name
        for each in other.related
        if each.kind == kind and not each.through and not each.inverse_of and not each.field
    )


def _pointing(other: Resource, kind: str) -> Iterable[str]:
    return (
        field.name
        for field in other.fields.values()
        if field.ref is not None and kind in members(field.ref.kind)
    )


def _family(name: str) -> Table:
    """Return the table of all kinds that share the ids called ``name``; raises KeyError."""
    kinds = members(name)
    tables = [table_of(each) for each in kinds if each in RESOURCES]
    if len(tables) < 2:  # noqa: PLR2004 - one kind is no family
        raise KeyError(name)
    texts = ("id", "created", "modified", "created_by", "modified_by", "name", "description")
    rows = " union all ".join(
        f"select {', '.join(f'u.{text}' for text in texts)}, {_shared(each)},"  # noqa: S608 - names from declarations
        f' \'{each}\' as "kind" from "{each}" u'
        for each in kinds
    )
    columns = {"id": column("id", "int"), "pk": Column(name="pk", base="int", sql='{t}."id"')}
    for text in ("created", "modified"):
        columns[text] = column(text, "time")
    for text in ("name", "description"):
        columns[text] = column(text, "str")
    columns["type"] = Column(name="type", base="str", sql='{t}."kind"')
    references = {"created_by": "user", "modified_by": "user", "organization": "organization"}
    relations = {text: forward(text, kind) for text, kind in references.items()}
    columns |= {text: column(text, "id") for text in references}
    for each in kinds:
        sql = f'case when {{t}}."kind" = \'{each}\' then {{t}}."id" end'
        columns[each] = Column(name=each, base="id", sql=sql)
        for text in dict.fromkeys((each, each.replace("_", ""))):
            relations[text] = forward(text, each, "id")
    columns |= _looked_up("job_template")
    return Table(
        kind=name,
        source=f"({rows})",
        verbose="".join(word.title() for word in name.split("_")),
        columns=columns,
        relations={**_pointers(name), **relations},
        order=("name",),
        search=("description", "name"),
        polymorphic=True,
    )


def _shared(kind: str) -> str:
    """Return the select-list entry of a kind's organization, null for kinds without one."""
    if "organization" in RESOURCES[kind].fields:
        return 'u."organization"'
    if kind == "inventory_source":
        return _OF_INVENTORY.replace("{t}", "u") + ' as "organization"'
    return 'null::bigint as "organization"'


def _pointers(name: str) -> dict[str, Relation]:
    """Return the relations of kinds that point at any of a family."""
    return {
        text: backward(text, other.kind, field.name)
        for other in RESOURCES.values()
        for field in other.fields.values()
        if field.ref is not None and field.ref.kind == name
        for text in (other.plural, other.plural.replace("_", ""))
    }
