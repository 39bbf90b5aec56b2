"""Reading the projected tables: a snapshot per use, and the named queries of the ``.sql`` files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from typing import Any

import asyncpg

from controlplane.domain.errors import Unavailable

STATEMENT_TIMEOUT_MS = 15_000
"""A query of a request that takes longer is given up and answered with 503."""

_BEGIN = (
    "begin isolation level repeatable read read only;"
    f" set local statement_timeout = {STATEMENT_TIMEOUT_MS}"
)

Row = Mapping[str, Any]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _named() -> dict[str, str]:
    folder = resources.files("controlplane.shell")
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))
    text = "\n".join(folder.joinpath(name).read_text() for name in files)
    pieces = _NAME.split(text)[1:]
    return {name: sql.strip() for name, sql in zip(pieces[::2], pieces[1::2], strict=True)}


QUERIES = _named()
"""Name to SQL of every hand-written read."""


class View:
    """One snapshot of the tables: every query through it sees the same position.

    It is taken by the first query: one that asks nothing costs nothing.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Read through a connection of ``pool``, inside a read-only transaction."""
        self._pool = pool
        self.connection: Any = None
        """Once there was a query."""

    async def _opened(self) -> Any:
        if self.connection is None:
            self.connection = await self._pool.acquire()
            await self.connection.execute(_BEGIN)
        return self.connection

    async def close(self) -> None:
        """Give the connection back."""
        if self.connection is None:
            return
        try:
            if not self.connection.is_closed():
                await self.connection.execute("rollback")
        finally:
            await self._pool.release(self.connection)

    async def limit(self, milliseconds: int) -> None:
        """Give up what this snapshot is asked from now on after another time than usual."""
        await (await self._opened()).execute(f"set local statement_timeout = {milliseconds}")

    async def config_position(self) -> int:
        """Return the CONFIG position that this snapshot stands at."""
        position: int = await self.value(
            "select position from checkpoint where projection = 'config'"
        )
        return position

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Return the rows of a statement with bound arguments."""
        rows: list[Row] = await (await self._opened()).fetch(sql, *args)
        return rows

    async def row(self, sql: str, *args: Any) -> Row | None:
        """Return the first row of a statement, or None."""
        found: Row | None = await (await self._opened()).fetchrow(sql, *args)
        return found

    async def value(self, sql: str, *args: Any) -> Any:
        """Return the first column of the first row, or None."""
        return await (await self._opened()).fetchval(sql, *args)

    async def named(self, query: str, *args: Any) -> list[Row]:
        """Return the rows of a named query."""
        return await self.fetch(QUERIES[query], *args)

    async def of_ids(self, query: str, ids: list[int]) -> list[Row]:
        """Return the rows of a named query about objects; of none, nothing is asked."""
        return await self.named(query, ids) if ids else []

    async def named_row(self, query: str, *args: Any) -> Row | None:
        """Return the first row of a named query, or None."""
        return await self.row(QUERIES[query], *args)


class ReadModel:
    """The tables, read through a pool whose connections have the live schema as search path."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Read through ``pool``."""
        self._pool = pool

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """Open a snapshot.

        Raises Unavailable when the connection dies under it or Postgres does not answer in time (a
        rollback would wait as long again), else whatever its user raises.
        """
        view = View(self._pool)
        try:
            yield view
        except Exception as error:
            if view.connection is not None:
                if isinstance(error, TimeoutError):
                    view.connection.terminate()
                if view.connection.is_closed():
                    raise Unavailable("The read model is not available.") from error
            raise
        finally:
            await view.close()
