"""Connections to Postgres: the read model's schema, passwords from files, time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger()

SCHEMA = "playlog"
CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 20.0
"""A reader is a person's request: better an error that may be retried than a long silence."""
RETRY_S = 0.2


class _Stateless(asyncpg.Connection):
    """A pooled connection that keeps no state between its users, so that none is cleared.

    Readers set nothing but within their transaction; the round trip for it was one in four.
    """

    def get_reset_query(self) -> str:
        """Return nothing to run."""
        return ""


async def connect_pool(
    dsn: str,
    password_file: Path | None,
    *,
    size: int = 10,
    wait: bool = False,
    check: Callable[[Any], Awaitable[None]] | None = None,
) -> asyncpg.Pool[asyncpg.Record]:
    """Return a pool on the read model's schema; ``wait`` retries until Postgres answers.

    ``check`` sees each new connection and raises when it must not be used. Raises OSError or
    asyncpg.PostgresError when Postgres does not answer.
    """
    chosen = {**options(password_file), "command_timeout": READ_TIMEOUT_S}
    while True:
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                connection_class=_Stateless,
                init=check,  # type: ignore[arg-type]  # the stubs ask for a name of its argument
                **chosen,
            )
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            if not wait:
                raise
            log.warning("postgres is not there", error=str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_S)


async def connect_unhurried(
    dsn: str, password_file: Path | None
) -> asyncpg.Connection[asyncpg.Record]:
    """Connect without a time limit on commands: comparing large tables takes a while."""
    return await asyncpg.connect(dsn, **{**options(password_file), "command_timeout": None})


def options(password_file: Path | None) -> dict[str, Any]:
    """Return the options of a connection: password, search path, time limits (seconds)."""
    chosen: dict[str, Any] = {
        "command_timeout": COMMAND_TIMEOUT_S,
        "timeout": CONNECT_TIMEOUT_S,
        "server_settings": {"search_path": SCHEMA, "application_name": "playlog"},
    }
    if password_file is not None:
        chosen["password"] = password_file.read_text().rstrip("\n")
    return chosen
