"""Inventories of 10,000 hosts: imported, imported again unchanged, and run on with a limit."""

from __future__ import annotations

import asyncio
from statistics import median

from ops import clock
from tests.bench.jobs import INTERPRETER
from tests.bench.measures import Measure, p99_ms
from tests.bench.place import Place, run_job
from tests.deployment.conftest import Deployment

SMALL = 10
LARGE = 10_000
RUNS = 7
_SCRIPT = """#!/usr/bin/env python3
import json
hosts = ["h%05d" % number for number in range({count})]
groups = {{"g%02d" % g: {{"hosts": hosts[g::20], "vars": {{"rack": g}}}} for g in range(20)}}
local = {{"ansible_connection": "local"}}
values = {{
    name: {{**local, "number": n, "roles": ["web", "db"], "text": "x" * 120}}
    for n, name in enumerate(hosts)
}}
print(json.dumps({{**groups, "_meta": {{"hostvars": values}}}}))
"""


def project() -> dict[str, str]:
    """Return a project's files: a script for each size of inventory."""
    return {f"of-{count}.py": _SCRIPT.format(count=count) for count in (SMALL, LARGE)}


def _source(made: Deployment, count: int) -> tuple[int, int]:
    inventory = made.post("/api/v2/inventories/", {"name": f"of {count}", "organization": 1})["id"]
    body = {"name": "script", "inventory": inventory, "source": "scm", "overwrite": True}
    body |= {"source_project": made.project, "source_path": f"of-{count}.py", "verbosity": 0}
    return inventory, made.post("/api/v2/inventory_sources/", body)["id"]


def _updated(made: Deployment, source: int) -> float:
    """Return the seconds from the request of an update to its end."""
    begun = clock.monotonic()
    body = made.post(f"/api/v2/inventory_sources/{source}/update/", status=202)
    done = made.ended(body["inventory_update"], "inventory_updates", within_s=600)
    assert done["status"] == "successful", done
    return clock.monotonic() - begun


async def _others(place: Place, ended: asyncio.Event) -> list[float]:
    """Write all the while; return how long each write took."""
    taken: list[float] = []
    while not ended.is_set():
        begun = clock.monotonic()
        body = {"name": f"meanwhile {len(taken)}", "organization": 1}
        answer = await place.client.post("/api/v2/inventories/", json=body)
        assert answer.status_code == 201, answer.text
        taken.append(clock.monotonic() - begun)
    return taken


async def measure(place: Place) -> list[Measure]:
    """Import a large inventory twice while others write; compare starts on it and a small one."""
    made = place.made
    large, source = _source(made, LARGE)
    ended = asyncio.Event()
    writing = asyncio.create_task(_others(place, ended))
    first = await asyncio.to_thread(_updated, made, source)
    ended.set()
    writes = await writing
    again = await asyncio.to_thread(_updated, made, source)
    small, few = _source(made, SMALL)
    await asyncio.to_thread(_updated, made, few)
    starts: dict[int, list[float]] = {small: [], large: []}
    templates = {
        inventory: made.template(
            f"on {inventory}",
            "one.yml",
            inventory=inventory,
            limit="h00001",
            extra_vars=INTERPRETER,
        )
        for inventory in starts
    }
    for template in templates.values():
        await run_job(place, template)
    for _ in range(RUNS):  # in turns: what else the machine does meets both
        for inventory, template in templates.items():
            starts[inventory].append(await run_job(place, template))
    ratio = median(starts[large]) / median(starts[small])
    return [
        Measure(name="import_10k_s", value=round(first, 2), unit="s", goal=30),
        Measure(name="import_10k_again_s", value=round(again, 2), unit="s", goal=10),
        Measure(name="import_write_p99_ms", value=p99_ms(writes), unit="ms", goal=500),
        Measure(name="start_10k_s", value=round(median(starts[large]), 2), unit="s"),
        Measure(name="start_10k_ratio", value=round(ratio, 2), unit="of 10 hosts", goal=1.3),
    ]
