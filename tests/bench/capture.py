"""How fast events are captured: a play that prints lines as fast as Ansible displays them."""

from __future__ import annotations

from datetime import datetime

from tests.bench.measures import Measure
from tests.bench.place import Place, active, launch_many, readable, run_job
from tests.waiting import passing

LINES = 20_000
AT_ONCE = 8
LOOK_S = 0.5
"""Asking all the time would take the processors from what is measured."""
PLAYBOOK = f"""
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - debug: {{msg: "{{{{ lookup('lines', {LINES}) }}}}"}}
"""
LOOKUP = """
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **options):
        display = Display()
        for number in range(int(terms[0])):
            display.display("line %d of a job that prints" % number)
        return ["done"]
"""


def project(lookup: str = LOOKUP, lines: int = LINES) -> dict[str, str]:
    """Return a project's files: its ``lines.yml`` prints ``lines`` lines by ``lookup``."""
    playbook = PLAYBOOK.replace(str(LINES), str(lines))
    return {"lines.yml": playbook, "lookup_plugins/lines.py": lookup}


async def measure(place: Place) -> list[Measure]:
    """One job, then eight at once; from the first printed line's event to the last one's."""
    template = place.made.template(
        "lines", "lines.yml", limit="one,localhost", allow_simultaneous=True
    )
    await run_job(place, template)
    one = await _rate(place, await _jobs(place, template, 1))
    eight = await _rate(place, await _jobs(place, template, AT_ONCE))
    return [
        Measure(
            name="capture_events_per_s", value=one, unit="events/s", baseline=3500, goal=10_000
        ),
        Measure(
            name="capture_events_per_s_8", value=eight, unit="events/s", baseline=3500, goal=20_000
        ),
    ]


async def _jobs(place: Place, template: int, count: int) -> list[int]:
    """Run jobs at once; returns them once they have printed everything."""
    jobs = await launch_many(place, template, count)
    while await active(place, template):
        await passing(LOOK_S)
    await readable(place, jobs)
    return jobs


async def _rate(place: Place, jobs: list[int]) -> int:
    """Return the events a second over the time that all of them took."""
    spans = [await _span(place, job) for job in jobs]
    taken = max(last for _, last, _ in spans) - min(first for first, _, _ in spans)
    return round(sum(count for _, _, count in spans) / taken)


async def _span(place: Place, job: int) -> tuple[float, float, int]:
    """Return when a job's first and last printed line were captured, and how many there are."""
    ends = []
    count = 0
    for order in ("counter", "-counter"):
        query: dict[str, str | int] = {"event": "verbose", "order_by": order, "page_size": 1}
        path = f"/api/v2/jobs/{job}/job_events/"
        answer = (await place.client.get(path, params=query)).json()
        count = answer["count"]
        ends.append(datetime.fromisoformat(answer["results"][0]["created"]).timestamp())
    assert count >= LINES, (job, count)
    return ends[0], ends[1], count
