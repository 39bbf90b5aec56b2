"""Anything done to anything by several clients at a time: the tables stay sound and rebuildable."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

import asyncpg
import pytest

from ops import postgres
from projections.main import PROJECTIONS
from projections.rebuild import Rebuild
from schemas.streams import CONFIG, JOBS
from tests.api.invariants import broken
from tests.api.stack import Stack
from tests.api.wandering import Wanderer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 6
STEPS = 60
SEED = 20261125


async def wander(stack: Stack) -> Counter[tuple[str, int]]:
    """Let several clients loose on one another's objects; return what came of it."""
    token = (await stack.client.post("/api/v2/tokens/", json={"scope": "write"})).json()["token"]
    client = stack.anonymous()
    client.headers["Authorization"] = f"Bearer {token}"
    made: defaultdict[str, list[int]] = defaultdict(list)
    found = await stack.client.get("/api/v2/role_definitions/?page_size=200")
    made["role_definition"] = [
        each["id"] for each in found.json()["results"] if each["content_type"] == "awx.inventory"
    ]
    wanderers = [Wanderer(client, SEED + number, made) for number in range(CLIENTS)]
    await wanderers[0].begin()

    async def walk(wanderer: Wanderer) -> None:
        for _ in range(STEPS):
            await wanderer.step()

    await asyncio.gather(*(walk(each) for each in wanderers))
    return sum((each.outcomes for each in wanderers), Counter())


async def test_tables_are_sound_and_are_what_a_rebuild_makes(stack: Stack) -> None:
    """After everything: no reference to nothing, no double, no cycle; every table rebuilt alike."""
    outcomes = await wander(stack)
    done = sum(times for (_, status), times in outcomes.items() if status < 300)
    assert done > CLIENTS * STEPS / 4, outcomes
    services = stack.services
    for projection, stream in (("config", CONFIG), ("jobs", JOBS)):
        end = await services.store.last_sequence(stream.name)
        assert await services.catch_up.wait(projection, end, 20)
    assert await broken(services.pool) == []
    own = await asyncpg.connect(services.settings.postgres_dsn, **postgres.options(None))
    try:
        for each in PROJECTIONS:
            results = await Rebuild(each, services.nats, own).run(switch=False)
            assert [result.table for result in results if not result.same] == []
    finally:
        await own.close()
