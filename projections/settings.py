"""Settings in the read model: a row for each that has another value than its default."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from projections.projection import Run
from schemas.envelope import Recorded
from schemas.events.setting import SettingsChanged

DDL = (
    """
    CREATE TABLE setting (
        name text PRIMARY KEY,
        value text NOT NULL,
        modified timestamptz NOT NULL,
        position bigint NOT NULL
    )
    """,
)

_SET = """
INSERT INTO setting (name, value, modified, position) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET value = $2, modified = $3, position = $4
"""
_RESET = "DELETE FROM setting WHERE name = ANY($1::text[])"


def statements(event: SettingsChanged, message: Recorded) -> Iterator[Run]:
    """Yield what the event changes; values are kept as JSON text, the order of keys included."""
    for name, value in event.values.items():
        text = msgspec.json.encode(value).decode()
        yield Run(sql=_SET, args=(name, text, message.context.at, message.sequence))
    if event.reset:
        yield Run(sql=_RESET, args=(list(event.reset),))
