"""When a deployment counts as started: the API answers, projections stand at the log's end, a runner is present."""

from __future__ import annotations

import asyncio

import httpx

from ops import clock

WITHIN_S = 180.0
PAUSE_S = 0.1


async def wait(url: str, runners: int) -> str:
    """Wait for readiness; returns an empty string, or what is missing after ``WITHIN_S`` seconds."""
    end = clock.monotonic() + WITHIN_S
    problem = "not started"
    async with httpx.AsyncClient(base_url=url, timeout=5.0) as client:
        while clock.monotonic() < end:
            problem = await _missing(client, runners)
            if not problem:
                return ""
            await asyncio.sleep(PAUSE_S)
    return f"not ready after {WITHIN_S:.0f} s: {problem}"


async def _missing(client: httpx.AsyncClient, runners: int) -> str:
    try:
        answer = await client.get("/api/v2/ping/")
    except httpx.HTTPError as error:
        return f"the API does not answer ({type(error).__name__})"
    if answer.status_code != httpx.codes.OK:
        return f"the API answers {answer.status_code}"
    present = answer.json().get("instances", [])
    if len(present) < runners:
        return f"{len(present)} of {runners} runners are present"
    return ""
