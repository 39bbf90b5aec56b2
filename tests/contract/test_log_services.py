"""What stands around the log: counters, vault, blobs, leases, sealed boxes, NATS users."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import nats.errors
import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from controlplane.shell.numbers import Numbers
from controlplane.shell.vault import MasterKey, Vault
from ops import clock, connect, nats_grants, nats_identity, provision, pull, sealing
from ops.blobs import CHUNK_BYTES, Blobs
from ops.leases import Lease
from schemas import subjects
from schemas.subjects import Attempt
from tests.servers import NatsServer
from tests.waiting import soon


@pytest.fixture
async def provisioned(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a server with every stream."""
    connection = await connect.connect_nats(nats_server.url, None, "test")
    await provision.provision(connection)
    yield connection
    await connect.close_quietly(connection)


async def test_provisioning_again_changes_nothing(provisioned: Client) -> None:
    """Streams and buckets stand as declared after the first time."""
    assert await provision.provision(provisioned) == []


async def test_a_bounded_read_ends_at_what_was_purged(provisioned: Client) -> None:
    """A stream whose last messages were purged, or are purged now, is read to its end."""
    context = provisioned.jetstream()
    for job in (1, 2, 2, 3, 3):
        await context.publish(f"output.1.{job}.1", b"frame")
    await context.purge_stream("OUTPUT", subject="output.1.3.1")
    reader = pull.read(provisioned, "OUTPUT", 1, 5)
    found = [message.sequence for messages in [await anext(reader)] for message in messages]
    assert found == [1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(reader), 20)
    late = pull.read(provisioned, "OUTPUT", 2, 5, filters=["output.1.2.*"])
    await context.purge_stream("OUTPUT")
    assert [messages async for messages in late] == []


