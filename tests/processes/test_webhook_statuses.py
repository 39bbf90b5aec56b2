"""What becomes of a webhook's job is told to the service, in order, with the token in a header."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from controlplane.domain.job import Fail
from controlplane.domain.webhook_statuses import StatusPost, is_for
from controlplane.processes import position, webhook_statuses
from controlplane.processes.webhook_statuses import WebhookStatuses
from ops import clock
from schemas import subjects
from schemas.events.resource import ResourceCreated
from schemas.events.setting import SettingsChanged
from schemas.status import Status
from tests.processes.floor import RECORD, WITHIN_S, Floor
from tests.waiting import soon

TOKEN = "t0ken-of-the-service"


class Service:
    """A git service that writes down what it is told; it refuses the first ``broken`` requests."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.told: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.broken = 0
        self.server = self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while line := await reader.readline():
            headers: dict[str, str] = {}
            while (header := (await reader.readline()).decode().strip()) != "":
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            if self.broken:
                self.broken -= 1
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            else:
                self.told.append((line.decode().split()[1], headers, body))
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service on a port of its own."""
    found = Service()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.server = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    found.url = f"{found.server}/statuses/abc"
    yield found
    server.close()


async def credential(floor: Floor, server: str) -> None:
    """Store the service's token as credential 5, and that its server may be told."""
    sealed = await floor.tools.vault.seal("credential", 5, TOKEN)
    values = {
        "name": "c",
        "credential_type": 9,
        "kind": "gitlab_token",
        "inputs": {"token": sealed},
    }
    event = ResourceCreated(kind="credential", id=5, values=values)
    await floor.config(subjects.config("credential", 5), event)
    servers = [server, "http://127.0.0.1:1"]
    values = {
        "TOWER_URL_BASE": "https://playlog.example/",
        "WEBHOOK_STATUS_SERVERS": servers,
    }
    base = SettingsChanged(values=values)
    await floor.config(subjects.config("settings", 1), base)


def hooked(service: str, url: str) -> Any:
    """A record that a webhook launched."""
    return msgspec.structs.replace(
        RECORD,
        webhook_service=service,
        webhook_credential=5,
        extra_vars=json.dumps({"tower_webhook_status_api": url}),
    )


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://api.github.com/repos/a/b/statuses/c", True),
        ("http://api.github.com/repos/a/b/statuses/c", False),
        ("https://evil.example\\@api.github.com/x", False),
        ("https://api.github.com@evil.example/x", False),
        ("https://api.github.com.evil.example/x", False),
        ("https://git.example/api/v3/x", False),
        ("https://[::1/x", False),
        ("http://listed.example:81/x", True),
        ("http://listed.example/x", False),
    ],
)
def test_a_token_is_for_known_servers_alone(url: str, *, known: bool) -> None:
    """Whoever signs a webhook cannot have the template's token sent to a server of his own."""
    post = StatusPost(job=1, service="github", credential=5, url=url, body=b"")
    assert is_for(post, ["http://listed.example:81/"]) is known


async def test_statuses_are_told_once_and_again_after_an_outage(
    floor: Floor, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pending and the end come in order; a broken answer is asked again; another loop goes on."""
    monkeypatch.setattr(webhook_statuses, "PAUSE_S", 0.0)
    await credential(floor, service.server)
    service.broken = 1
    await floor.launch(1)
    await floor.launch(2, record=hooked("gitlab", service.url))
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    await floor.launch(9, record=hooked("gitlab", elsewhere))
    floor.run(WebhookStatuses())
    await soon(lambda: len(service.told) == 1, WITHIN_S)
    path, headers, body = service.told[0]
    assert (path, headers["private-token"]) == ("/statuses/abc", TOKEN)
    target = "https://playlog.example/#/jobs/playbook/2"
    assert body == {"state": "pending", "context": "ansible/awx", "target_url": target}
    await floor.job(1, Fail(at=clock.now(), explanation="x", status=Status.FAILED))
    await floor.job(2, Fail(at=clock.now(), explanation="x", status=Status.FAILED))
    await floor.launch(3, record=hooked("github", service.url))
    await soon(lambda: len(service.told) == 3, WITHIN_S)
    assert [each[2]["state"] for each in service.told] == ["pending", "failed", "pending"]
    assert service.told[2][1]["authorization"] == f"token {TOKEN}"
    assert all(TOKEN not in json.dumps(each[2]) for each in service.told)


async def test_a_job_of_before_the_start_is_known_from_its_history(
    floor: Floor, service: Service
) -> None:
    """A loop that starts later looks a launch up; a service that is away holds nobody up."""
    await credential(floor, service.server)
    await floor.launch(1, record=hooked("bitbucket_dc", "http://127.0.0.1:1/nobody"))
    await floor.launch(2, record=hooked("bitbucket_dc", service.url))
    loop = WebhookStatuses()
    behind = await floor.store.last_sequence("JOBS")
    await position.save(floor.connection, loop.name, behind)
    floor.run(loop)
    for job in (1, 2):
        await floor.job(job, Fail(at=clock.now(), explanation="x", status=Status.ERROR))
    await soon(lambda: len(service.told) == 1, WITHIN_S)
    _, headers, body = service.told[0]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert (body["state"], body["key"]) == ("FAILED", "ansible/awx")
