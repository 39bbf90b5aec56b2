"""Streams on servers that are only just coming up."""

from __future__ import annotations

from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from ops import provision
from ops.pull import STREAM_NOT_FOUND
from schemas.streams import BUCKETS, STREAMS

UNAVAILABLE = 10008


class Starting(Client):
    """A connection to a cluster that has no leader at the first requests."""

    def __init__(self) -> None:
        """Nothing was asked."""
        super().__init__()
        self.asked: list[str] = []

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,  # noqa: FBT001, FBT002 - upstream's signature
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """Answer from the third request on, and have no stream."""
        self.asked.append(subject)
        if len(self.asked) == 1:
            raise nats.errors.NoRespondersError
        error = UNAVAILABLE if len(self.asked) == 2 else STREAM_NOT_FOUND
        said = {} if ".CREATE." in subject else {"error": {"err_code": error}}
        return Msg(_client=self, data=msgspec.json.encode(said))


async def test_streams_are_asked_for_until_the_servers_are_ready() -> None:
    """Whoever starts together with a cluster makes every stream, each once."""
    servers = Starting()
    changes = await provision.provision(servers, replicas=3)
    assert len(changes) == len(STREAMS) + len(BUCKETS)
    assert {each.what for each in changes} == {"created"}
    assert len(set(servers.asked[:3])) == 1
    assert len(servers.asked) == 2 + 2 * len(changes)
