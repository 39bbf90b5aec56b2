"""What a webhook request says: who signed it, what happened, and to which commit (``api.md`` 4.8).

Pure. Each service signs with the template's key and names its event in headers of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct

PREFIXES = ("awx", "tower")
"""The variables of a webhook are given twice, as AWX does."""
NO_COMMIT = "0" * 40
_GITHUB_REFS: dict[str, tuple[str, ...]] = {
    "push": ("after",),
    "pull_request": ("pull_request", "head", "sha"),
    "pull_request_review": ("pull_request", "head", "sha"),
    "pull_request_review_comment": ("pull_request", "head", "sha"),
    "pull_request_target": ("pull_request", "head", "sha"),
    "release": ("release", "tag_name"),
    "commit_comment": ("comment", "commit_id"),
    "create": ("ref",),
    "page_build": ("build", "commit"),
}
_GITLAB_REFS: dict[str, tuple[str, ...]] = {
    "Push Hook": ("checkout_sha",),
    "Tag Push Hook": ("checkout_sha",),
    "Merge Request Hook": ("object_attributes", "last_commit", "id"),
}
_BITBUCKET_REFS: dict[str, tuple[str | int, ...]] = {
    "repo:refs_changed": ("changes", 0, "toHash"),
    "mirror:repo_synchronized": ("changes", 0, "toHash"),
    "pr:opened": ("pullRequest", "toRef", "latestCommit"),
    "pr:from_ref_updated": ("pullRequest", "toRef", "latestCommit"),
    "pr:modified": ("pullRequest", "toRef", "latestCommit"),
}
"""Event to the way to its commit in the body; other events of this service start nothing."""


class Event(Struct, frozen=True, kw_only=True):
    """A webhook that was signed with the right key."""

    type: str
    guid: str
    ref: str | None
    status_api: str | None = None

    def variables(self, payload: Any) -> dict[str, Any]:
        """Return the variables that the job gets of it."""
        values = {
            "event_type": self.type,
            "event_guid": self.guid,
            "event_ref": self.ref,
            "status_api": self.status_api,
            "payload": payload,
        }
        return {
            f"{prefix}_webhook_{name}": value
            for prefix in PREFIXES
            for name, value in values.items()
        }


class Request(Struct, frozen=True, kw_only=True):
    """A request to a receiver: headers by lower-case name, the body as sent and as read."""

    headers: Mapping[str, str]
    body: bytes
    payload: Any


def receive(service: str, request: Request, key: str) -> Event | None:
    """Return the event, or None when the signature is not by the key."""
    return _SERVICES[service](request, key) if key else None


def starts(service: str, event_type: str) -> bool:
    """Return whether an event of a service starts anything."""
    return service != "bitbucket_dc" or event_type in _BITBUCKET_REFS


def _github(request: Request, key: str) -> Event | None:
    kind = request.headers.get("x-github-event", "")
    if not kind or not _signed(request, key, ("sha1",)):
        return None
    statuses = _at(request.payload, ("pull_request", "statuses_url"))
    return Event(
        type=kind,
        guid=request.headers.get("x-github-delivery", ""),
        ref=_ref(request.payload, _GITHUB_REFS.get(kind)),
        status_api=statuses if kind == "pull_request" and isinstance(statuses, str) else None,
    )


def _gitlab(request: Request, key: str) -> Event | None:
    kind = request.headers.get("x-gitlab-event", "")
    token = request.headers.get("x-gitlab-token", "")
    if not kind or not hmac.compare_digest(token.encode(), key.encode()):
        return None
    guid = hashlib.sha1(request.body, usedforsecurity=False).hexdigest()
    ref = _ref(request.payload, _GITLAB_REFS.get(kind))
    return Event(
        type=kind, guid=guid, ref=ref, status_api=_gitlab_statuses(request.payload, kind, ref)
    )


def _bitbucket(request: Request, key: str) -> Event | None:
    kind = request.headers.get("x-event-key", "")
    if not kind or not _signed(request, key, ("sha1", "sha256")):
        return None
    ref = _ref(request.payload, _BITBUCKET_REFS.get(kind))
    return Event(
        type=kind,
        guid=request.headers.get("x-request-id", ""),
        ref=ref,
        status_api=_bitbucket_statuses(request.payload, ref),
    )


def _gitlab_statuses(payload: Any, kind: str, ref: str | None) -> str | None:
    """Return where a commit's status is told: at the server of the project's own page."""
    number, server = _at(payload, ("project", "id")), _server(_at(payload, ("project", "web_url")))
    known = isinstance(number, int) and not isinstance(number, bool)
    if kind not in _GITLAB_REFS or ref is None or server is None or not known:
        return None
    return f"{server}/api/v4/projects/{number}/statuses/{quote(ref, safe='')}"


def _bitbucket_statuses(payload: Any, ref: str | None) -> str | None:
    places = (("actor", "links", "self", 0, "href"), ("repository", "links", "self", 0, "href"))
    servers = [found for each in places if (found := _server(_at(payload, each))) is not None]
    if ref is None or not servers:
        return None
    return f"{servers[0]}/rest/build-status/1.0/commits/{quote(ref, safe='')}"


def _server(url: Any) -> str | None:
    """Return scheme and host of a URL; None where it has none."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}"


def _signed(request: Request, key: str, algorithms: tuple[str, ...]) -> bool:
    name, _, given = request.headers.get("x-hub-signature", "").partition("=")
    if name not in algorithms:
        return False
    wanted = hmac.new(key.encode(), request.body, name).hexdigest()
    return hmac.compare_digest(given.encode(), wanted.encode())


def _ref(payload: Any, path: tuple[str | int, ...] | None) -> str | None:
    found = _at(payload, path) if path else None
    return found if isinstance(found, str) and found not in ("", NO_COMMIT) else None


def _at(payload: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        try:
            payload = payload[part]
        except (KeyError, IndexError, TypeError):
            return None
    return payload


_SERVICES: dict[str, Callable[[Request, str], Event | None]] = {
    "github": _github,
    "gitlab": _gitlab,
    "bitbucket_dc": _bitbucket,
}
