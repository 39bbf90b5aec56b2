"""Commands about declared resources, prepared for the writer of CONFIG.

Facts are loaded as the decider asks for them, one query for each kind of lookup and round, so a
bulk of ten thousand hosts needs as many queries as one host.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import argon2
import msgspec

from controlplane.domain import resource as decider
from controlplane.domain.errors import Unavailable
from controlplane.domain.facts import (
    ActiveJobs,
    Content,
    Facts,
    Find,
    Hashed,
    Held,
    Holders,
    Lacking,
    Linked,
    Lookup,
    Object,
    SettingValue,
    Targets,
    Unsealed,
    plain,
)
from controlplane.domain.resource import Command, Create, Decision, Update
from controlplane.shell.catch_up import CatchUp
from controlplane.shell.config_writer import BEHIND, ConfigView, Prepare, Prepared
from controlplane.shell.event_store import EventStore
from controlplane.shell.read_model import QUERIES
from controlplane.shell.vault import Vault
from ops import clock, ids
from schemas import subjects
from schemas.events.resource import ResourceCreated, ResourceUpdated
from schemas.registry import Event
from schemas.resource import RESOURCES
from schemas.streams import JOBS

ROUNDS_MAX = 500
"""Rounds of lookups that one command may take: a chain of groups takes one for each level."""
JOBS_WITHIN_S = 5.0
ENCRYPTED = "$encrypted$"
_hasher = argon2.PasswordHasher()


class CommandTools(Protocol):
    """What preparing a command works with."""

    @property
    def vault(self) -> Vault:
        """Seals secrets."""
        ...

    @property
    def catch_up(self) -> CatchUp:
        """Waits for JOBS before a deletion looks at active jobs."""
        ...

    @property
    def store(self) -> EventStore:
        """Knows where JOBS ends."""
        ...


def prepare_for(command: Command, tools: CommandTools) -> Prepare:
    """Return the command as the writer takes it; bodies are read and passwords hashed once."""
    plan: decider.Plan | None = None

    async def prepare(view: ConfigView) -> Prepared:
        nonlocal plan
        if plan is None:
            plan = decider.read(await _with_hashes(command))
        decision = await settle(functools.partial(decider.decide, plan), view, tools)
        events = [await _sealed(event, tools.vault) for event in decision.events]
        return Prepared(
            subject=subjects.config(*(decision.home or (decision.kind, decision.id))),
            events=tuple(events),
            reads=decision.reads,
            writes=decision.writes,
            result=decision.made,
        )

    return prepare


async def hash_password(password: str) -> str:
    """Return the Argon2 hash of a password, made outside the event loop."""
    return await asyncio.to_thread(_hasher.hash, password)


async def _with_hashes(command: Command) -> Command:
    """Replace a new password in a user's body by its hash."""
    match command:
        case Create(kind="user", values=body):
            return msgspec.structs.replace(command, values=await _hashed(body))
        case Update(kind="user", changes=body):
            return msgspec.structs.replace(command, changes=await _hashed(body))
        case _:
            return command


async def _hashed(body: Mapping[str, Any]) -> Mapping[str, Any]:
    given = body.get("password")
    password = str(given) if isinstance(given, str | int | float) else ""
    if isinstance(given, bool) or password in ("", ENCRYPTED) or not plain(password):
        return body
    return {**body, "password": Hashed(await hash_password(password))}


async def settle(
    decide: Callable[[Facts], Decision | Lacking], view: ConfigView, tools: CommandTools
) -> Decision:
    """Decide again and again, with what was lacking loaded, until nothing is; raises Rejected."""
    facts = Facts(now=clock.now(), random=ids.random_bytes(32).hex())
    for _ in range(ROUNDS_MAX):
        decided = decide(facts)
        if isinstance(decided, Decision):
            return decided
        facts.learn(await _load(decided, view, tools))
    raise Unavailable("The command needs too many lookups.")


