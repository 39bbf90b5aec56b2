"""A request is a span: what it writes carries the place of the request in its trace."""

from __future__ import annotations

from pathlib import Path

from ops import telemetry
from tests.api.stack import running


async def test_a_write_carries_the_trace_of_its_request(
    directory: Path, nats_url: str, postgres_dsn: str
) -> None:
    """The caller's traceparent is found again in the envelope of the transaction."""
    async with running(directory, nats_url, postgres_dsn) as stack:
        parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
        answered = await stack.client.post(
            "/api/v2/organizations/", json={"name": "traced"}, headers={"traceparent": parent}
        )
        position = int(answered.headers["x-playlog-position"])
        records = [
            record async for record in stack.services.store.read("CONFIG", position, position)
        ]
    assert records[0].context.traceparent == parent
    assert telemetry.current() is None
