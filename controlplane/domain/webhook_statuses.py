"""What a webhook's job tells the service that asked for it: requests for its commit's status. Pure.

AWX's own words to each service (``api.md`` 4.8). A status that a service does not know is not told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from controlplane.domain import extra_vars
from schemas.events.job import JobLaunched, PlaybookLaunch
from schemas.status import Status

CONTEXT = "ansible/awx"
"""The name under which services keep the status, as branch rules made for AWX expect it."""
STATUS_API = "tower_webhook_status_api"
_WORDS: Mapping[str, Mapping[str, str]] = {
    "github": {
        "pending": "pending",
        "successful": "success",
        "failed": "failure",
        "canceled": "failure",
        "error": "error",
    },
    "gitlab": {
        "pending": "pending",
        "running": "running",
        "successful": "success",
        "failed": "failed",
        "error": "failed",
        "canceled": "canceled",
    },
    "bitbucket_dc": {
        "pending": "INPROGRESS",
        "running": "INPROGRESS",
        "successful": "SUCCESSFUL",
        "failed": "FAILED",
        "error": "FAILED",
        "canceled": "FAILED",
    },
}
_AUTHORIZE: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "github": lambda token: ("Authorization", f"token {token}"),
    "gitlab": lambda token: ("PRIVATE-TOKEN", token),
    "bitbucket_dc": lambda token: ("Authorization", f"Bearer {token}"),
}


_PLAIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/|$)")
"""Nothing in the server's place that readers of URLs understand differently."""
_PUBLIC: Mapping[str, str] = {
    "github": "https://api.github.com",
    "gitlab": "https://gitlab.com",
}


class StatusPost(Struct, frozen=True, kw_only=True):
    """A request that tells a status; the token is put in its header when it is sent."""

    job: int
    service: str
    credential: int
    url: str
    body: bytes

    def headers(self, token: str) -> dict[str, str]:
        """Return the headers of the request."""
        name, value = _AUTHORIZE[self.service](token)
        return {name: value, "Content-Type": "application/json"}


def post_of(launched: JobLaunched, status: Status, base: str) -> StatusPost | None:
    """Return how a job's status is told; None where nobody wants to know. ``base``: our own URL."""
    record = launched.record
    if not isinstance(record, PlaybookLaunch) or record.webhook_credential is None:
        return None
    url = extra_vars.parse(record.extra_vars).get(STATUS_API)
    word = _WORDS.get(record.webhook_service, {}).get(str(status))
    if word is None or not isinstance(url, str) or not url.startswith(("https://", "http://")):
        return None
    target = f"{base.rstrip('/')}/#/jobs/playbook/{launched.id}"
    body: dict[str, Any] = {"state": word, "context": CONTEXT, "target_url": target}
    if record.webhook_service == "bitbucket_dc":
        body = {"state": word, "key": CONTEXT, "url": target}
    return StatusPost(
        job=launched.id,
        service=record.webhook_service,
        credential=record.webhook_credential,
        url=url,
        body=msgspec.json.encode(body),
    )


def is_for(post: StatusPost, servers: Collection[str]) -> bool:
    """Tell whether the token may be shown where a status is to be told.

    The webhook itself says where. Who knows its key, or may change the template's project, must not
    have the token sent to himself: it goes to the service's public server and to ``servers``.
    """
    if _PLAIN.match(post.url) is None:
        return False
    known = {_PUBLIC.get(post.service), *(each.rstrip("/").lower() for each in servers)}
    return _server(post.url) in known


def _server(url: str) -> str:
    """Return scheme, host and port of a URL; empty when it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower()
