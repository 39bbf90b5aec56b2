"""What the events of a failed run say about where it ended, for the decision to go on."""

from __future__ import annotations

from typing import Any

import msgspec

from controlplane.domain.resume import Failure, Ran, Run
from controlplane.shell.read_model import Row, View
from schemas.output import COUNTER_MAX, event_id

HOSTS_MAX = 10_000
TASKS_MAX = 20_000
RESULTS_MAX = 100_000


class TooMuch(ValueError):
    """More happened than is looked at; the text says what."""


async def run_facts(view: View, job: Row) -> Run:
    """Return the facts of a run; raises TooMuch."""
    hosts = await view.named("run_hosts", job["id"], job["attempt"])
    failed = [row["host_name"] for row in hosts if row["failed"]]
    if len(failed) > HOSTS_MAX:
        raise TooMuch(f"more than {HOSTS_MAX} hosts failed")
    state = await view.named_row("job_output_state", job["id"], job["attempt"])
    failures: tuple[Failure, ...] = ()
    ran: tuple[Ran, ...] = ()
    started = 0
    if state is not None:
        first = event_id(job["id"], job["attempt"], 0)
        span = (first, first + COUNTER_MAX, state["job_day"])
        rows = await view.named("run_failures", *span, job["id"], failed)
        failures = tuple(_failure(row) for row in rows)
        ran = await _ran(view, job, span, failed)
        started = (await view.named("run_plays", *span, job["id"]))[0]["started"]
    known = {each.host for each in failures}
    unknown = [Failure(host=each, task="", action="", place="") for each in failed]
    return Run(
        playbook=job["playbook"],
        status=job["status"],
        limit=job["limit_"],
        hosts=frozenset(row["host_name"] for row in hosts),
        failures=(*failures, *(each for each in unknown if each.host not in known)),
        ran=ran,
        plays_started=started,
        fact_cache=job["use_fact_cache"],
    )


def _failure(row: Row) -> Failure:
    data = msgspec.json.decode(row["data"])
    return Failure(
        host=row["host_name"],
        task=row["task"],
        action=_text(data.get("task_action")).rpartition(".")[2],
        place=_text(data.get("task_path")),
    )


async def _ran(view: View, job: Row, span: tuple[Any, ...], failed: list[str]) -> tuple[Ran, ...]:
    """Return what failed hosts did, task by task."""
    tasks = await view.named("run_tasks", *span, job["id"], TASKS_MAX + 1)
    done = await view.named("run_done", *span, job["id"], failed, RESULTS_MAX + 1)
    if len(tasks) > TASKS_MAX or len(done) > RESULTS_MAX:
        raise TooMuch(f"more happened on failed hosts than {RESULTS_MAX} results")
    places = {
        row["uuid"]: _text(msgspec.json.decode(row["data"]).get("task_path")) for row in tasks
    }
    return tuple(
        Ran(
            host=row["host_name"],
            place=places.get(row["parent_uuid"], ""),
            counter=row["counter"],
            changed=row["changed"],
        )
        for row in done
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
