"""Rebuilding a projection from sequence 1.

Beside the live one, compared, then switched in one step.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from msgspec import Struct
from nats.aio.client import Client

from ops import ids, pull
from ops.blobs import Blobs
from ops.postgres import SCHEMA
from projections import checkpoint
from projections.checkpoint import Connection
from projections.compare import TableDigest, table_digest
from projections.decode import Decoder
from projections.projection import Poison, Projection
from projections.projector import execute

BATCH = 500


class TableResult(Struct, frozen=True, kw_only=True):
    """One table, live and rebuilt: rows and digest of both."""

    projection: str
    table: str
    live: TableDigest
    rebuilt: TableDigest

    @property
    def same(self) -> bool:
        """True when both hold the same rows."""
        return self.live == self.rebuilt


class Rebuild:
    """Builds one projection in a schema of its own."""

    def __init__(self, projection: Projection, connection: Client, postgres: Connection) -> None:
        """Read the log over ``connection`` and write over ``postgres``, used for nothing else."""
        self._projection = projection
        self._connection = connection
        self._postgres = postgres
        self._schema = f"playlog_rebuild_{projection.name}_{ids.new_id()[:8]}"
        self._position = 0

    async def run(self, *, switch: bool) -> list[TableResult]:
        """Build up to where the live tables stand, compare, and with ``switch`` replace them.

        The live projector is held at its checkpoint while tables are compared. Raises Poison for a
        message that cannot be applied, asyncpg and NATS errors as they are; the live tables are
        untouched then.
        """
        name = self._projection.name
        try:
            await checkpoint.install(self._postgres, self._projection, self._schema)
            await self._postgres.execute(f'SET search_path TO "{self._schema}"')
            await self._apply_up_to(await self._live_position())
            async with self._postgres.transaction():
                live = await self._postgres.fetchval(
                    f'SELECT position FROM "{SCHEMA}".checkpoint WHERE projection = $1 FOR UPDATE',
                    name,
                )
                await self._apply_up_to(live)
                results = [await self._compare(table) for table in self._projection.tables()]
                if switch:
                    await self._switch()
            return results
        finally:
            await self._postgres.execute(f'SET search_path TO "{SCHEMA}"')
            await self._postgres.execute(f'DROP SCHEMA IF EXISTS "{self._schema}" CASCADE')

    async def _live_position(self) -> int:
        found = await self._postgres.fetchval(
            f'SELECT position FROM "{SCHEMA}".checkpoint WHERE projection = $1',
            self._projection.name,
        )
        return found or 0

    async def _apply_up_to(self, last: int) -> None:
        stream = self._projection.stream
        decoder = Decoder(Blobs(self._connection), enveloped=self._projection.enveloped)
        async for messages in pull.read(self._connection, stream, self._position + 1, last):
            decoded = []
            for message in messages:
                try:
                    decoded.append(await decoder.decode(message))
                except Poison:
                    if self._projection.enveloped:
                        raise
            await self._apply(decoded)
            self._position = messages[-1].sequence
        self._position = max(self._position, last)

    async def _apply(self, decoded: Sequence[object]) -> None:
        """Apply a batch; one that repeats rows is applied message by message, as live."""
        try:
            async with self._postgres.transaction():
                await self._execute(decoded, repeated=False)
        except (Poison, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            for each in decoded:
                try:
                    async with self._postgres.transaction():
                        await self._execute([each], repeated=True)
                except (Poison, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
                    if self._projection.enveloped:
                        raise

    async def _execute(self, decoded: Sequence[object], *, repeated: bool) -> None:
        for statement in self._projection.apply(decoded):  # type: ignore[arg-type]  # one kind
            await execute(self._postgres, statement, repeated=repeated)

    async def _compare(self, table: str) -> TableResult:
        return TableResult(
            projection=self._projection.name,
            table=table,
            live=await table_digest(self._postgres, SCHEMA, table),
            rebuilt=await table_digest(self._postgres, self._schema, table),
        )

    async def _switch(self) -> None:
        """Put the rebuilt tables in the live ones' place; readers see the one or the other."""
        for table in self._projection.tables():
            await self._postgres.execute(f'DROP TABLE "{SCHEMA}"."{table}" CASCADE')
        moved = await self._postgres.fetch(
            "SELECT c.relname, c.relkind::text AS kind FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v')"
            " AND c.relname NOT IN ('checkpoint', 'projection_state')"
            " ORDER BY c.relkind, c.relname",
            self._schema,
        )
        for row in moved:
            word = "VIEW" if row["kind"] == "v" else "TABLE"
            relation = row["relname"]
            await self._postgres.execute(f'DROP {word} IF EXISTS "{SCHEMA}"."{relation}" CASCADE')
            await self._postgres.execute(
                f'ALTER {word} "{self._schema}"."{relation}" SET SCHEMA "{SCHEMA}"'
            )
        await self._postgres.execute(
            f'UPDATE "{SCHEMA}".checkpoint SET version = $2 WHERE projection = $1',
            self._projection.name,
            self._projection.version,
        )
