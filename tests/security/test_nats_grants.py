"""NATS as an attacker sees it: every kind of credential against every family of subjects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import nats.errors
import pytest
from nats.js.errors import APIError

from ops import clock, connect, nats_identity
from ops.blobs import Blobs
from ops.provision import provision
from schemas import subjects
from schemas.streams import BUCKETS, STREAMS
from tests.security.nats_site import ATTEMPT, NatsSite, User
from tests.waiting import soon

FAMILIES = (
    "config.user.1",
    "job.7",
    "access.login",
    "output.1.7.1",
    "output.1.7.2",
    "output.1.8.1",
    "output.2.7.1",
    "report.1.7.1",
    "report.1.8.1",
    "work.group.default.1",
    "work.runner.r1",
    "key.credential.1",
    "id.job",
    "content.aa.0",
    "dead.CONFIG.1",
    "$KV.presence.r1",
    "$KV.presence.r2",
    "$KV.leases.dispatcher",
    "$KV.sessions.x",
    "$KV.launch-keys.x",
    "$KV.snapshots.x",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.CREATE.X",
    "$JS.API.STREAM.UPDATE.CONFIG",
    "$JS.API.STREAM.INFO.CONFIG",
    "$JS.API.STREAM.PURGE.OUTPUT",
    "$JS.API.STREAM.DELETE.JOBS",
    "$JS.API.STREAM.MSG.GET.KEYS",
    "$JS.API.STREAM.MSG.DELETE.REPORTS",
    "$JS.API.STREAM.SNAPSHOT.KEYS",
    "$JS.API.CONSUMER.CREATE.JOBS.mine",
    "$JS.API.CONSUMER.CREATE.WORK.mine.work.group.other.1",
    "$JS.API.CONSUMER.DELETE.WORK.group-default-1",
    "$JS.API.CONSUMER.MSG.NEXT.WORK.group-default-1",
    "$JS.API.CONSUMER.MSG.NEXT.WORK.group-other-1",
    "$JS.API.CONSUMER.MSG.NEXT.WORK.runner-r1",
    "$JS.API.CONSUMER.MSG.NEXT.WORK.runner-r2",
    "$JS.ACK.WORK.group-default-1.1.1.1.1.0",
    "$JS.ACK.WORK.group-other-1.1.1.1.1.0",
    "$JS.API.DIRECT.GET.KEYS",
    "$JS.API.DIRECT.GET.KEYS.key.credential.1",
    "$JS.API.DIRECT.GET.CONFIG",
    "$JS.API.DIRECT.GET.BLOBS",
    "$JS.API.DIRECT.GET.BLOBS.content.aa.0",
    "$JS.API.DIRECT.GET.OUTPUT",
    "$JS.API.DIRECT.GET.OUTPUT.output.1.7.1",
    "$JS.API.DIRECT.GET.OUTPUT.output.1.8.1",
    "$JS.API.DIRECT.GET.REPORTS.report.1.7.1",
    "$JS.API.DIRECT.GET.REPORTS.report.1.8.1",
    "$JS.API.DIRECT.GET.KV_sessions.$KV.sessions.x",
    "register.r1.default",
    "register.r1.default,other",
    "register.r1.other",
    "register.r2.default",
    "claim.r1",
    "claim.r2",
    "released.r1",
    "released.r2",
    "ctl.r1.cancel",
    "ctl.r2.cancel",
    "status.7",
    "status.8",
    "live.1.7.1",
    "live.1.8.1",
    "live.2.9.1",
    "proj.pos.config",
    "_INBOX.other.1",
    "_INBOX_r1.mine",
    "_INBOX_r2.other",
    "_INBOX_7-1.mine",
    "_INBOX_7-2.other",
    "_R_.mine.1",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.SERVER.PING",
)
PATTERNS = (">", "config.>", "live.>", "live.1.>", "status.*", "ctl.>", "_INBOX.>", "_INBOX_r2.>")
MAY_PUBLISH = {
    "runner": {
        "register.r1.default",
        "claim.r1",
        "released.r1",
        "$KV.presence.r1",
        "content.aa.0",
        "$JS.API.CONSUMER.MSG.NEXT.WORK.group-default-1",
        "$JS.API.CONSUMER.MSG.NEXT.WORK.runner-r1",
        "$JS.ACK.WORK.group-default-1.1.1.1.1.0",
        "$JS.API.DIRECT.GET.BLOBS.content.aa.0",
    },
    "attempt": {
        "output.1.7.1",
        "report.1.7.1",
        "content.aa.0",
        "$JS.API.DIRECT.GET.BLOBS.content.aa.0",
        "$JS.API.DIRECT.GET.OUTPUT.output.1.7.1",
        "$JS.API.DIRECT.GET.REPORTS.report.1.7.1",
    },
    "viewer": set(),
}
MAY_HEAR = {
    "runner": {"ctl.r1.cancel", "_INBOX_r1.mine"},
    "attempt": {"_INBOX_7-1.mine"},
    "viewer": {"live.1.7.1", "status.7"},
}
TARGETS = (
    *FAMILIES,
    "$JS.API.STREAM.PURGE.CONFIG",
    "$JS.API.STREAM.DELETE.CONFIG",
    "$JS.API.STREAM.PURGE.KEYS",
)
"""Where an attacker would like an answer of the server to go."""


@pytest.fixture
async def site(directory: Path) -> AsyncIterator[NatsSite]:
    """A server with the deployment's accounts and streams."""
    made = NatsSite(directory)
    made.server.start()
    control = await made.connect("control")
    await provision(control.client)
    yield made
    await made.stop()


