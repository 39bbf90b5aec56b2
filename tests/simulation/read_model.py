"""The read model of the simulation: the real projections' statements, in a database in memory.

SQLite understands what ``jobs`` and ``reports`` say when arrays are text and indexes are left out.
A transaction is a savepoint; what was not flushed to disk when the database dies is rolled back,
rows and checkpoint together, as with ``synchronous_commit=off``.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from controlplane.domain.job import JOB
from controlplane.shell.transact import fold_history
from projections.jobs import Jobs
from projections.projection import Projection, RawMessage, Run
from projections.reports import Reports
from schemas import subjects
from schemas.envelope import Recorded
from schemas.status import TERMINAL
from tests.simulation.invariants import Violation
from tests.simulation.server import Server

_COLUMNS = re.compile(r"SELECT \* FROM unnest\([^()]*\)")
_FIRST_OF_EACH = re.compile(
    r"SELECT DISTINCT ON \((\w+)\)(.*?)FROM(.*?)ORDER BY \w+, (.*?)\)", re.DOTALL
)
PROJECTIONS: tuple[Projection, ...] = (Jobs(), Reports())
BEYOND = "host_metric"
"""A table whose statements SQLite does not understand: it is not folded here."""
Messages = Sequence[Recorded] | Sequence[RawMessage]


class Fenced(Exception):
    """Another projector has moved the checkpoint."""


class Database:
    """Tables and checkpoints; ``flush`` is what survives ``lose``."""

    def __init__(self) -> None:
        self.away = False
        self.life = 0
        """Connections of an earlier one are broken."""
        self._sql = sqlite3.connect(":memory:", isolation_level=None)
        self._sql.execute("CREATE TABLE checkpoint (projection text PRIMARY KEY, position integer)")
        for projection in PROJECTIONS:
            for statement in projection.ddl():
                if statement.startswith("CREATE TABLE"):
                    self._sql.execute(statement.replace("[] NOT", " NOT"))
            self._sql.execute("INSERT INTO checkpoint VALUES (?, 0)", (projection.name,))
        self._sql.execute("BEGIN")

    def position(self, projection: str) -> int:
        """Return where a projection's tables stand."""
        found = self._sql.execute(
            "SELECT position FROM checkpoint WHERE projection = ?", (projection,)
        )
        position: int = found.fetchone()[0]
        return position

    def begin(self) -> None:
        """Begin a transaction."""
        self._sql.execute("SAVEPOINT batch")

    def apply(self, projection: Projection, messages: Messages) -> None:
        """Apply a batch; raises Violation for rows that are there already."""
        try:
            for statement in projection.apply(messages):
                assert isinstance(statement, Run), statement
                if BEYOND in statement.sql:
                    continue
                for sql, args in _rows_of(statement):
                    self._sql.execute(sql, _named(args))
        except sqlite3.IntegrityError as error:
            raise Violation(f"{projection.name} applied a message again: {error}") from error

    def move(self, projection: str, old: int, new: int) -> None:
        """Move a checkpoint on condition that it still stands at ``old``; raises Fenced."""
        done = self._sql.execute(
            "UPDATE checkpoint SET position = ? WHERE projection = ? AND position = ?",
            (new, projection, old),
        )
        if done.rowcount != 1:
            raise Fenced(projection)

    def put(self, projection: str, new: int) -> None:
        """Move a checkpoint whoever else has: for careless projectors."""
        self._sql.execute(
            "UPDATE checkpoint SET position = ? WHERE projection = ?", (new, projection)
        )

    def commit(self) -> None:
        """End the transaction."""
        self._sql.execute("RELEASE batch")

    def roll_back(self) -> None:
        """Undo the transaction."""
        self._sql.execute("ROLLBACK TO batch")
        self._sql.execute("RELEASE batch")

    def flush(self) -> None:
        """Bring what is committed to the disk."""
        self._sql.execute("COMMIT")
        self._sql.execute("BEGIN")

    def lose(self) -> None:
        """Die with what is not on the disk."""
        self.life += 1
        self._sql.execute("ROLLBACK")
        self._sql.execute("BEGIN")

    def job(self, number: int) -> dict[str, Any] | None:
        """Return a job's row."""
        found = self._sql.execute("SELECT * FROM unified_job WHERE id = ?", (number,))
        row = found.fetchone()
        names = [column[0] for column in found.description]
        return None if row is None else dict(zip(names, row, strict=True))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table, sorted."""
        tables = {table for projection in PROJECTIONS for table in projection.tables()} - {BEYOND}
        return {
            table: sorted(self._sql.execute(f"SELECT * FROM {table}"), key=repr) for table in tables
        }


def messages(server: Server, projection: Projection, after: int, batch: int) -> Messages:
    """Return the next messages of a projection's stream behind a position."""
    if projection.enveloped:
        return server.recorded[projection.stream][after : after + batch]
    found = itertools.islice(server.streams[projection.stream].of([">"], after + 1), batch)
    return [
        RawMessage(sequence=each.sequence, subject=each.subject, data=each.body) for each in found
    ]


def check(server: Server, database: Database, batch: Messages) -> None:
    """Each job of a batch reads as the log folds at the position of the tables."""
    position = database.position("jobs")
    for job in sorted({subjects.parse_job(each.subject) for each in _recorded(batch)}):
        history = [each for each in server.recorded["JOBS"] if each.subject == subjects.job(job)]
        state = fold_history(JOB, [each for each in history if each.sequence <= position])
        row = database.job(job)
        if state.deleted or row is None:
            if (row is None) != state.deleted:
                raise Violation(f"job {job} is deleted: {state.deleted}, has a row: {row}")
            continue
        last_counter = state.last_counter if state.status in TERMINAL else None
        folded = (str(state.status), state.attempt, state.cancel_requested, last_counter)
        read = (row["status"], row["attempt"], bool(row["cancel_flag"]), row["final_counter"])
        if read != folded:
            raise Violation(f"job {job} reads as {read} at {position} and folds to {folded}")


def check_rebuilt(server: Server, database: Database) -> None:
    """The tables are those that are built anew from the first message, one by one."""
    fresh = Database()
    for projection in PROJECTIONS:
        position = 0
        while found := messages(server, projection, position, 1):
            fresh.apply(projection, found)
            position = found[0].sequence
    here, there = database.rows(), fresh.rows()
    for table, rows in here.items():
        if rows != there[table]:
            raise Violation(f"table {table} is not what the log rebuilds to")


def _recorded(batch: Messages) -> Iterator[Recorded]:
    for each in batch:
        if isinstance(each, Recorded):
            yield each


def _rows_of(statement: Run) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return a statement; one that inserts whole columns as one for each row."""
    if not _COLUMNS.search(statement.sql):
        yield _FIRST_OF_EACH.sub(_numbered, statement.sql), statement.args
        return
    places = ", ".join(f"${number}" for number in range(1, len(statement.args) + 1))
    sql = _COLUMNS.sub(f"VALUES ({places})", statement.sql)
    for row in zip(*statement.args, strict=True):
        yield sql, row


def _numbered(found: re.Match[str]) -> str:
    """Return PostgreSQL's choice of each first row as the standard has it."""
    by, columns, rest, order = (part.strip() for part in found.groups())
    rank = f"row_number() OVER (PARTITION BY {by} ORDER BY {order}) AS place"
    return f"SELECT * FROM (SELECT {columns}, {rank} FROM {rest}) WHERE place = 1)"


def _named(args: tuple[Any, ...]) -> dict[str, Any]:
    return {str(number): _plain(value) for number, value in enumerate(args, 1)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return repr(value) if isinstance(value, list) else value
