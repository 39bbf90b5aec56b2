"""Comparing tables: row counts and one sha256 over all rows in a canonical order and form."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from projections.checkpoint import Connection

FETCH_ROWS = 1000


class TableDigest(Struct, frozen=True, kw_only=True):
    """What a table holds: how many rows, and their digest (sha256, hex)."""

    rows: int
    sha256: str


async def table_digest(postgres: Connection, schema: str, table: str) -> TableDigest:
    """Return a table's digest: every row as text, ordered by that text in the C collation.

    Times are written in UTC, so that digests of different machines compare.
    """
    sha = hashlib.sha256()
    count = 0
    row = 'ROW(t.*)::text COLLATE "C"'
    query = f'SELECT {row} AS line FROM "{schema}"."{table}" t ORDER BY 1'
    async with postgres.transaction():
        await postgres.execute("SET LOCAL timezone TO 'UTC'; SET LOCAL datestyle TO 'ISO'")
        async for record in postgres.cursor(query, prefetch=FETCH_ROWS):
            sha.update(record["line"].encode())
            sha.update(b"\n")
            count += 1
    return TableDigest(rows=count, sha256=sha.hexdigest())
