"""What clients hear whose requests are not done when the API stops."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import uvicorn

from controlplane.api.edge import Edge
from ops.telemetry import Tracer
from tests.servers import free_port
from tests.waiting import soon


async def test_a_request_that_is_broken_off_may_be_asked_again() -> None:
    """503 with Retry-After, and never a 500: nobody knows yet whether it was done."""
    begun = asyncio.Event()

    async def endless(_scope: Any, _receive: Any, _send: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    edge: Any = Edge(endless, "node", Tracer("api", ""))
    port = free_port()
    config = uvicorn.Config(
        edge, port=port, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await soon(lambda: server.started)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        asking = asyncio.create_task(client.post("/api/v2/organizations/", json={"name": "x"}))
        await begun.wait()
        server.should_exit = True
        answer = await asking
    await serving
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"detail": "The server is stopping."}
