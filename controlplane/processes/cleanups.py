"""What each kind of system job does, batch by batch; a batch done again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from controlplane.domain.errors import NotFound, Refused
from controlplane.domain.housekeeping import MODELS, Progress, Told, summary
from controlplane.domain.job import Delete
from controlplane.processes.loop import Tools
from controlplane.processes.own_output import OwnOutput
from controlplane.shell.config_writer import ConfigView, ConfigWriter, Prepare, Prepared
from controlplane.shell.read_model import ReadModel
from controlplane.shell.token_commands import revoke_token
from ops import clock, direct
from schemas import subjects
from schemas.events.activity import ACTIVITY_ID, ActivityHidden
from schemas.events.job import JobLaunched
from schemas.settings import SETTINGS
from schemas.streams import SESSIONS

BATCH = 200
AT_ONCE = 20
BY = "housekeeping"
PROVIDER = "OAUTH2_PROVIDER"
_HIDDEN = (
    "Removed {} items: they are no longer shown. The audit trail itself stands in the event log"
    " and stays there."
)


class Canceled(Exception):
    """Somebody wants the job to end."""


class Work(Struct, frozen=True, kw_only=True):
    """What a cleanup works with."""

    tools: Tools
    launched: JobLaunched
    output: OwnOutput
    read: ReadModel
    writer: ConfigWriter
    told: Told

    def go_on(self) -> None:
        """Raise Canceled once the job is to end."""
        state = self.tools.keeper.board.active.get(self.launched.id)
        if state is not None and state.cancel_requested:
            raise Canceled

    async def rows(self, query: str, *args: Any) -> Sequence[Any]:
        """Return the rows of a named query."""
        async with self.read.view() as view:
            return await view.named(query, *args)


async def clean_jobs(work: Work, stood: Progress) -> None:
    """Delete the jobs of each kind that ended before the cutoff."""
    names = [model for model, _ in MODELS]
    first = names.index(stood.model) + stood.done if stood.model in names else 0
    for model, kind in MODELS[first:]:
        here = stood if stood.model == model and not stood.done else Progress(model=model)
        cutoff = work.told.cutoff(work.launched.created)
        gone = here.count
        batch: Sequence[int] = here.batch
        after = here.after
        while kind is not None:
            if not work.told.dry_run:
                await _delete(work, batch)
            gone += len(batch)
            work.go_on()
            rows = await work.rows("jobs_before", str(kind), cutoff, after, BATCH)
            if not rows:
                break
            batch = [row["id"] for row in rows]
            after = batch[-1]
            if not work.told.dry_run:
                planned = Progress(model=model, count=gone, batch=tuple(batch))
                await work.output.say("", planned)
        kept = (await work.rows("jobs_kept", str(kind), cutoff))[0]["count"] if kind else 0
        line = summary(model, gone, kept, dry_run=work.told.dry_run)
        await work.output.say(line, Progress(model=model, done=True))


async def _delete(work: Work, batch: Sequence[int]) -> None:
    for start in range(0, len(batch), AT_ONCE):
        some = batch[start : start + AT_ONCE]
        await asyncio.gather(*(_delete_one(work, each) for each in some))


async def _delete_one(work: Work, job: int) -> None:
    try:
        await work.tools.job(BY, job, Delete(requested_by=f"system job {work.launched.id}"))
    except (NotFound, Refused):
        return  # gone before, or at work again: neither is this job's to change


async def hide_activity(work: Work, stood: Progress) -> None:
    """Let entries before the cutoff leave the activity stream that is shown."""
    if stood.done:
        return
    cutoff = work.told.cutoff(work.launched.created)
    count = (await work.rows("activity_before", cutoff))[0]["count"]
    if work.told.dry_run:
        await work.output.say(f"would delete {count} items", Progress(done=True))
        return
    event = ActivityHidden(before=cutoff, entries=count)
    context = work.tools.context(BY, message_id=f"hide-activity-{work.launched.id}")
    await work.writer.submit(_hide(event), context)
    await work.output.say(_HIDDEN.format(count), Progress(done=True))


def _hide(event: ActivityHidden) -> Prepare:
    async def prepare(_view: ConfigView) -> Prepared:
        keys = frozenset({f"activity:{ACTIVITY_ID}"})
        subject = subjects.config("activity", ACTIVITY_ID)
        return Prepared(subject=subject, events=(event,), reads=keys, writes=keys)

    return prepare


async def clean_sessions(work: Work, stood: Progress) -> None:
    """Take out login sessions that expired; the bucket forgets them by itself, too."""
    if stood.done:
        return
    pattern = subjects.kv(SESSIONS.name, "*.*")
    entries = await direct.last_of_each(work.tools.connection, f"KV_{SESSIONS.name}", pattern)
    now = clock.now().timestamp()
    expired = [each.subject for each in entries if _expired(each.data, now)]
    for subject in expired:
        work.go_on()
        headers = {"KV-Operation": "DEL", "Nats-TTL": "1h"}
        await work.tools.connection.jetstream().publish(subject, b"", headers=headers)
    await work.output.say(f"Expired Sessions deleted {len(expired)}", Progress(done=True))


def _expired(data: bytes, now: float) -> bool:
    """Tell whether an entry is of a session that ended by not being used."""
    if not data:
        return False
    session = msgspec.json.decode(data)
    return bool(now - session.get("renewed", now) > session.get("age_s", 0))


async def clean_tokens(work: Work, stood: Progress) -> None:
    """End tokens that nobody can use or refresh any more."""
    if stood.done:
        return
    found = await work.rows("setting_value", PROVIDER)
    value = msgspec.json.decode(found[0]["value"]) if found else SETTINGS[PROVIDER].default
    refreshable = timedelta(seconds=value["REFRESH_TOKEN_EXPIRE_SECONDS"])
    now = clock.now()
    gone, after = stood.count, 0
    batch: Sequence[int] = stood.batch
    while True:
        for token in batch:
            await _revoke(work, token)
        gone += len(batch)
        work.go_on()
        rows = await work.rows("tokens_expired", now, now - refreshable, after, BATCH)
        if not rows:
            break
        batch = [row["id"] for row in rows]
        after = batch[-1]
        planned = Progress(model="tokens", count=gone, batch=tuple(batch))
        await work.output.say("", planned)
    await work.output.say(f"Expired OAuth 2 Access Tokens deleted: {gone}", Progress(done=True))


async def _revoke(work: Work, token: int) -> None:
    context = work.tools.context(BY, message_id=f"revoke-{work.launched.id}-{token}")
    try:
        await work.writer.submit(revoke_token(token), context)
    except NotFound:
        return


CLEANUPS: dict[str, Callable[[Work, Progress], Awaitable[None]]] = {
    "cleanup_jobs": clean_jobs,
    "cleanup_activitystream": hide_activity,
    "cleanup_sessions": clean_sessions,
    "cleanup_tokens": clean_tokens,
}
"""Kind of system job to what it does, from wherever it stood."""
