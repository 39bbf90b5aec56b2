"""Copying where a credential's fields are looked up: without it the copy would lack its secrets."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api import guards
from controlplane.api.call import Call
from controlplane.api.errors import PermissionDenied
from controlplane.api.writes import caught_up, submit
from controlplane.domain.facts import decoded
from controlplane.domain.resource import Create
from controlplane.shell.read_model import Row, View
from controlplane.shell.resource_commands import prepare_for
from schemas.resource import RESOURCES

SOURCE = RESOURCES["credential_input_source"]


async def sources(call: Call, view: View, kind: str) -> list[Row]:
    """Return the input sources of what is copied; raises 403 for one the caller may not use."""
    if kind != "credential":
        return []
    rows = await view.named("input_sources_of", call.target.id)
    for number in {row["source_credential"] for row in rows}:
        if not await guards.may(view, call.who, "use", "credential", number):
            raise PermissionDenied
    return rows


async def copy_sources(call: Call, rows: Sequence[Row], made: int) -> None:
    """Let the copy's fields be looked up as the original's are."""
    for row in rows:
        values = {
            "description": row["description"],
            "input_field_name": row["input_field_name"],
            "metadata": decoded(row["metadata"]),
            "source_credential": row["source_credential"],
            "target_credential": made,
        }
        number = (await call.services.numbers.take(SOURCE.sequence))[0]
        command = Create(kind=SOURCE.kind, id=number, values=values)
        await caught_up(call, await submit(call, prepare_for(command, call.services)))
