"""The audit trail: the projections ``activity``, ``job_activity`` and ``access``.

CONFIG, JOBS and ACCESS each have a table of the same shape, since a projection follows one stream;
together they are AWX's activity stream. What an event says is decided in
``controlplane.domain.activity``; nothing can switch it off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from controlplane.domain.activity import Entry, entries
from projections.projection import Poison, RawMessage, Rows, Run, Statement
from schemas.envelope import Recorded
from schemas.status import JobKind
from schemas.streams import ACCESS, CONFIG, JOBS

IMPORTER = "inventory_imports"
"""The process whose transactions AWX keeps out of its activity stream: one import may be 10,000."""
ENTRIES_MAX = 1 << 20
"""Room for the entries of one message in an id."""
COLUMNS = (
    "id",
    "timestamp",
    "operation",
    "actor",
    "actor_name",
    "object1",
    "object1_id",
    "object2",
    "object2_id",
    "object_association",
    "changes",
    "correlation",
)
_TYPES = (
    "bigint PRIMARY KEY",
    "timestamptz NOT NULL",
    "text NOT NULL",
    "bigint",
    "text NOT NULL",
    "text NOT NULL",
    "bigint NOT NULL",
    "text NOT NULL",
    "bigint",
    "text NOT NULL",
    "text NOT NULL",
    "text NOT NULL",
)


class Activity:
    """One stream's part of the audit trail; see the module."""

    enveloped = True
    version = 1

    def __init__(self, name: str, stream: str, place: int) -> None:
        """``place`` (0 .. 3) keeps the ids of the parts apart."""
        self.name = name
        self.stream = stream
        self._place = place

    def ddl(self) -> Sequence[str]:
        """Return the statements that make its table and indexes."""
        lines = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, _TYPES, strict=True))
        return (
            f"CREATE TABLE {self.name} ({lines})",
            f"CREATE INDEX ON {self.name} (timestamp, id)",
            f"CREATE INDEX ON {self.name} (object1, object1_id, id)",
            f"CREATE INDEX ON {self.name} (object2, object2_id, id) WHERE object2 <> ''",
            f"CREATE INDEX ON {self.name} (actor, id)",
        )

    def tables(self) -> Sequence[str]:
        """Return the one table."""
        return (self.name,)

    def apply(self, messages: Sequence[Recorded] | Sequence[RawMessage]) -> Iterable[Statement]:
        """Return the rows of a batch, and for each event of a job without its kind a statement."""
        rows: list[tuple[Any, ...]] = []
        later: list[Statement] = []
        for message in messages:
            if isinstance(message, RawMessage):
                raise Poison(message.sequence, f"{self.stream} holds transactions in envelopes")
            told = _told(message)
            for index, entry in enumerate(told):
                row = self._row(message, index, entry)
                if entry.object1:
                    rows.append(row)
                else:
                    later.append(Run(sql=_of_known_job(self.name), args=row))
        return [Rows(table=self.name, columns=COLUMNS, rows=rows), *later] if rows else later

    def _row(self, message: Recorded, index: int, entry: Entry) -> tuple[Any, ...]:
        if index >= ENTRIES_MAX:
            raise Poison(message.sequence, "a transaction of more events than an id has room for")
        context = message.context
        return (
            (message.sequence * ENTRIES_MAX + index) * 4 + self._place,
            context.at,
            entry.operation,
            context.actor.id if context.actor.kind == "user" else None,
            context.actor.name,
            entry.object1,
            entry.id1,
            entry.object2,
            entry.id2,
            entry.association,
            msgspec.json.encode(entry.changes).decode(),
            context.correlation,
        )


def _told(message: Recorded) -> Iterator[Entry]:
    """Yield what a transaction says; hosts that an update imports are told by the update alone."""
    if message.context.actor.name == IMPORTER and message.context.actor.kind == "process":
        return
    for event in message.events:
        yield from entries(message.subject, event)


def _of_known_job(table: str) -> str:
    """Return the statement of a row whose kind stands in the entry of the job's launch."""
    kinds = ", ".join(f"'{each}'" for each in JobKind)
    kind = (
        f"coalesce((SELECT a.object1 FROM {table} a WHERE a.object1_id = $7"
        f" AND a.object1 IN ({kinds}) LIMIT 1), 'job')"
    )
    values = [f"${number}" for number in range(1, len(COLUMNS) + 1)]
    values[5] = f"CASE WHEN $6 = '' THEN {kind} ELSE $6 END"
    return f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({', '.join(values)})"


ACTIVITIES = (
    Activity("activity", CONFIG.name, 0),
    Activity("job_activity", JOBS.name, 1),
    Activity("access", ACCESS.name, 2),
)
