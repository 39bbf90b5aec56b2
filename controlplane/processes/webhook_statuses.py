"""Tells the service whose webhook launched a job what becomes of it, with the template's token.

At least once: what a crash leaves untold is told again, in the order in which it happened. A
service that is away is asked a few times and then left alone: the job does not depend on it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

import httpx
import structlog

from controlplane.domain.errors import NotFound
from controlplane.domain.webhook_statuses import StatusPost, is_for, post_of
from controlplane.processes import position
from controlplane.processes.loop import Tools
from controlplane.shell.credential_values import opened, type_of
from controlplane.shell.launch_secrets import launch_of
from controlplane.shell.resource_fold import resource_values
from ops import pull
from ops.pull import StreamMessage
from schemas.events.job import JobFinished, JobLaunched, JobStarted
from schemas.registry import Event
from schemas.status import Status
from schemas.streams import JOBS

log = structlog.get_logger()

TRIES = 3
PAUSE_S = 1.0
TIMEOUT_S = 10.0
AT_ONCE = 8
TOO_MANY, BROKEN, REFUSED = 429, 500, 400
_LAUNCH = b'"job.launched.v1"'
_MOVES = (b'"job.started.v1"', b'"job.finished.v1"')
_HOOKED = re.compile(rb'"webhook_credential":\d|"blob":"')
"""In a launch that has a webhook's credential, or whose body stands elsewhere."""


class WebhookStatuses:
    """The loop; see the module."""

    name = "webhook_statuses"
    singleton = True

    def __init__(self) -> None:
        """Know of no job."""
        self._known: dict[int, JobLaunched | None] = {}
        """Active jobs seen since the start: those of webhooks with their launch."""

    async def run(self, tools: Tools) -> None:
        """Follow JOBS from the last handled position until cancelled."""
        await tools.keeper.ready()
        after = await position.load(tools.connection, self.name)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            async for messages in pull.follow(tools.connection, JOBS.name, after, batch=100):
                posts = [post for each in messages for post in await self._posts(tools, each)]
                if posts:
                    await _tell(tools, client, posts)
                if messages:
                    await position.save(tools.connection, self.name, messages[-1].sequence)

    async def _posts(self, tools: Tools, message: StreamMessage) -> list[StatusPost]:
        """Return what one message of JOBS gives to tell."""
        job = int(message.subject.split(".")[1])
        if _LAUNCH in message.data and not _HOOKED.search(message.data):
            self._known[job] = None
        elif _LAUNCH not in message.data and not any(each in message.data for each in _MOVES):
            return []
        if job in self._known and self._known[job] is None:
            if _MOVES[1] in message.data:
                del self._known[job]
            return []
        base = str(tools.keeper.board.setting("TOWER_URL_BASE"))
        posts = []
        for event in (await tools.store.decode(message)).events:
            launched = await self._launched(tools, job, event)
            status = _status(event)
            post = None if launched is None or status is None else post_of(launched, status, base)
            if post is not None:
                posts.append(post)
            if isinstance(event, JobFinished):
                self._known.pop(job, None)
        return posts

    async def _launched(self, tools: Tools, job: int, event: Event) -> JobLaunched | None:
        if isinstance(event, JobLaunched):
            self._known[job] = event
        elif job not in self._known:
            try:
                self._known[job] = await launch_of(tools.store, job)
            except NotFound:
                return None
        return self._known[job]


def _status(event: Event) -> Status | None:
    match event:
        case JobLaunched():
            return Status.PENDING
        case JobStarted():
            return Status.RUNNING
        case JobFinished():
            return Status(event.status)
        case _:
            return None


async def _tell(tools: Tools, client: httpx.AsyncClient, posts: Iterable[StatusPost]) -> None:
    """Tell each job's statuses one after another, and several jobs' at once."""
    line = asyncio.Semaphore(AT_ONCE)
    by_job: dict[int, list[StatusPost]] = {}
    for post in posts:
        by_job.setdefault(post.job, []).append(post)

    async def one_job(mine: list[StatusPost]) -> None:
        async with line:
            for post in mine:
                await _send(tools, client, post)

    async with asyncio.TaskGroup() as group:
        for mine in by_job.values():
            group.create_task(one_job(mine))


async def _send(tools: Tools, client: httpx.AsyncClient, post: StatusPost) -> None:
    if not is_for(post, tools.keeper.board.setting("WEBHOOK_STATUS_SERVERS")):
        log.warning("status not told: its server is not in WEBHOOK_STATUS_SERVERS", job=post.job)
        return
    token = await _token(tools, post.credential)
    if not token:
        log.warning("status not told: its credential has no token", job=post.job)
        return
    for number in range(TRIES):
        if number:
            await asyncio.sleep(PAUSE_S * number)
        try:
            headers = post.headers(token)
            answer = await client.post(post.url, content=post.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            log.warning("status not told", job=post.job, why=type(error).__name__)
            if not isinstance(error, httpx.TransportError):
                return
            continue
        if answer.status_code < REFUSED:
            log.info("status told", job=post.job, service=post.service)
            return
        log.warning("status not told", job=post.job, answer=answer.status_code)
        if answer.status_code != TOO_MANY and answer.status_code < BROKEN:
            return


async def _token(tools: Tools, number: int) -> str:
    """Return a credential's token; empty when it is gone, erased, or kept in another store."""
    values = await resource_values(tools.store, "credential", number)
    if values is None:
        return ""
    kind = await type_of(tools.store, values)
    inputs = await opened(tools.vault, number, values["inputs"], kind)
    return str(inputs.get("token") or "")
