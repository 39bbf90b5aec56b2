"""What a job costs beside Ansible itself: to launch one, to run many at once, to run a long one."""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import ansible_runner

from ops import clock
from runners.ansible import PLUGIN_DIR
from tests.bench.measures import Measure, memory_mb, meter, p50_ms, run_metered, tree
from tests.bench.place import Place, active, launch_many, readable, run_job
from tests.deployment.conftest import Deployment
from tests.waiting import passing, soon

SINGLE_RUNS = 5
LONG_RUNS = 2
LOOK_S = 0.1
"""Between two looks: asking all the time would be measured too."""
INTERPRETER = json.dumps({"ansible_python_interpreter": sys.executable})
"""Named, so that what is found on a PATH plays no part."""
PLAYBOOKS = {
    "one.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: hi}\n",
    "long.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n"
    + "".join(f"    - debug: {{msg: task {number}}}\n" for number in range(60)),
}
HOSTS = tuple(f"h{number:02}" for number in range(20))


def bare(place: Place, playbook: str, hosts: tuple[str, ...]) -> list[str]:
    """Return the bare command on the same playbook."""
    ansible = str(Path(sys.executable).parent / "ansible-playbook")
    inventory = ["-i", ",".join((*hosts, "")), "-c", "local", "-e", INTERPRETER]
    return [ansible, *inventory, str(place.made.repository / playbook)]


async def launches(place: Place) -> list[Measure]:
    """Compare one-task jobs with the bare command, one after the other."""
    template = place.made.template("single", "one.yml", limit="one", extra_vars=INTERPRETER)
    await run_job(place, template)
    whole, alone = [], []
    for _ in range(SINGLE_RUNS):
        whole.append(await run_job(place, template))
        alone.append((await asyncio.to_thread(run_metered, bare(place, "one.yml", ("one",))))[0])
    return [
        Measure(
            name="launch_overhead_ms",
            value=round(p50_ms(whole) - p50_ms(alone), 1),
            unit="ms over bare",
            baseline=610,
            goal=250,
        ),
        Measure(name="bare_run_ms", value=p50_ms(alone), unit="ms"),
    ]


async def many(place: Place) -> list[Measure]:
    """Launch many one-task jobs at once, to the last event readable; bare runs two at a time."""
    made, count = place.made, place.sizes.batch_of_jobs
    template = made.template(
        "many", "one.yml", limit="one", extra_vars=INTERPRETER, allow_simultaneous=True
    )
    await run_job(place, template)
    bare_rate, bare_cpu = await asyncio.to_thread(_bare_many, place, count)
    counted = meter(tree(made.pid))
    try:
        begun = clock.monotonic()
        jobs = await launch_many(place, template, count)
        under_load: list[Measure] = []
        while left := await active(place, template):
            counted.look()
            await passing(LOOK_S)
            if not under_load and left < count:
                under_load = memory(made, "load")
        await readable(place, jobs)
        taken, used = clock.monotonic() - begun, counted.used_s()
    finally:
        counted.close()
    return [
        Measure(
            name="jobs_per_s",
            value=round(count / taken, 2),
            unit="jobs/s",
            baseline=round(bare_rate, 2),
            goal=5,
        ),
        Measure(
            name="cpu_s_per_job",
            value=round(used / count, 3),
            unit="s",
            baseline=round(bare_cpu, 3),
            goal=0.5,
        ),
        Measure(
            name="jobs_per_s_vs_bare",
            value=round(count / taken / bare_rate, 2),
            unit="of bare",
            baseline=1,
        ),
        Measure(
            name="cpu_per_job_vs_bare",
            value=round(used / count / bare_cpu, 2),
            unit="of bare",
            baseline=1,
        ),
        *under_load,
    ]


def memory(made: Deployment, when: str) -> list[Measure]:
    """Return the memory of every role with all that it has started."""
    return [
        Measure(
            name=f"memory_{when}_{name}_mb", value=memory_mb(tree(role["pid"])), unit="MB (PSS)"
        )
        for name, role in made.roles().items()
    ]


