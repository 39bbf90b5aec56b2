"""Role definitions held by users and teams, as rows (``api.md`` 3.6, 3.7).

That somebody is a system auditor is a field of the user; it is listed here as well, by an id that
no assignment has: those are even.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api import render, role_table, visibility
from controlplane.api.links import ROOT, url_of
from controlplane.api.tables import Column, Table, column, forward, register
from controlplane.api.where import AllOf, Among, AnyOf, Sql, Where
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from schemas.permissions import MODELS
from schemas.resource import RESOURCES
from schemas.role_definitions import AUDITOR_ID

ACTORS = ("user", "team")


def kind_of(actor: str) -> str:
    """Return what an assignment to a ``user`` or a ``team`` is called."""
    return f"role_{actor}_assignment"


def verbose(actor: str) -> str:
    """Return what messages call an assignment."""
    return f"Role{actor.title()}Assignment"


def _source(actor: str) -> str:
    rows = (
        f'select a."id", a."{actor}_id" as "{actor}", a."definition" as "role_definition",'  # noqa: S608 - constants
        ' a."kind", a."object_id", a."created", a."created_by" from "role_assignment" a'
        f' where a."{actor}_id" > 0'
    )
    if actor == "user":
        rows += (
            f' union all select 2 * u."id" + 1, u."id", {AUDITOR_ID}, \'\', null, u."modified",'  # noqa: S608 - constants
            ' u."modified_by" from "user" u where u."is_system_auditor"'
        )
    return f"({rows})"


_TYPES = " ".join(f"when '{kind}' then '{m.content_type}'" for kind, m in MODELS.items())


def _table(actor: str) -> Table:
    plain = {name: column(name, "id") for name in (actor, "role_definition", "created_by")}
    texts = {
        "object_id": '{t}."object_id"::text',
        "content_type": f'case {{t}}."kind" {_TYPES} end',
        "content_type__model": "replace({t}.\"kind\", '_', '')",
    }
    return Table(
        kind=kind_of(actor),
        source=_source(actor),
        verbose=verbose(actor),
        columns={
            "id": column("id", "int"),
            "created": column("created", "time"),
            **plain,
            **{name: Column(name=name, base="str", sql=sql) for name, sql in texts.items()},
        },
        relations={
            actor: forward(actor, actor),
            "role_definition": forward("role_definition", "role_definition"),
            "created_by": forward("created_by", "user"),
        },
        order=("id",),
        search=(),
    )


for _actor in ACTORS:
    register(_table(_actor))


def visible(who: Principal, actor: str) -> Where:
    """Return the condition that the caller may see who holds it, and on what.

    What concerns the whole system is seen by whoever sees everything, and by who holds it.
    """
    if who.superuser or who.auditor:
        return AllOf(parts=())
    seen = visibility.visible(who, actor)
    holder = Among(column=f'{{t}}."{actor}"', kind=actor, where=seen)
    places = AnyOf(parts=tuple(_on(who, kind) for kind in MODELS if kind in RESOURCES))
    parts: tuple[Where, ...] = (AllOf(parts=(holder, places)),)
    if actor == "user":
        parts = (*parts, Sql(text='{t}."user" = {0}', values=(who.id,)))
    return AnyOf(parts=parts)


def _on(who: Principal, kind: str) -> Where:
    return role_table.visible_on(who, kind)


async def page(view: View, actor: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return assignments as shown; names are looked up in one query for each kind."""
    wanted: dict[str, set[int]] = {"user": set(), "role_definition": set()}
    for row in rows:
        wanted.setdefault(actor, set()).add(row[actor])
        wanted["role_definition"].add(row["role_definition"])
        wanted["user"].update(number for number in (row["created_by"],) if number is not None)
        if row["kind"] in RESOURCES:
            wanted.setdefault(row["kind"], set()).add(row["object_id"])
    names: dict[tuple[str, int], dict[str, Any]] = {}
    for kind, ids in wanted.items():
        names |= await render.summarise(view, kind, sorted(ids)) if ids else {}
    return [_shown(actor, row, names) for row in rows]


def _shown(actor: str, row: Row, names: dict[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    ends = {
        "created_by": ("user", row["created_by"]),
        "role_definition": ("role_definition", row["role_definition"]),
        actor: (actor, row[actor]),
        "content_object": (row["kind"], row["object_id"]),
    }
    known = {name: end for name, end in ends.items() if end in names}
    model = MODELS.get(row["kind"])
    return {
        "id": row["id"],
        "url": f"{ROOT}{kind_of(actor)}s/{row['id']}/",
        "related": {name: url_of(*end) for name, end in known.items()},
        "summary_fields": {name: names[end] for name, end in known.items()},
        "created": row["created"],
        "created_by": row["created_by"],
        "content_type": None if model is None else model.content_type,
        "object_id": None if row["object_id"] is None else str(row["object_id"]),
        "object_ansible_id": None,
        "role_definition": row["role_definition"],
        actor: row[actor],
        f"{actor}_ansible_id": None,
    }
