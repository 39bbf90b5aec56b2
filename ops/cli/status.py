"""``playlog status``: roles, streams, projections and runners of a deployment.

From their own sources.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from ops import connect, postgres
from ops.cli.deployment import Deployment, RoleState, client_settings
from ops.settings import Settings, split_login, split_nats_login
from schemas.streams import PRESENCE, STREAMS
from schemas.work import Presence


async def run(data: Path | None, *, as_json: bool) -> int:
    """Print the status; returns 1 when something needed does not answer."""
    chosen = client_settings(data)
    report, problems = await collect(chosen)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report)
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0


async def collect(chosen: Settings) -> tuple[dict[str, Any], list[str]]:
    """Return the report as data, and what could not be asked."""
    place = Deployment(chosen.data)
    state, up = place.read_state(), place.is_up()
    problems = [f"`playlog up` does not run on {place.data}"] if state and not up else []
    report: dict[str, Any] = {
        "http": state.http if state else None,
        "nats_url": split_nats_login(chosen.nats_url)[0],
        "nats_creds_file": _text(chosen.nats_creds_file),
        "postgres_dsn": split_login(chosen.postgres_dsn)[0],
        "postgres_password_file": _text(chosen.postgres_password_file),
        "roles": [
            msgspec.to_builtins(_seen(role, up=up)) for role in (state.roles if state else ())
        ],
        "streams": [],
        "projections": [],
        "dead_letters": [],
        "runners": [],
    }
    ends = await _from_nats(chosen, report, problems)
    await _from_postgres(chosen, report, problems, ends)
    return report, problems


def _seen(role: RoleState, *, up: bool) -> RoleState:
    """Return what a role is: without its supervisor the written state is history."""
    return role if up else msgspec.structs.replace(role, pid=None, state="stopped")


async def _from_nats(
    chosen: Settings, report: dict[str, Any], problems: list[str]
) -> dict[str, int]:
    try:
        connection = await connect.connect_nats(
            chosen.nats_url, chosen.nats_creds_file, "status", patient=False
        )
    except (OSError, nats.errors.Error, TimeoutError) as error:
        problems.append(f"NATS at {report['nats_url']} does not answer: {_why(error)}")
        return {}
    try:
        stream_context = connection.jetstream()
        report["streams"] = await _streams(stream_context)
        report["runners"] = await _runners(stream_context)
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
        problems.append(f"JetStream does not answer: {_why(error)}")
    finally:
        await connection.close()
    return {stream["name"]: stream["last"] for stream in report["streams"]}


async def _streams(context: JetStreamContext) -> list[dict[str, Any]]:
    found = []
    for spec in STREAMS:
        info = await context.stream_info(spec.name)
        found.append(
            {
                "name": spec.name,
                "messages": info.state.messages,
                "bytes": info.state.bytes,
                "first": info.state.first_seq,
                "last": info.state.last_seq,
            }
        )
    return found


async def _runners(context: JetStreamContext) -> list[dict[str, Any]]:
    bucket = await context.key_value(PRESENCE.name)
    try:
        keys = await bucket.keys()
    except nats.js.errors.NoKeysError:
        return []
    found = []
    for key in sorted(keys):
        try:
            entry = await bucket.get(key)
        except nats.js.errors.KeyNotFoundError:
            continue
        if entry.value:
            presence = msgspec.json.decode(entry.value, type=Presence)
            found.append(
                {
                    "runner": presence.runner,
                    "last_seen": presence.at,
                    "used": presence.used,
                    "running": [list(pair) for pair in presence.running],
                    "journal_bytes": presence.journal_bytes,
                }
            )
    return found


async def _from_postgres(
    chosen: Settings, report: dict[str, Any], problems: list[str], ends: dict[str, int]
) -> None:
    try:
        pool = await postgres.connect_pool(
            chosen.postgres_dsn, chosen.postgres_password_file, size=1
        )
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        problems.append(f"Postgres does not answer: {_why(error)}")
        return
    try:
        rows = await pool.fetch("select * from checkpoint order by projection")
        states = await pool.fetch("select * from projection_state order by projection")
        dead = await pool.fetch("select * from dead_letter order by stream, position limit 100")
        instances = await pool.fetch("select * from instance order by hostname")
    except asyncpg.PostgresError as error:
        problems.append(f"the read model is not there yet: {error}")
        return
    finally:
        await pool.close()
    alarms = {row["projection"]: row for row in states}
    report["projections"] = [_projection(row, alarms, ends) for row in rows]
    report["dead_letters"] = [
        {"stream": row["stream"], "sequence": row["position"], "job": row["job"]}
        | {"reason": row["reason"], "at": row["at"]}
        for row in dead
    ]
    _add_capacity(report, instances)


def _projection(
    row: asyncpg.Record, alarms: dict[str, asyncpg.Record], ends: dict[str, int]
) -> dict[str, Any]:
    alarm = alarms.get(row["projection"])
    return {
        "name": row["projection"],
        "stream": row["stream"],
        "position": row["position"],
        "lag": max(0, ends.get(row["stream"], row["position"]) - row["position"]),
        "state": alarm["state"] if alarm else "running",
        "reason": alarm["reason"] if alarm else "",
    }


def _add_capacity(report: dict[str, Any], instances: list[asyncpg.Record]) -> None:
    present = {runner["runner"]: runner for runner in report["runners"]}
    report["runners"] = [
        {
            "runner": row["hostname"],
            "capacity": row["capacity"],
            "enabled": row["enabled"],
            "present": row["hostname"] in present,
            "isolation": list(row["isolation"]),
            "isolation_lacks": list(row["isolation_lacks"]),
            **present.get(row["hostname"], {}),
        }
        for row in instances
    ]


def _print(report: dict[str, Any]) -> None:
    print(f"http       {report['http']}")
    print(f"nats       {report['nats_url']}")
    print(f"postgres   {report['postgres_dsn']}")
    for role in report["roles"]:
        print(f"role       {role['role']:<12} {role['state']:<11} pid {role['pid'] or '-'}")
    for stream in report["streams"]:
        size = f"{stream['messages']:>9} messages {stream['bytes']:>12} bytes"
        print(f"stream     {stream['name']:<12} {size}  up to {stream['last']}")
    for each in report["projections"]:
        place = f"position {each['position']:>9}  lag {each['lag']}"
        print(f"projection {each['name']:<12} {place}  {each['state']} {each['reason']}".rstrip())
    for each in report["dead_letters"]:
        place = f"{each['stream']} {each['sequence']} of job {each['job']}"
        print(f"set aside  {place}: {each['reason']}")
    for runner in report["runners"]:
        used = f"{runner.get('used', 0)} of {runner.get('capacity', '?')} forks in use"
        present = runner.get("present", True)
        apart = ", ".join(runner.get("isolation", ())) or "nothing"
        place = f"runner     {runner['runner']:<12} {used}, present: {present}"
        print(f"{place}, keeps jobs apart by: {apart}")


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