async def _stored(control: User) -> dict[str, int]:
    """Return how many messages each stream has had."""
    names = [each.name for each in STREAMS] + [f"KV_{each.name}" for each in BUCKETS]
    context = control.client.jetstream()
    return {name: (await context.stream_info(name)).state.last_seq for name in names}


@pytest.mark.parametrize("kind", ["runner", "attempt", "viewer"])
async def test_each_user_may_say_and_hear_what_the_table_says(site: NatsSite, kind: str) -> None:
    """What is not granted is refused, of every family of subjects and as a pattern too."""
    user = await site.connect(kind)
    assert await user.may_publish(FAMILIES) == MAY_PUBLISH[kind]
    assert await user.may_subscribe((*FAMILIES, *PATTERNS)) == MAY_HEAR[kind]


@pytest.mark.parametrize("kind", ["runner", "attempt"])
async def test_an_answer_goes_back_to_the_field_and_nowhere_else(site: NatsSite, kind: str) -> None:
    """Acknowledgements, stored messages and the services' answers cannot be aimed at the log."""
    control = await site.connect("control")

    async def answer(message: object) -> None:
        await message.respond(b'{"granted":true}')  # type: ignore[attr-defined]  # a request

    for service in (subjects.claim("*"), subjects.register("*", ())):
        await control.client.subscribe(service, cb=answer)
    await connect.flush(control.client)
    user = await site.connect(kind)
    await user.client.jetstream().publish("content.aa.0", b"")
    before = await _stored(control)
    asks = [each for each in sorted(MAY_PUBLISH[kind]) if not each.startswith("$KV")]
    for subject in asks:
        for target in TARGETS:
            await user.client.publish(subject, b"", reply=target)
    await connect.flush(user.client)
    own = {"output.1.7.1": "OUTPUT", "report.1.7.1": "REPORTS", "content.aa.0": "BLOBS"}
    await _settled(control)
    after = await _stored(control)
    for name in {own[each] for each in asks if each in own}:
        del before[name], after[name]
    assert after == before


async def _settled(control: User) -> None:
    """Wait until what was sent before has had its effect: the server has answered twice since."""
    for _ in range(2):
        await control.client.jetstream().account_info()


async def test_without_credentials_or_with_forged_ones_nobody_gets_in(
    site: NatsSite, directory: Path
) -> None:
    """A user signed by another deployment's keys is a stranger."""
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await connect.connect_nats(site.server.url, None, "nobody", patient=False)
    stranger = nats_identity.load_or_create(directory / "stranger.json").control_user()
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await site.connect_as(stranger, "_INBOX")


@pytest.mark.parametrize("kind", ["attempt", "viewer"])
async def test_a_users_time_ends_its_connection(site: NatsSite, kind: str) -> None:
    """Who was let in for a while is put out when it is over, and does not come in again."""
    until = clock.now() + timedelta(seconds=2)
    creds = {
        "attempt": site.identity.job_user(ATTEMPT, until),
        "viewer": site.identity.viewer_user(["live.1.7.*"], until),
    }[kind]
    user = await site.connect_as(creds, "_INBOX_7-1")
    await asyncio.wait_for(user.closed.wait(), 30)

    async def refused() -> bool:
        try:
            await site.connect_as(creds, "_INBOX_7-1")
        except nats.errors.Error as error:
            return "Authorization" in str(error)
        return False

    await soon(refused)


async def test_content_that_is_there_cannot_be_replaced(site: NatsSite) -> None:
    """A runner that writes other bytes under a digest is refused; storing it again is harmless."""
    control, runner = await site.connect("control"), await site.connect("runner")
    blobs = Blobs(control.client)
    digest = await blobs.put(b"a project")
    with pytest.raises(APIError, match="maximum messages per subject"):
        await runner.client.jetstream().publish(subjects.content(digest, "end"), b"forged")
    await blobs.put(b"a project")
    assert await Blobs(runner.client).get(digest) == b"a project"


async def test_a_runner_cannot_wipe_the_presence_of_others(site: NatsSite) -> None:
    """A rollup of the whole bucket is refused."""
    control, runner = await site.connect("control"), await site.connect("runner")
    await control.client.jetstream().publish("$KV.presence.r2", b"{}")
    with pytest.raises(APIError):
        await runner.client.jetstream().publish(
            "$KV.presence.r1", b"{}", headers={"Nats-Rollup": "all"}
        )
    await runner.client.jetstream().publish("$KV.presence.r1", b"{}")
    assert (await control.client.jetstream().stream_info("KV_presence")).state.messages == 2


async def test_runner_and_control_plane_talk_across_the_accounts(site: NatsSite) -> None:
    """What is granted works: claims up, control down, and a word when nobody is there."""
    control, runner = await site.connect("control"), await site.connect("runner")
    heard: list[str] = []

    async def answer(message: object) -> None:
        heard.append(message.subject)  # type: ignore[attr-defined]  # a request
        await message.respond(b"yes")  # type: ignore[attr-defined]

    await control.client.subscribe(subjects.claim("*"), cb=answer)
    await runner.client.subscribe(subjects.control("r1", "cancel"), cb=answer)
    for each in (control, runner):
        await connect.flush(each.client)
    assert (await runner.client.request("claim.r1", b"", timeout=5)).data == b"yes"
    assert (await control.client.request("ctl.r1.cancel", b"", timeout=5)).data == b"yes"
    assert heard == ["claim.r1", "ctl.r1.cancel"]
    with pytest.raises(nats.errors.NoRespondersError):
        await control.client.request("ctl.r2.cancel", b"", timeout=5)
    await soon(lambda: not runner.refused)
