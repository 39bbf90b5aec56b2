"""Where the parts of a bench measure, and what they all do."""

from __future__ import annotations

from pathlib import Path

import httpx
from msgspec import Struct

from ops import clock
from tests.bench.measures import Sizes
from tests.deployment.conftest import TERMINAL, Deployment
from tests.waiting import soon


class Place(Struct, frozen=True, kw_only=True):
    """A running deployment, an open client with a token, and how much to measure."""

    made: Deployment
    client: httpx.AsyncClient
    directory: Path
    sizes: Sizes


async def run_job(place: Place, template: int) -> float:
    """Launch a job and wait for its end; returns the seconds from request to status.

    Its last events may not be readable yet: wait for ``event_processing_finished``.
    """
    begun = clock.monotonic()
    answer = await place.client.post(f"/api/v2/job_templates/{template}/launch/", json={})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    job = answer.json()["job"]

    async def ended() -> bool:
        found = await place.client.get(f"/api/v2/jobs/{job}/")
        status = found.json()["status"]
        assert status not in TERMINAL - {"successful"}, found.text
        return bool(status == "successful")

    await soon(ended, 300)
    return clock.monotonic() - begun
