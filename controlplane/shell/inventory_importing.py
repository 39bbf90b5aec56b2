"""An imported inventory becomes events, some hosts in a transaction, so that nobody waits for it.

Each transaction is decided on the tables as they stand then. Nothing is remembered between them: an
import that was cut off is done again from its start, and what is there already makes no event.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from controlplane.domain import inventory_diff as diff
from controlplane.domain.errors import NotFound
from controlplane.domain.facts import Find, Object
from controlplane.domain.imported import Host, Imported, Rules
from controlplane.domain.inventory_diff import GroupRow, HostRow, Place, Standing
from controlplane.shell.config_writer import Appended, ConfigView, Prepare, Prepared
from controlplane.shell.numbers import Numbers
from controlplane.shell.read_model import QUERIES
from ops import signals
from schemas import subjects
from schemas.envelope import Context
from schemas.events.resource import ResourceDeleted
from schemas.registry import Event
from schemas.resource import RESOURCES

HOSTS_AT_ONCE = 250
GROUPS_AT_ONCE = 100
LINKS_AT_ONCE = 1000

Submit = Callable[[Prepare, Context], Awaitable[Appended]]


class Import(Struct, frozen=True, kw_only=True):
    """One import and what it works with."""

    place: Place
    imported: Imported
    rules: Rules
    submit: Submit
    numbers: Numbers
    context: Callable[[], Context]
    """Makes the context of a next transaction; raises what ends the import."""


class _Found(Struct, frozen=True, kw_only=True):
    """What a step looked at, and what comes of it."""

    events: Sequence[Event]
    reads: frozenset[str] = frozenset()
    result: Any = None


Step = Callable[[Any, Any], Awaitable[_Found]]


async def run(job: Import) -> int:
    """Bring the inventory to what was imported; returns the CONFIG position behind it.

    Raises NotFound when inventory or source are gone, Unavailable as the writer does.
    """
    reached, standing, groups = await _standing(job)
    matching = diff.match(job.imported, standing, job.rules)
    for some in _slices(matching.gone, HOSTS_AT_ONCE):
        reached = (await _do(job, functools.partial(_delete_hosts, job, some))).position
    gone = diff.gone_groups(job.imported, groups, job.rules)
    for some in _slices(gone, GROUPS_AT_ONCE):
        reached = (await _do(job, functools.partial(_delete_groups, job, some))).position
    reached = (await _do(job, functools.partial(_variables, job))).position
    for names in _slices(sorted(job.imported.groups), GROUPS_AT_ONCE):
        reached = (await _do(job, functools.partial(_groups, job, names))).position
    while (done := await _do(job, functools.partial(_children, job))).result:
        reached = done.position
    joined = _joined(job.imported)
    for hosts in _slices(sorted(job.imported.hosts), HOSTS_AT_ONCE):
        step = functools.partial(_hosts, job, hosts, matching.known, joined)
        reached = (await _do(job, step)).position
    return reached


async def _standing(job: Import) -> tuple[int, list[Standing], list[GroupRow]]:
    async def look(connection: Any, _target: Any) -> _Found:
        place = job.place.inventory, job.place.source
        hosts = await connection.fetch(QUERIES["import_standing"], *place)
        groups = await connection.fetch(QUERIES["import_groups"], *place, None)
        found = [Standing(**each) for each in hosts], [_group(each) for each in groups]
        return _Found(events=(), result=found)

    done = await _do(job, look)
    return (done.position, *done.result)


async def _do(job: Import, step: Step) -> Appended:
    """Append what a step decides on the newest tables."""

    async def prepare(view: ConfigView) -> Prepared:
        place = job.place
        target = await view.connection.fetchrow(
            QUERIES["import_target"], place.inventory, place.source
        )
        if target is None:
            raise NotFound("Inventory Source")
        found = await step(view.connection, target)
        hangs_on = {
            Object("organization", target["organization"]).key,
            Object("inventory", place.inventory).key,
            Object("inventory_source", place.source).key,
        }
        return Prepared(
            subject=subjects.config("inventory_source", place.source),
            events=tuple(found.events),
            reads=found.reads | hangs_on,
            writes=diff.written(place, found.events),
            result=found.result,
        )

    done = await job.submit(prepare, job.context())
    if done.events:
        signals.reach(signals.Point.IMPORT_BETWEEN_APPENDS)
    return done


async def _delete_hosts(job: Import, some: Sequence[int], connection: Any, _target: Any) -> _Found:
    place = job.place
    rows = await connection.fetch(
        QUERIES["import_gone_hosts"], place.inventory, place.source, list(some)
    )
    return _Found(
        events=[ResourceDeleted(kind="host", id=row["id"], was=_told("host", row)) for row in rows]
    )


async def _delete_groups(job: Import, some: Sequence[int], connection: Any, _target: Any) -> _Found:
    place = job.place
    rows = await connection.fetch(
        QUERIES["import_gone_groups"], place.inventory, place.source, list(some)
    )
    events: list[Event] = []
    for row in rows:
        events += diff.deleted_group(row["id"], _told("group", row), row["children"], row["hosts"])
    return _Found(events=events)


async def _variables(job: Import, _connection: Any, target: Any) -> _Found:
    return _Found(events=diff.inventory_events(job.place, target["variables"], job.imported))


async def _groups(job: Import, names: Sequence[str], connection: Any, _target: Any) -> _Found:
    place = job.place
    rows = await connection.fetch(
        QUERIES["import_groups"], place.inventory, place.source, list(names)
    )
    known = {row["name"]: _group(row) for row in rows}
    new = [name for name in names if name not in known]
    numbers = await _numbers(job, "group", new)
    events: list[Event] = []
    for name in names:
        group = job.imported.groups[name]
        events += diff.group_events(place, group, known.get(name), numbers.get(name, 0), job.rules)
    return _Found(events=events, reads=_read("group", known.values(), new, place.inventory))


async def _children(job: Import, connection: Any, _target: Any) -> _Found:
    """Link groups, so many at a time; the result tells whether there was anything to do."""
    rows = await connection.fetch(
        QUERIES["import_groups"], job.place.inventory, job.place.source, None
    )
    known = {row["name"]: _group(row) for row in rows}
    events = diff.children_events(job.imported, known, job.rules)
    return _Found(events=events[:LINKS_AT_ONCE], result=bool(events))


async def _hosts(
    job: Import,
    names: Sequence[str],
    matched: Mapping[str, int],
    joined: Mapping[str, set[str]],
    connection: Any,
    _target: Any,
) -> _Found:
    place = job.place
    ids = [matched[name] for name in names if name in matched]
    rows = await connection.fetch(
        QUERIES["import_hosts"], place.inventory, place.source, ids, list(names)
    )
    by_id = {row["id"]: _host(row) for row in rows}
    by_name = {row.name: row for row in by_id.values()}
    taken = set(matched.values())
    known: dict[str, HostRow] = {}
    for name in names:
        row = by_id.get(matched[name]) if name in matched else by_name.get(name)
        if row is not None and (name in matched or row.id not in taken):
            known[name] = row
    new = [name for name in names if name not in known]
    numbers = await _numbers(job, "host", new)
    groups = await connection.fetch(QUERIES["import_group_ids"], place.inventory, place.source)
    named = {row["name"]: row["id"] for row in groups}
    ours = [row["id"] for row in groups if row["owned"]]
    events: list[Event] = []
    links: list[Event] = []
    for name in names:
        host: Host = job.imported.hosts[name]
        row = known.get(name)
        events += diff.host_events(place, host, row, numbers.get(name, 0), job.rules)
        fresh = HostRow(
            id=numbers.get(name, 0), name=name, variables="", enabled=True, instance_id=""
        )
        wanted = [named[each] for each in joined.get(name, ()) if each in named]
        links += diff.membership_events(row or fresh, wanted, ours, job.rules)
    return _Found(
        events=[*events, *links], reads=_read("host", known.values(), new, place.inventory)
    )


async def _numbers(job: Import, kind: str, new: Sequence[str]) -> dict[str, int]:
    if not new:
        return {}
    return dict(zip(new, await job.numbers.take(kind, len(new)), strict=True))


def _joined(imported: Imported) -> dict[str, set[str]]:
    """Return the groups of each host by name."""
    found: dict[str, set[str]] = {}
    for group in imported.groups.values():
        for host in group.hosts:
            found.setdefault(host, set()).add(group.name)
    return found


def _read(kind: str, rows: Any, new: Sequence[str], inventory: int) -> frozenset[str]:
    """Return the keys of what was looked at: the objects there, the names of those that are not."""
    names = {Find(kind, ("name", "inventory"), (name, inventory)).key for name in new}
    return frozenset({Object(kind, row.id).key for row in rows} | names)


def _host(row: Any) -> HostRow:
    return HostRow(**{**row, "groups": frozenset(row["groups"])})


def _group(row: Any) -> GroupRow:
    return GroupRow(**{**row, "children": frozenset(row["children"])})


def _told(kind: str, row: Any) -> dict[str, Any]:
    return {name: row[name] for name in RESOURCES[kind].fields}


def _slices(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
