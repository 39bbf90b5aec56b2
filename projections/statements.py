"""Carrying a projection's statements out."""

from __future__ import annotations

from collections.abc import Sequence

from projections.checkpoint import Connection
from projections.projection import Projection, RawMessage, Rows, Run, Statement
from projections.unfit import UNFIT
from schemas.envelope import Recorded

COPY_ROWS_MIN = 50
"""Above this many rows COPY is faster than an insert (``jetstream.md`` 8)."""


async def apply(
    postgres: Connection, projection: Projection, decoded: Sequence[Recorded | RawMessage]
) -> None:
    """Apply a batch as the projector does, outside its checkpoint.

    One that repeats rows is applied message by message; a message of OUTPUT or REPORTS that cannot
    be applied is left out, of CONFIG or JOBS its error is raised.
    """
    try:
        async with postgres.transaction():
            for statement in projection.apply(decoded):  # type: ignore[arg-type]  # one kind
                await execute(postgres, statement)
    except UNFIT:
        for each in decoded:
            try:
                async with postgres.transaction():
                    for statement in projection.apply([each]):  # type: ignore[arg-type]  # as above
                        await execute(postgres, statement, repeated=True)
            except UNFIT:
                if projection.enveloped:
                    raise


async def execute(postgres: Connection, statement: Statement, *, repeated: bool = False) -> None:
    """Execute one statement; ``repeated`` leaves out rows whose key is there already."""
    match statement:
        case Run():
            await postgres.execute(statement.sql, *statement.args)
        case Rows():
            await _insert(postgres, statement, repeated=repeated)


async def _insert(postgres: Connection, rows: Rows, *, repeated: bool) -> None:
    if not rows.rows:
        return
    if len(rows.rows) >= COPY_ROWS_MIN and not repeated:
        await postgres.copy_records_to_table(rows.table, records=rows.rows, columns=rows.columns)
        return
    names = ", ".join(f'"{column}"' for column in rows.columns)
    marks = ", ".join(f"${index}" for index in range(1, len(rows.columns) + 1))
    ending = " ON CONFLICT DO NOTHING" if repeated else ""
    await postgres.executemany(
        f'INSERT INTO "{rows.table}" ({names}) VALUES ({marks}){ending}',
        rows.rows,
    )