async def _load(lacking: Lacking, view: ConfigView, tools: CommandTools) -> dict[Lookup, Any]:
    """Answer lookups, grouped so that each kind of them is one query."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for lookup in lacking.lookups:
        groups[_group_of(lookup)].append(lookup)
    answers: dict[Lookup, Any] = {}
    for lookups in groups.values():
        answers |= await _load_group(lookups, view, tools)
    return answers


def _group_of(lookup: Lookup) -> tuple[Any, ...]:
    match lookup:
        case Object(kind=kind):
            return (Object, kind)
        case Find(kind=kind, fields=fields):
            return (Find, kind, fields)
        case Targets(kind=kind, relation=relation) | Holders(kind=kind, relation=relation):
            return (type(lookup), kind, relation)
        case Linked(kind=kind, relation=relation):
            return (Linked, kind, relation)
        case ActiveJobs() | Content() | SettingValue() | Held():
            return (type(lookup),)


async def _load_group(
    lookups: Sequence[Any], view: ConfigView, tools: CommandTools
) -> dict[Lookup, Any]:
    match lookups[0]:
        case Object():
            return await _objects(lookups, view)
        case Find():
            return await _finds(lookups, view)
        case Targets():
            return await _links(lookups, view, "id", "target")
        case Holders():
            return await _links(lookups, view, "target", "id")
        case Linked():
            return await _linked(lookups, view)
        case ActiveJobs():
            return await _active_jobs(lookups, view, tools)
        case SettingValue():
            return await _settings(lookups, view)
        case Held():
            return await _held(lookups, view)
        case _:
            return await _content(lookups, view)


async def _objects(lookups: Sequence[Object], view: ConfigView) -> dict[Lookup, Any]:
    kind = lookups[0].kind
    rows = await view.connection.fetch(
        f'select * from "{kind}" where id = any($1::bigint[])',  # noqa: S608 - a declared kind
        [each.id for each in lookups],
    )
    found = {row["id"]: _row(kind, row) for row in rows}
    return {each: found.get(each.id) for each in lookups}


def _row(kind: str, row: Any) -> dict[str, Any]:
    """Return a row's fields as the decider knows them: JSON values decoded."""
    values = dict(row)
    if kind in RESOURCES:
        for field in RESOURCES[kind].fields.values():
            if field.json is not None and field.json.form == "object":
                raw = values.get(field.name)
                if isinstance(raw, str):
                    values[field.name] = msgspec.json.decode(raw)
    return values


async def _finds(lookups: Sequence[Find], view: ConfigView) -> dict[Lookup, Any]:
    kind, fields = lookups[0].kind, lookups[0].fields
    columns = [f"column{index} {_sql_type(kind, name)}" for index, name in enumerate(fields)]
    arrays = ", ".join(
        f"${index + 1}::{_sql_type(kind, name)}[]" for index, name in enumerate(fields)
    )
    names = ", ".join(column.split()[0] for column in columns)
    same = " and ".join(
        f't."{name}" is not distinct from w.column{index}' for index, name in enumerate(fields)
    )
    rows = await view.connection.fetch(
        f"select w.place, t.id from unnest({arrays}) with ordinality as w ({names}, place)"  # noqa: S608 - names from declarations
        f' join "{kind}" t on {same} order by t.id',
        *([each.values[index] for each in lookups] for index in range(len(fields))),
    )
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[row["place"]].append(row["id"])
    return {each: tuple(found[place]) for place, each in enumerate(lookups, 1)}


def _sql_type(kind: str, field: str) -> str:
    if kind not in RESOURCES:
        return "text"  # an instance, known by its hostname
    base = RESOURCES[kind].fields[field].base
    return {"id": "bigint", "int": "bigint", "bool": "boolean", "float": "float8"}.get(base, "text")


