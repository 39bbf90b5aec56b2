"""When a deployment counts as started: the API answers, and its runners are present."""

from __future__ import annotations

import asyncio
import http.client

from ops import clock
from ops.cli.api_client import ApiClient, Refused

WITHIN_S = 180.0
PAUSE_S = 0.1


async def wait(url: str, runners: int) -> str:
    """Wait for readiness; returns an empty string.

    Or what is missing after ``WITHIN_S`` seconds.
    """
    end = clock.monotonic() + WITHIN_S
    client = ApiClient(url, "", "")
    problem = "not started"
    while clock.monotonic() < end:
        problem = await asyncio.to_thread(_missing, client, runners)
        if not problem:
            return ""
        await asyncio.sleep(PAUSE_S)
    return f"not ready after {WITHIN_S:.0f} s: {problem}"


def _missing(client: ApiClient, runners: int) -> str:
    try:
        present = client.get("/api/v2/ping/").get("instances", [])
    except (Refused, OSError, ValueError, http.client.HTTPException) as error:
        return str(error)
    if len(present) < runners:
        return f"{len(present)} of {runners} runners are registered"
    return ""
