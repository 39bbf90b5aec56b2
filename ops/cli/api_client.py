"""A small HTTP client of Playlog's own API, for the command's demo and readiness.

The standard library suffices.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ops import clock

POLL_S = 0.2
WITHIN_S = 300.0
_TERMINAL = {"successful", "failed", "error", "canceled"}


class Refused(Exception):
    """The API answered with an error status; the message holds its body."""


class ApiClient:
    """Speaks JSON with basic authentication."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Talk to ``url`` (scheme, host and port); an empty username stays anonymous."""
        self._url = url
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    def get(self, path: str) -> dict[str, Any]:
        """GET a JSON object; raises Refused."""
        return self._send("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST a JSON object and return the answer's; raises Refused."""
        return self._send("POST", path, body)

    def find(self, plural: str, **filters: str) -> dict[str, Any]:
        """Return the one object of a list that matches; raises Refused when there is none."""
        results = self.get(f"/api/v2/{plural}/?{urllib.parse.urlencode(filters)}")["results"]
        if not results:
            message = f"no {plural} with {filters}"
            raise Refused(message)
        found: dict[str, Any] = results[0]
        return found

    def wait_for_job(self, path: str) -> dict[str, Any]:
        """Return a unified job when it has ended and all its events are readable."""
        return self._until(
            path, lambda job: job["status"] in _TERMINAL and job["event_processing_finished"]
        )

    def wait_for_update(self, project: int) -> dict[str, Any]:
        """Return a project when its update has ended; raises Refused unless it succeeded."""
        found = self._until(
            f"/api/v2/projects/{project}/", lambda each: each["status"] in _TERMINAL
        )
        if found["status"] != "successful":
            message = f"the project update is {found['status']}"
            raise Refused(message)
        return found

    def _until(self, path: str, done: Any) -> dict[str, Any]:
        end = clock.monotonic() + WITHIN_S
        while clock.monotonic() < end:
            found = self.get(path)
            if done(found):
                return found
            time.sleep(POLL_S)
        message = f"{path} did not end within {WITHIN_S:.0f} s"
        raise Refused(message)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - always our own http address
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                raw = answer.read()
        except urllib.error.HTTPError as error:
            message = f"{method} {path}: {error.code} {error.read().decode(errors='replace')}"
            raise Refused(message) from error
        except urllib.error.URLError as error:
            message = f"{method} {path}: {error.reason}"
            raise Refused(message) from error
        found: dict[str, Any] = json.loads(raw) if raw else {}
        return found