async def _links(
    lookups: Sequence[Any], view: ConfigView, near: str, far: str
) -> dict[Lookup, Any]:
    table = f"{lookups[0].kind}_{lookups[0].relation}"
    ids = [each.id if near == "id" else each.target for each in lookups]
    rows = await view.connection.fetch(
        f'select "{near}" as near, "{far}" as far from "{table}"'  # noqa: S608 - a declared relation
        f' where "{near}" = any($1::bigint[]) order by position, "{far}"',
        ids,
    )
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[row["near"]].append(row["far"])
    return {each: tuple(found[number]) for each, number in zip(lookups, ids, strict=True)}


async def _linked(lookups: Sequence[Linked], view: ConfigView) -> dict[Lookup, Any]:
    table = f"{lookups[0].kind}_{lookups[0].relation}"
    rows = await view.connection.fetch(
        f'select l.id, l.target from "{table}" l'  # noqa: S608 - a declared relation
        " join unnest($1::bigint[], $2::bigint[]) as w (id, target)"
        " on l.id = w.id and l.target = w.target",
        [each.id for each in lookups],
        [each.target for each in lookups],
    )
    held = {(row["id"], row["target"]) for row in rows}
    return {each: (each.id, each.target) in held for each in lookups}


async def _active_jobs(
    lookups: Sequence[ActiveJobs], view: ConfigView, tools: CommandTools
) -> dict[Lookup, Any]:
    """Look at active jobs behind everything that JOBS holds now.

    The snapshot of CONFIG is older than JOBS may be, so these are read past it.
    """
    end = await tools.store.last_sequence(JOBS.name)
    if not await tools.catch_up.wait("jobs", end, JOBS_WITHIN_S):
        raise Unavailable(BEHIND)
    del view
    answers: dict[Lookup, Any] = {}
    for each in lookups:
        rows = await tools.catch_up.fetch(QUERIES["active_job_dependents"], each.key)
        answers[each] = tuple((row["id"], row["kind"]) for row in rows)
    return answers


async def _settings(lookups: Sequence[SettingValue], view: ConfigView) -> dict[Lookup, Any]:
    rows = await view.connection.fetch(
        "select name, value from setting where name = any($1::text[])",
        [each.name for each in lookups],
    )
    found = {row["name"]: msgspec.json.decode(row["value"]) for row in rows}
    return {each: found.get(each.name) for each in lookups}


async def _content(lookups: Sequence[Content], view: ConfigView) -> dict[Lookup, Any]:
    rows = await view.connection.fetch(
        "select project, playbooks from project_content where project = any($1::bigint[])",
        [each.project for each in lookups],
    )
    found = {row["project"]: tuple(msgspec.json.decode(row["playbooks"])) for row in rows}
    return {each: found.get(each.project) for each in lookups}


async def _held(lookups: Sequence[Held], view: ConfigView) -> dict[Lookup, Any]:
    rows = await view.connection.fetch(QUERIES["grants_of_users"], [each.user for each in lookups])
    found: dict[int, set[tuple[str, int, str]]] = defaultdict(set)
    for row in rows:
        found[row["user_id"]].add((row["kind"], row["object_id"], row["role"]))
    return {each: frozenset(found[each.user]) for each in lookups}


async def _sealed(event: Event, vault: Vault) -> Event:
    match event:
        case ResourceCreated(values=values):
            sealed = await _seal_values(event.kind, event.id, values, vault)
            return msgspec.structs.replace(event, values=sealed)
        case ResourceUpdated(changes=changes):
            sealed = await _seal_values(event.kind, event.id, changes, vault)
            return msgspec.structs.replace(event, changes=sealed)
        case _:
            return event


async def _seal_values(
    kind: str, number: int, values: Mapping[str, Any], vault: Vault
) -> dict[str, Any]:
    return {name: await _seal(kind, number, value, vault) for name, value in values.items()}


async def _seal(kind: str, number: int, value: Any, vault: Vault) -> Any:
    """Seal the secrets in a value, however deep they stand."""
    if isinstance(value, Unsealed):
        return await vault.seal(kind, number, value.text)
    if isinstance(value, dict):
        return {name: await _seal(kind, number, each, vault) for name, each in value.items()}
    if isinstance(value, list):
        return [await _seal(kind, number, each, vault) for each in value]
    return value
