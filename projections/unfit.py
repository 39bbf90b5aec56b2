"""Which errors are a message's own fault: it can never be applied, however often it is tried."""

from __future__ import annotations

import asyncpg

from projections.projection import Poison

UNFIT: tuple[type[Exception], ...] = (
    Poison,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)
"""The last four come from encoding a value for Postgres, or from ``apply``, which is pure."""


def reason(error: Exception) -> str:
    """Return what operators are shown."""
    if isinstance(error, Poison):
        return error.reason
    return f"{type(error).__name__}: {error}"
