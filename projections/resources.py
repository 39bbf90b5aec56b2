"""The projection ``config``: every declared resource, its links, grants, tokens and instances.

One mechanism for all kinds. Creations and links collect into rows per table, so that a message that
creates ten thousand hosts becomes a handful of statements; anything that reads or changes rows
comes after them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from projections import cascade, grants, host_metrics, instances, settings, tables
from projections.projection import Poison, RawMessage, Rows, Run, Statement
from schemas import roles
from schemas.envelope import Recorded
from schemas.events.access import (
    RoleAssigned,
    RoleGranted,
    RoleRevoked,
    RoleUnassigned,
    TokenCreated,
    TokenRevoked,
    TokenUpdated,
)
from schemas.events.activity import ACTIVITY_ID, ActivityHidden
from schemas.events.host_metric import HostMetricDeleted
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.registry import Event
from schemas.resource import RESOURCES

_HIDDEN_DDL = (
    (
        "CREATE TABLE activity_hidden (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
        " before timestamptz NOT NULL, position bigint NOT NULL)"
    ),
)
_HIDE = """
INSERT INTO activity_hidden AS h (before, position) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET before = greatest(h.before, $1), position = $2
"""
_DDL = (
    (
        "CREATE TABLE token (id bigint PRIMARY KEY, user_id bigint NOT NULL,"
        " description text NOT NULL, scope text NOT NULL, token_hash text NOT NULL,"
        " created timestamptz NOT NULL, modified timestamptz NOT NULL,"
        " expires timestamptz NOT NULL, application bigint, refresh_hash text NOT NULL,"
        " spent text[] NOT NULL, position bigint NOT NULL)"
    ),
    "CREATE INDEX ON token (application)",
    "CREATE INDEX ON token (refresh_hash) WHERE refresh_hash <> ''",
    "CREATE INDEX ON token USING gin (spent)",
    "CREATE INDEX ON token (token_hash)",
    "CREATE INDEX ON token (user_id)",
    (
        "CREATE TABLE object_position (kind text NOT NULL, id bigint NOT NULL,"
        " position bigint NOT NULL, PRIMARY KEY (kind, id, position))"
    ),
    "CREATE INDEX ON object_position (position)",
    cascade.DDL,
)

_ADD = """
INSERT INTO token (id, user_id, description, scope, token_hash, created, modified, expires,
    application, refresh_hash, spent, position)
SELECT $1::bigint, $2::bigint, $3::text, $4::text, $5::text, $6::timestamptz, $6, $7::timestamptz,
    $8::bigint, $9::text,
    CASE WHEN old.id IS NULL THEN '{}'::text[] ELSE old.spent || old.refresh_hash END
        || $10::text[], $12::bigint