def _bare_many(place: Place, count: int) -> tuple[float, float]:
    """Return runs a second of the bare command, two at a time, and its processor seconds."""
    begun = clock.monotonic()
    with ThreadPoolExecutor(2) as pool:
        command = bare(place, "one.yml", ("one",))
        list(pool.map(lambda _: run_metered(command), range(count)))
    rate = count / (clock.monotonic() - begun)
    return rate, median(run_metered(command)[1] for _ in range(3))


def captured(directory: Path) -> dict[str, str]:
    """Return the environment in which the bare command writes a journal as a job's does."""
    upstream = Path(ansible_runner.__file__).parent / "display_callback" / "callback"
    return {
        "ANSIBLE_STDOUT_CALLBACK": "awx_display",
        "ANSIBLE_CALLBACK_PLUGINS": f"{PLUGIN_DIR}:{upstream}",
        "PLAYLOG_JOURNAL": str(directory / "journal"),
    }


async def long(place: Place) -> list[Measure]:
    """Compare 60 tasks on 20 hosts: processor seconds of all that runs on the runner, with bare."""
    made = place.made
    for name in HOSTS:
        body = {"name": name, "variables": "ansible_connection: local"}
        made.post(f"/api/v2/inventories/{made.inventory}/hosts/", body)
    limit = ",".join(HOSTS)
    template = made.template("long", "long.yml", limit=limit, extra_vars=INTERPRETER)
    runner = made.roles()["runner-1"]["pid"]
    ratios, capturing, running_mb = [], [], []
    command, environment = bare(place, "long.yml", HOSTS), captured(place.directory)
    for _ in range(LONG_RUNS):
        alone = (await asyncio.to_thread(run_metered, command))[1]
        journaled = (await asyncio.to_thread(run_metered, command, environment))[1]
        capturing.append(journaled / alone)
        idle_mb = memory_mb(tree(runner))
        counted = meter(tree(runner))
        running = asyncio.create_task(run_job(place, template))
        peak_mb = idle_mb
        while not running.done():
            counted.look()
            peak_mb = max(peak_mb, memory_mb(tree(runner)))
            await asyncio.wait({running}, timeout=1)
        await running
        ratios.append(counted.used_s() / alone)
        counted.close()
        running_mb.append(peak_mb - idle_mb)
    return [
        Measure(
            name="play_60x20_ratio",
            value=round(median(ratios), 3),
            unit="CPU of bare",
            baseline=1,
            goal=1.1,
        ),
        Measure(
            name="capture_60x20_ratio",
            value=round(median(capturing), 3),
            unit="CPU of bare",
            baseline=1,
            goal=1.1,
        ),
        Measure(
            name="memory_per_job_mb", value=round(median(running_mb), 1), unit="MB (PSS), 5 forks"
        ),
    ]


async def canceled(place: Place) -> list[Measure]:
    """Cancel a job of several hosts; what it leaves, and how long its end takes."""
    made, client = place.made, place.client
    template = made.template("canceled", "sleep.yml", limit="one,two", extra_vars=INTERPRETER)
    taken, left = [], 0
    runner = made.roles()["runner-1"]["pid"]
    before = tree(runner)
    for _ in range(SINGLE_RUNS):
        job = (await client.post(f"/api/v2/job_templates/{template}/launch/")).json()["job"]
        await soon(lambda: _sleeps(runner), 60)
        begun = clock.monotonic()
        await client.post(f"/api/v2/jobs/{job}/cancel/")

        async def ended(number: int = job) -> bool:
            answer = await client.get(f"/api/v2/jobs/{number}/")
            return bool(answer.json()["status"] == "canceled")

        await soon(ended, 60)
        taken.append(clock.monotonic() - begun)
        left += len(tree(runner) - before)
    return [
        Measure(name="cancel_ms", value=p50_ms(taken), unit="ms"),
        Measure(name="processes_left_after_cancel", value=left, unit="processes", goal=0),
    ]


def _sleeps(runner: int) -> bool:
    """Tell whether the job's command has begun on both hosts."""
    found = 0
    for pid in tree(runner):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += words[:1] == [b"sleep"]
    return found == 2
