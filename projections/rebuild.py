"""Rebuilding a projection from sequence 1.

Beside the live one, compared, then switched in one step.
"""

from __future__ import annotations

import asyncio

import asyncpg
import structlog
from msgspec import Struct
from nats.aio.client import Client

from ops import ids, pull
from ops.blobs import Blobs
from ops.postgres import SCHEMA
from projections import checkpoint, truncation
from projections.checkpoint import Checkpoint, Connection
from projections.compare import TableDigest, table_digest
from projections.decode import Decoder
from projections.projection import Poison, Projection
from projections.statements import apply

log = structlog.get_logger()

SWITCH_WITHIN_S = 2
SWITCH_AGAIN_S = 1.0
_LOCK = 0x50524F4A
"""First half of the advisory lock that one rebuild of a projection holds."""


class Rebuilding(Exception):
    """Another rebuild of the same projection is at work."""


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


async def build(
    projection: Projection, connection: Client, postgres: Connection, last: int
) -> dict[str, TableDigest]:
    """Make a projection's live tables from sequence 1 up to ``last``; returns what they hold.

    They must not exist yet; the projector goes on behind ``last``. Raises what ``Rebuild`` does.
    """
    await postgres.execute("SET synchronous_commit TO off")
    await checkpoint.install(postgres, projection)
    await apply_span(projection, connection, postgres, (1, last))
    await checkpoint.move(postgres, projection, 0, last)
    return {table: await table_digest(postgres, SCHEMA, table) for table in projection.tables()}


async def apply_span(
    projection: Projection, connection: Client, postgres: Connection, span: tuple[int, int]
) -> None:
    """Apply a span (first, last) in the connection's schema, without its checkpoint."""
    decoder = Decoder(Blobs(connection), enveloped=projection.enveloped)
    async for messages in pull.read(connection, projection.stream, *span):
        decoded = []
        for message in messages:
            try:
                decoded.append(await decoder.decode(message))
            except Poison:
                if projection.enveloped:
                    raise
        await apply(postgres, projection, decoded)


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

        The live projector is held at its checkpoint while tables are compared; tables of another
        version are not compared, they differ by intent. Raises Rebuilding, Truncated, UNFIT errors
        for a message that cannot be applied, asyncpg and NATS errors as they are; the live tables
        are untouched then.
        """
        name = self._projection.name
        lock = "SELECT pg_try_advisory_lock($1, hashtext($2))"
        if not await self._postgres.fetchval(lock, _LOCK, name):
            raise Rebuilding(f"another rebuild of {name} is at work")
        try:
            await self._drop_leftovers()
            await self._postgres.execute("SET synchronous_commit TO off")
            await checkpoint.install(self._postgres, self._projection, self._schema)
            await self._postgres.execute(f'SET search_path TO "{self._schema}"')
            await self._apply_up_to((await self._live()).position)
            while True:
                built = self._position
                try:
                    return await self._finish(switch=switch)
                except asyncpg.LockNotAvailableError:
                    self._position = built
                    log.warning("tables are in use, switching again", projection=name)
                    await asyncio.sleep(SWITCH_AGAIN_S)
        finally:
            await self._postgres.execute(f'SET search_path TO "{SCHEMA}"')
            await self._drop_leftovers()
            await self._postgres.execute("SELECT pg_advisory_unlock($1, hashtext($2))", _LOCK, name)

    async def _finish(self, *, switch: bool) -> list[TableResult]:
        """Build to the live tables' position while they stand still, compare, and switch.

        Who waits for a table that somebody reads makes all who come later wait: so not for long.
        Raises LockNotAvailableError, and nothing of it has happened.
        """
        async with self._postgres.transaction():
            live = await self._live(" FOR UPDATE")
            await self._apply_up_to(live.position)
            same = live.version == self._projection.version
            tables = self._projection.tables() if same else ()
            results = [await self._compare(table) for table in tables]
            if switch:
                await self._postgres.execute(f"SET LOCAL lock_timeout TO '{SWITCH_WITHIN_S}s'")
                await self._switch()
        return results

    async def _drop_leftovers(self) -> None:
        """Drop this rebuild's schema, and those of rebuilds that were killed."""
        found = await self._postgres.fetch(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)",
            f"playlog_rebuild_{self._projection.name}_",
        )
        for row in found:
            await self._postgres.execute(f'DROP SCHEMA IF EXISTS "{row["nspname"]}" CASCADE')

    async def _live(self, lock: str = "") -> Checkpoint:
        """Return where the live tables stand; raises Truncated when the log ends before that."""
        row = await self._postgres.fetchrow(
            f'SELECT position, version FROM "{SCHEMA}".checkpoint WHERE projection = $1{lock}',
            self._projection.name,
        )
        if row is None:
            return Checkpoint(position=0, version=self._projection.version)
        await truncation.check(self._connection, self._projection.stream, row["position"])
        return Checkpoint(position=row["position"], version=row["version"])

    async def _apply_up_to(self, last: int) -> None:
        await apply_span(
            self._projection, self._connection, self._postgres, (self._position + 1, last)
        )
        self._position = max(self._position, last)

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
            await self._postgres.execute(f'DROP TABLE IF EXISTS "{SCHEMA}"."{table}" CASCADE')
        moved = await self._postgres.fetch(
            "SELECT c.relname, c.relkind::text AS kind FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v')"
            " AND c.relname <> ALL($2::text[]) ORDER BY c.relkind, c.relname",
            self._schema,
            list(checkpoint.BOOK_KEEPING),
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
