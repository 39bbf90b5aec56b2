"""What is set up and will not happen yet: schedules, notifications.

They are kept, so that exports and playbooks travel; whoever relies on one learns of it here.
"""

from __future__ import annotations

import asyncpg

import schemas.resources  # noqa: F401 - declares every kind
from ops import clock, postgres
from ops.settings import Settings
from schemas.resource import RESOURCES

DRIFT_MAX_S = 5.0
NAMED_MAX = 5
_SCHEDULES = 'select "name" from "schedule" where "enabled" order by "id"'


async def warnings(chosen: Settings) -> list[str]:
    """Return one sentence for each kind of thing; none where Postgres does not answer."""
    try:
        pool = await postgres.connect_pool(
            chosen.postgres_dsn, chosen.postgres_password_file, size=1
        )
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return []
    try:
        drift_s = abs((await pool.fetchval("select now()") - clock.now()).total_seconds())
        found = [
            _named(await pool.fetch(_SCHEDULES), "enabled schedules will not fire"),
            _counted(await pool.fetchval(_notified()), "attached notifications will not be sent"),
        ]
    except asyncpg.PostgresError:
        return []
    finally:
        await pool.close()
    if drift_s > DRIFT_MAX_S:
        found.append(f"the clocks of this machine and of Postgres are {drift_s:.0f} s apart")
    return [each for each in found if each]


def _notified() -> str:
    """Return the statement that counts what is attached for notifications."""
    tables = [
        f"{resource.kind}_{related.name}"
        for resource in RESOURCES.values()
        for related in resource.related
        if related.attach and related.kind == "notification_template"
    ]
    rows = " union all ".join(f'select 1 from "{table}"' for table in tables)  # noqa: S608 - names from declarations
    return f"select count(*) from ({rows}) attached"  # noqa: S608 - as above


def _named(rows: list[asyncpg.Record], what: str) -> str:
    if not rows:
        return ""
    names = ", ".join(row["name"] for row in rows[:NAMED_MAX])
    return f"{len(rows)} {what}: {names}{', ...' if len(rows) > NAMED_MAX else ''}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number else ""