FROM (SELECT 1) AS one LEFT JOIN token AS old ON old.id = $11::bigint
"""
"""What was used up on the way to a token stays with it: showing it again ends the token."""


class Config:
    """The projection of CONFIG; see the module."""

    name = "config"
    stream = "CONFIG"
    enveloped = True
    version = 3

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its tables, indexes and views."""
        grown = (
            *_DDL,
            *grants.DDL,
            *instances.DDL,
            *settings.DDL,
            *host_metrics.DELETION_DDL,
            *_HIDDEN_DDL,
        )
        return [*tables.ddl(), *grown, *tables.views()]

    def tables(self) -> Sequence[str]:
        """Return its table names, without the scratch table of deletions and the views."""
        own = ("role_assignment", "token", "instance", "object_position", "setting")
        return [*tables.names(), *own, "host_metric_deletion", "activity_hidden"]

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the statements for a batch of transactions in stream order."""
        batch = _Batch()
        for message in messages:
            if isinstance(message, RawMessage):
                raise Poison(message.sequence, "CONFIG holds transactions in envelopes")
            for _, events in itertools.groupby(message.events, _deleted_kind):
                batch.add_alike(message, list(events))
            batch.end_message()
        return batch.finish()


class _Batch:
    """Statements in the making; pending rows go out before anything that could read them."""

    def __init__(self) -> None:
        self._statements: list[Statement] = []
        self._rows: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {}
        self._grants = grants.Numbering()
        self._creators: list[grants.Creator] = []
        self._counts: Counter[tuple[str, int]] = Counter()
        self._touched: dict[tuple[str, int, int], None] = {}

    def add(self, message: Recorded, event: Event) -> None:
        """Take one event in."""
        match event:
            case ResourceCreated():
                self._created(message, event)
            case ResourceUpdated():
                self._updated(message, event)
            case ResourceLinked() | ResourceUnlinked():
                self._link(message, event)
            case RoleGranted() | RoleRevoked() | RoleAssigned() | RoleUnassigned():
                self._grant(message, event)
            case TokenCreated() | TokenUpdated() | TokenRevoked():
                self._token(message, event)
            case (
                InstanceRegistered()
                | InstanceAdjusted()
                | InstanceUnavailable()
                | InstanceAvailable()
            ):
                at = message.context.at
                self._run(*instances.statements(event, at, message.sequence))
                self._touch(message, "instance", event.id)
            case SettingsChanged():
                self._run(*settings.statements(event, message))
                self._touch(message, "setting", SETTINGS_ID)
            case HostMetricDeleted():
                self._run(host_metrics.deleted(event, message))
                self._touch(message, "host_metric", event.id)
            case ActivityHidden():
                self._run(Run(sql=_HIDE, args=(event.before, message.sequence)))
                self._touch(message, "activity", ACTIVITY_ID)
            case _:
                raise Poison(message.sequence, f"{type(event).__name__} is no event of CONFIG")

    def add_alike(self, message: Recorded, events: list[Event]) -> None:
        """Take events in that are all deletions of one kind, or none of them is one."""
        gone = [event for event in events if isinstance(event, ResourceDeleted)]
        if not gone:
            for event in events:
                self.add(message, event)
            return
        kind = gone[0].kind
        self._run(*cascade.delete(kind, [each.id for each in gone], message.sequence))
        for each in gone:
            self._touch(message, kind, each.id)

    def end_message(self) -> None:
        """Index the positions of the objects that the message concerned."""
        for row in self._touched:
            self._insert("object_position", ("kind", "id", "position"), row)
        self._touched.clear()

    def finish(self) -> list[Statement]:
        """Return everything, in order."""
        self._flush()
        return self._statements

    def _created(self, message: Recorded, event: ResourceCreated) -> None:
        resource = RESOURCES[event.kind]
        at, by = message.context.at, _user(message)
        fields = (
            tables.column_value(field, event.values.get(name, field.default))
            for name, field in resource.fields.items()
        )
        row = (event.id, at, at, by, by, message.sequence, *fields)
        self._insert(event.kind, tables.columns(resource), row)
        if by is not None and roles.administered(event.kind):
            number = self._grants.next(message.sequence)
            made = (number, by, event.kind, event.id, at, message.sequence)
            self._creators.append(made)
        if event.kind in cascade.COUNTED:
            self._counts[cascade.COUNTED[event.kind], event.values["inventory"]] += 1
        self._touch(message, event.kind, event.id)

    def _updated(self, message: Recorded, event: ResourceUpdated) -> None:
        resource = RESOURCES[event.kind]
        changes = {
            name: tables.column_value(resource.fields[name], value)
            for name, value in event.changes.items()
            if name in resource.fields
        }
        sets = [f"{tables.quoted(name)} = ${5 + index}" for index, name in enumerate(changes)]
        assigned = ", ".join(["modified = $2", "modified_by = $3", "position = $4", *sets])
        sql = f"UPDATE {tables.quoted(event.kind)} SET {assigned} WHERE id = $1"
        head = (event.id, message.context.at, _user(message), message.sequence)
        self._run(Run(sql=sql, args=(*head, *changes.values())))
        self._touch(message, event.kind, event.id)

    def _link(self, message: Recorded, event: ResourceLinked | ResourceUnlinked) -> None:
        table = f"{event.kind}_{event.relation}"
        if isinstance(event, ResourceLinked):
            row = (event.id, event.target, message.sequence)
            self._insert(table, ("id", "target", "position"), row)
        else:
            sql = f"DELETE FROM {tables.quoted(table)} WHERE id = $1 AND target = $2"
            self._run(Run(sql=sql, args=(event.id, event.target)))
        target = next(
            related.kind
            for related in RESOURCES[event.kind].related
            if related.name == event.relation
        )
        self._touch(message, event.kind, event.id)
        self._touch(message, target, event.target)

    def _grant(
        self, message: Recorded, event: RoleGranted | RoleRevoked | RoleAssigned | RoleUnassigned
    ) -> None:
        self._run(grants.statement(event, message, self._grants))
        self._touch(message, event.kind, event.object_id)
        if event.user:
            self._touch(message, "user", event.user)
        if isinstance(event, RoleAssigned | RoleUnassigned) and event.team:
            self._touch(message, "team", event.team)

    def _token(self, message: Recorded, event: TokenCreated | TokenUpdated | TokenRevoked) -> None:
        self._touch(message, "token", event.id)
        match event:
            case TokenCreated():
                self._run(*_token_created(event, message.sequence))
                self._touch(message, "user", event.user)
                if event.application is not None:
                    self._touch(message, "application", event.application)
            case TokenUpdated():
                sql = (
                    "UPDATE token SET description = $2, scope = $3, modified = $4, position = $5"
                    " WHERE id = $1"
                )
                at = message.context.at
                args = (event.id, event.description, event.scope, at, message.sequence)
                self._run(Run(sql=sql, args=args))
            case TokenRevoked():
                self._run(Run(sql="DELETE FROM token WHERE id = $1", args=(event.id,)))

    def _touch(self, message: Recorded, kind: str, object_id: int) -> None:
        self._touched[kind, object_id, message.sequence] = None

    def _insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        self._rows.setdefault(table, (columns, []))[1].append(row)

    def _run(self, *statements: Statement) -> None:
        self._flush()
        self._statements += statements

    def _flush(self) -> None:
        for table, (columns, rows) in self._rows.items():
            self._statements.append(Rows(table=table, columns=columns, rows=rows))
        self._rows = {}
        if self._creators:
            self._statements.append(grants.creators(self._creators))
            self._creators = []
        for (column, inventory), number in self._counts.items():
            sql = f"UPDATE inventory SET {column} = {column} + $2 WHERE id = $1"
            self._statements.append(Run(sql=sql, args=(inventory, number)))
        self._counts.clear()


def _token_created(event: TokenCreated, position: int) -> Iterable[Statement]:
    """Yield what stores a token; one that replaces another remembers what was used up for it."""
    values = (event.id, event.user, event.description, event.scope, event.token_hash)
    rest = (event.created, event.expires, event.application, event.refresh_hash, event.spent)
    yield Run(sql=_ADD, args=(*values, *rest, event.replaces, position))
    if event.replaces is not None:
        yield Run(sql="DELETE FROM token WHERE id = $1", args=(event.replaces,))


def _deleted_kind(event: Event) -> str:
    """Return the kind of a deletion; nothing for other events."""
    return event.kind if isinstance(event, ResourceDeleted) else ""


def _user(message: Recorded) -> int | None:
    """Return the id of the user who caused a transaction; None for the system's own."""
    actor = message.context.actor
    return actor.id if actor.kind == "user" else None


PROJECTION = Config()
