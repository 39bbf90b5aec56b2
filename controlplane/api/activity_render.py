"""Entries of the activity stream as AWX shows them (``api.md`` 3.42), a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from controlplane.api import links, render
from controlplane.api.tables import table_of
from controlplane.shell.read_model import Row, View
from schemas.resource import RESOURCES

SETTING = "setting"
JOB_SUMMARY = ("id", "name", "description", "status", "failed")
LINKED = {"o_auth2_access_token": "token"}
"""AWX's names of types to the kinds whose pages they have."""

Summaries = dict[tuple[str, int], dict[str, Any]]


async def page(view: View, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return entries as shown, with the names of what they are about in a query per kind."""
    changes = [msgspec.json.decode(row["changes"]) for row in rows]
    wanted: dict[str, set[int]] = {}
    for row, changed in zip(rows, changes, strict=True):
        for kind, number in (*_objects(row), *_references(row["object1"], changed)):
            wanted.setdefault(kind, set()).add(number)
        if row["actor"] is not None:
            wanted.setdefault("user", set()).add(row["actor"])
    names: Summaries = {}
    for kind, ids in wanted.items():
        names |= await _summaries(view, kind, sorted(ids))
    return [_entry(row, changed, names) for row, changed in zip(rows, changes, strict=True)]


def _type(kind: str) -> str:
    """Return AWX's name of a kind's type."""
    return RESOURCES[kind].type_name if kind in RESOURCES else kind


def _objects(row: Row) -> Iterator[tuple[str, int]]:
    yield row["object1"], row["object1_id"]
    if row["object2"]:
        yield row["object2"], row["object2_id"]


def _references(kind: str, changes: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield what the changed references of an object point at."""
    if kind not in RESOURCES:
        return
    for name, value in changes.items():
        field = RESOURCES[kind].fields.get(name)
        if field is not None and field.ref is not None:
            for each in value if isinstance(value, list) else (value,):
                if isinstance(each, int):
                    yield field.ref.kind, each


async def _summaries(view: View, kind: str, ids: Sequence[int]) -> Summaries:
    if kind in RESOURCES:
        return dict(await render.summarise(view, kind, ids))
    if kind not in ("job", "project_update"):
        return {}
    source = table_of(kind).source
    rows = await view.fetch(f'select t.* from {source} t where t."id" = any($1)', list(ids))  # noqa: S608 - a registered table
    return {(kind, row["id"]): {name: row[name] for name in JOB_SUMMARY} for row in rows}


def _entry(row: Row, changes: dict[str, Any], names: Summaries) -> dict[str, Any]:
    return {
        "id": row["id"],
        "type": "activity_stream",
        "url": f"{links.ROOT}activity_stream/{row['id']}/",
        "related": _related(row, names),
        "summary_fields": _summary(row, names),
        "timestamp": row["timestamp"],
        "operation": row["operation"],
        "changes": _named(row["object1"], changes, names),
        "object1": _type(row["object1"]),
        "object2": _type(row["object2"]),
        "object_association": row["object_association"],
        "action_node": "",
        "object_type": _type(row["object1"]) if row["object_association"] == "role" else "",
    }


def _related(row: Row, names: Summaries) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if ("user", row["actor"]) in names:
        found["actor"] = links.url_of("user", row["actor"])
    for kind, number in _objects(row):
        if kind == SETTING:
            found[kind] = f"{links.ROOT}settings/all/"
        elif (kind, number) in names:
            found.setdefault(_type(kind), []).append(links.url_of(kind, number))
        elif kind in LINKED:
            plural = links.plural_of(LINKED[kind])
            found.setdefault(kind, []).append(f"{links.ROOT}{plural}/{number}/")
    return found


def _summary(row: Row, names: Summaries) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if row["actor"] is not None:
        gone = {"id": row["actor"], "username": row["actor_name"]}
        found["actor"] = names.get(("user", row["actor"]), gone)
    for kind, number in _objects(row):
        if (kind, number) in names:
            found.setdefault(_type(kind), []).append(names[kind, number])
    return found


def _named(kind: str, changes: dict[str, Any], names: Summaries) -> dict[str, Any]:
    """Return changes with references as AWX writes them: ``Name-id``."""
    if kind not in RESOURCES:
        return changes
    found = dict(changes)
    for name, value in changes.items():
        field = RESOURCES[kind].fields.get(name)
        if field is not None and field.ref is not None:
            of = field.ref.kind
            found[name] = (
                [_label(of, each, names) for each in value]
                if isinstance(value, list)
                else _label(of, value, names)
            )
    return found


def _label(kind: str, number: Any, names: Summaries) -> Any:
    if not isinstance(number, int):
        return number
    known = names.get((kind, number), {})
    name = known.get("name", known.get("username", ""))
    return f"{name}-{number}"
