"""``playlog doctor``: looks for what is wrong and says what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.cli import status, unrun
from ops.cli.deployment import Deployment, client_settings

FREE_BYTES_MIN = 1024 * 1024 * 1024
LAG_MAX = 10_000
JOURNAL_BYTES_MAX = 64 * 1024 * 1024


async def run(data: Path | None) -> int:
    """Print one line a finding; returns 1 when anything needs attention.

    What is set up and only waits for a later release is a warning.
    """
    chosen = client_settings(data)
    report, problems = await status.collect(chosen)
    findings = [*problems, *_findings(report), *_of_files(Deployment(chosen.data))]
    for finding in findings:
        print(f"- {finding}")
    for warning in (*_of_isolation(report["runners"]), *await unrun.warnings(chosen)):
        print(f"- warning: {warning}")
    if not findings:
        print("nothing found: streams, projections, runners and files look right")
    return 1 if findings else 0


def _findings(report: dict[str, Any]) -> Iterator[str]:
    for role in report["roles"]:
        if role["state"] != "running":
            yield f"role {role['role']} is {role['state']}: see its file in log/"
        elif role["restarts"]:
            yield f"role {role['role']} restarted {role['restarts']} times: see its file in log/"
    for each in report["projections"]:
        if each["state"] != "running":
            yield (
                f"projection {each['name']} is {each['state']} at {each['position']}:"
                f" {each['reason']}; writes are refused until it runs"
            )
        if each["lag"] > LAG_MAX:
            yield f"projection {each['name']} is {each['lag']} messages behind its stream"
    for stream in report["streams"]:
        if stream["name"] == "DEADLETTER" and stream["messages"]:
            yield (
                f"{stream['messages']} messages could not be applied: see `playlog status`; once"
                " the cause is mended, `playlog projections retry` applies them"
            )
    yield from _of_runners(report["runners"])


def _of_runners(runners: list[dict[str, Any]]) -> Iterator[str]:
    if not any(runner.get("present", True) and runner.get("enabled", True) for runner in runners):
        yield "no runner is present: jobs stay pending; start one with `playlog runner`"
    for runner in runners:
        waiting = runner.get("journal_bytes", 0)
        if waiting > JOURNAL_BYTES_MAX:
            yield (
                f"runner {runner['runner']} holds {waiting // 1024 // 1024} MiB of output that it"
                " cannot publish: look at its link to NATS"
            )
        if not runner.get("present", True) and runner.get("enabled", True):
            yield f"runner {runner['runner']} is enabled but not present"


def _of_isolation(runners: list[dict[str, Any]]) -> Iterator[str]:
    """Name the runners on which a job can read the files of others."""
    for runner in runners:
        if not {"container", "sandbox"}.intersection(runner.get("isolation", ())):
            why = "; ".join(runner.get("isolation_lacks", ())) or "its settings do not allow it"
            yield (
                f"runner {runner['runner']} runs jobs as plain processes of its own user, which can"
                f" read its files: {why}"
            )


def _of_disks(directories: list[Path]) -> Iterator[str]:
    """Look at every file system once: parts of a deployment may lie on disks of their own."""
    seen: set[int] = set()
    for directory in directories:
        if not directory.is_dir() or directory.stat().st_dev in seen:
            continue
        seen.add(directory.stat().st_dev)
        free = shutil.disk_usage(directory).free
        if free < FREE_BYTES_MIN:
            yield (
                f"only {free // 1024 // 1024} MiB are free below {directory}:"
                " when it is full, writes are refused until there is room again"
            )


def _of_files(place: Deployment) -> Iterator[str]:
    if not place.data.exists():
        return
    yield from _of_disks([place.data, *sorted(place.data.iterdir())])
    for path in place.secrets.glob("*"):
        if path.stat().st_mode & 0o077:
            yield f"{path} is readable by others: chmod 600 it"