async def test_a_message_that_is_lost_on_the_way_is_read_all_the_same(
    provisioned: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one, behind which none comes that would show the gap: a heartbeat does."""
    await provisioned.jetstream().publish("output.1.1.1", b"frame")
    receive = pull.Puller._receive
    lost: list[Msg] = []

    async def losing(self: pull.Puller, message: Msg) -> None:
        if message.data and not lost:
            lost.append(message)
        else:
            await receive(self, message)

    monkeypatch.setattr(pull.Puller, "_receive", losing)
    reader = pull.follow(provisioned, "OUTPUT", 0)
    async with contextlib.aclosing(reader), asyncio.timeout(30):
        async for found in reader:
            if found:
                break
    assert [message.sequence for message in found] == [1]
    assert len(lost) == 1


async def test_a_server_that_is_away_is_not_complained_of_at_each_attempt() -> None:
    """The same words come from time to time, other ones at once."""
    told = connect.connection_options("role", None)["error_cb"]
    with structlog.testing.capture_logs() as said:
        for why in ("refused", "refused", "refused", "no route", "refused"):
            await told(OSError(why))
    assert [each["error"] for each in said] == ["refused", "no route", "refused"]


async def test_ids_are_unique_and_in_order(provisioned: Client) -> None:
    """Concurrent takers get disjoint ranges; a raised counter goes on behind."""
    numbers = Numbers(provisioned)
    ranges = await asyncio.gather(*(numbers.take("host", 3) for _ in range(20)))
    assert sorted(number for each in ranges for number in each) == list(range(1, 61))
    await numbers.raise_to("host", 1000)
    assert await numbers.take("host") == range(1001, 1002)
    await numbers.raise_to("host", 5)
    assert await numbers.take("host") == range(1002, 1003)


async def test_secrets_open_for_their_object_alone(provisioned: Client, tmp_path: Path) -> None:
    """Another object's key does not open them; an erased key opens nothing, ever."""
    master = MasterKey.load_or_create(tmp_path / "master.key")
    vault = Vault(provisioned, master)
    sealed = await vault.seal("credential", 1, "s3cret")
    assert "s3cret" not in sealed
    assert await vault.open("credential", 1, sealed) == "s3cret"
    assert await Vault(provisioned, master).open("credential", 1, sealed) == "s3cret"
    await vault.seal("credential", 2, "other")
    with pytest.raises(ValueError, match="does not open"):
        await vault.open("credential", 2, sealed)
    await vault.erase("credential", 1)
    with pytest.raises(KeyError):
        await vault.open("credential", 1, sealed)


async def test_another_master_key_opens_nothing(provisioned: Client, tmp_path: Path) -> None:
    """The log alone does not give secrets away."""
    vault = Vault(provisioned, MasterKey.load_or_create(tmp_path / "one"))
    sealed = await vault.seal("credential", 1, "s3cret")
    other = Vault(provisioned, MasterKey.load_or_create(tmp_path / "two"))
    with pytest.raises(ValueError, match="master key"):
        await other.open("credential", 1, sealed)
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 7])
async def test_content_comes_back_by_its_digest(
    provisioned: Client, tmp_path: Path, size: int
) -> None:
    """Whole, from memory and from files, stored once."""
    store = Blobs(provisioned)
    content = bytes(number % 251 for number in range(size))
    (tmp_path / "in").write_bytes(content)
    digest = await store.put(content)
    assert await store.put_file(tmp_path / "in") == digest
    assert await store.get(digest) == content
    await store.get_file(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


async def test_content_that_is_not_there_is_a_key_error(provisioned: Client) -> None:
    """Also for content of which only a part was stored."""
    store = Blobs(provisioned)
    with pytest.raises(KeyError):
        await store.get("0" * 64)
    await provisioned.jetstream().publish(subjects.content("1" * 64, 0), b"part")
    with pytest.raises(KeyError):
        await store.get("1" * 64)


async def test_one_holder_at_a_time_and_the_next_follows(provisioned: Client) -> None:
    """A released lease is taken at once; a dead holder's when its TTL has passed."""
    first, second = Lease(provisioned, "x", "a", 1), Lease(provisioned, "x", "b", 1)
    holding: list[str] = []
    release = asyncio.Event()

    async def hold(name: str, until: asyncio.Event) -> None:
        holding.append(name)
        await until.wait()
        holding.remove(name)

    one = asyncio.create_task(first.run(lambda: hold("a", release)))
    await soon(lambda: holding == ["a"])
    two = asyncio.create_task(second.run(lambda: hold("b", asyncio.Event())))
    release.set()
    await soon(lambda: holding == ["b"])
    await one
    third = Lease(provisioned, "x", "c", 1)
    two.cancel()
    await asyncio.gather(two, return_exceptions=True)
    await asyncio.wait_for(third.acquire(), 10)


@settings(max_examples=50)
@given(st.binary(max_size=2000))
def test_a_sealed_box_opens_for_its_receiver_alone(content: bytes) -> None:
    """Every sealing differs, and a changed box does not open."""
    receiver = sealing.SealingKey(bytes(range(32)))
    other = sealing.SealingKey(bytes(range(1, 33)))
    sealed = sealing.seal_to(receiver.public, content)
    assert receiver.unseal(sealed) == content
    assert sealed != sealing.seal_to(receiver.public, content)
    with pytest.raises(ValueError, match="sealed to another key"):
        other.unseal(sealed)


class Site:
    """A server with accounts and one connection a user."""

    def __init__(self, directory: Path) -> None:
        """Make the identity and start the server."""
        self.identity = nats_identity.load_or_create(directory / "identity.json")
        self.server = NatsServer(directory / "nats", self.identity.auth_conf(directory / "jwt"))
        self.server.start()
        self._directory = directory
        self.refused: list[str] = []

    async def connect(self, name: str, creds: nats_identity.Creds, inbox: str | None) -> Client:
        """Connect as a user."""
        path = self._directory / f"{name}.json"
        nats_identity.write_creds(path, creds)
        return await connect.connect_nats(
            self.server.url, path, name, inbox_prefix=inbox, patient=False
        )


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    """A server with accounts."""
    made = Site(directory)
    yield made
    made.server.stop()


async def _refused(call: object) -> None:
    """Expect that a request of a restricted user gets no answer: NATS drops what is not allowed."""
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await call  # type: ignore[misc]  # a coroutine


async def test_without_credentials_nobody_gets_in(site: Site) -> None:
    """The embedded server asks everybody who they are."""
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await connect.connect_nats(site.server.url, None, "nobody", patient=False)


async def test_a_runner_reaches_its_own_subjects_and_no_others(site: Site) -> None:
    """It may not read configuration, keys or other runners' control, nor pose as another."""
    control = await site.connect("control", site.identity.control_user(), None)
    await provision.provision(control)
    heard: list[str] = []

    async def hear(message: object) -> None:
        heard.append(message.subject)  # type: ignore[attr-defined]

    await control.subscribe("claim.*", cb=hear)
    await connect.flush(control)
    runner = await site.connect(
        "r1",
        site.identity.runner_user("r1", ("default",)),
        nats_grants.inbox_prefix("r1"),
    )
    await runner.publish(subjects.claim("r2"), b"{}")
    await runner.publish("config.organization.1", b"{}")
    await runner.publish("job.1", b"{}")
    await runner.publish(subjects.output(Attempt(1, 7, 1)), b"{}")
    await runner.publish(subjects.claim("r1"), b"{}")
    await connect.flush(runner)
    await soon(lambda: heard == ["claim.r1"])
    await _refused(runner.request("$JS.API.DIRECT.GET.KEYS", b'{"seq":1}', timeout=0.5))
    await _refused(runner.request("$JS.API.DIRECT.GET.CONFIG", b'{"seq":1}', timeout=0.5))
    for stream in ("CONFIG", "JOBS", "OUTPUT"):
        assert (await control.jetstream().stream_info(stream)).state.messages == 0
    for each in (control, runner):
        await connect.close_quietly(each)


async def test_an_attempts_user_writes_its_own_record_alone(site: Site) -> None:
    """Another attempt's subjects are refused."""
    control = await site.connect("control", site.identity.control_user(), None)
    await provision.provision(control)
    attempt = Attempt(1, 7, 2)
    creds = site.identity.job_user(attempt, clock.now() + timedelta(minutes=5))
    user = await site.connect("job", creds, nats_grants.inbox_prefix("7-2"))
    context = user.jetstream(timeout=1)
    await context.publish(subjects.output(attempt), b"{}")
    await context.publish(subjects.report(attempt), b"{}")
    for other in (Attempt(1, 7, 1), Attempt(1, 8, 2), Attempt(2, 7, 2)):
        await _refused(context.publish(subjects.output(other), b"{}"))
    assert (await control.jetstream().stream_info("OUTPUT")).state.messages == 1
    for each in (control, user):
        await connect.close_quietly(each)


async def test_a_viewer_hears_what_it_was_granted_and_says_nothing(site: Site) -> None:
    """Live output of one job arrives, of another does not; publishing is refused."""
    control = await site.connect("control", site.identity.control_user(), None)
    creds = site.identity.viewer_user([subjects.live_job(1, 7)], clock.now() + timedelta(minutes=5))
    viewer = await site.connect("viewer", creds, None)
    heard: list[str] = []

    async def hear(message: object) -> None:
        heard.append(message.subject)  # type: ignore[attr-defined]

    await viewer.subscribe(subjects.live_job(1, 7), cb=hear)
    await viewer.subscribe("live.>", cb=hear)
    await viewer.subscribe("config.>", cb=hear)
    await viewer.publish("live.1.7.1", b"forged")
    await connect.flush(viewer)
    await control.publish("config.organization.1", b"")
    await control.publish("live.1.8.1", b"")
    await control.publish("live.1.7.1", b"")
    await connect.flush(control)
    await soon(lambda: heard == ["live.1.7.1"])
    for each in (control, viewer):
        await connect.close_quietly(each)
