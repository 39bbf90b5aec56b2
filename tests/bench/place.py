"""Where the parts of a bench measure, and what they all do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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


async def launch_many(place: Place, template: int, count: int) -> list[int]:
    """Launch jobs of a template at once; returns their ids."""
    path = f"/api/v2/job_templates/{template}/launch/"
    answers = await asyncio.gather(*(place.client.post(path) for _ in range(count)))
    assert {answer.status_code for answer in answers} == {201}, [each.text for each in answers]
    return [answer.json()["job"] for answer in answers]


async def active(place: Place, template: int) -> int:
    """Return how many jobs of a template have not ended."""
    query: dict[str, str | int] = {
        "job_template": template,
        "status__in": "new,pending,waiting,running",
        "page_size": 1,
    }
    count: int = (await place.client.get("/api/v2/jobs/", params=query)).json()["count"]
    return count


async def readable(place: Place, jobs: Iterable[int]) -> None:
    """Wait until every event of jobs that have ended well can be read."""

    async def complete() -> bool:
        found = [(await place.client.get(f"/api/v2/jobs/{job}/")).json() for job in jobs]
        assert {each["status"] for each in found} == {"successful"}, found
        return all(each["event_processing_finished"] for each in found)

    await soon(complete, 120)
