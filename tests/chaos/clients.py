"""Clients that write while faults strike, and say each thing again until it is answered."""

from __future__ import annotations

import threading
from typing import Any, Self

import httpx
from msgspec import Struct, field

from ops import ids
from tests.deployment.conftest import PASSWORD, Deployment
from tests.waiting import lasting

PAUSE_S = 0.05
TAKEN = frozenset({200, 201, 202})
"""Promises."""
TOO_LATE = 405
"""A promise too where it answers a cancel: the job has ended."""
RETRY_S = 0.2


class Call(Struct, frozen=True, kw_only=True):
    """What a client launches again and again, each time under a new key."""

    name: str
    path: str
    kind: str
    """What it launches: the answer's key for it, and with an s its list."""
    query: dict[str, Any]
    """What finds everything in that list that only this call launches."""
    every_s: float
    body: dict[str, Any] = {}
    watched: bool = False
    """Its play writes down what happens, beside Playlog's capture."""

    @property
    def plural(self) -> str:
        """The list of what it launches."""
        return f"{self.kind}s"


def launch_of(
    template: int,
    name: str,
    every_s: float,
    *,
    kind: str = "job",
    watched: bool = False,
    **variables: Any,
) -> Call:
    """Return the launch of a job template, which makes a workflow job where it has slices."""
    return Call(
        name=name,
        path=f"/api/v2/job_templates/{template}/launch/",
        kind=kind,
        query={"job_template": template},
        every_s=every_s,
        body={"extra_vars": variables} if variables else {},
        watched=watched,
    )


class Told(Struct, kw_only=True):
    """What the clients were promised."""

    before: int
    """The last job before their first."""
    organizations: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    launches: dict[str, dict[str, int]] = field(default_factory=dict)
    """By a call's name: Idempotency-Key to job."""
    refused: int = 0
    """Answers that were no promise: no connection, or 503."""
    wrong: list[str] = field(default_factory=list)
    """Answers that must not be: neither a promise nor 503."""

    def of(self, name: str) -> list[int]:
        """Return the jobs that a call was promised."""
        return list(self.launches[name].values())

    def promised(self) -> int:
        """Count all promises."""
        return len(self.organizations) + sum(map(len, self.launches.values()))


class Clients:
    """Threads that write until stopped: one makes organizations, one launches for each call."""

    def __init__(self, deployment: Deployment) -> None:
        """Begin with organizations when entered."""
        self._deployment = deployment
        self._stop = threading.Event()
        query = {"order_by": "-id", "page_size": 1}
        newest = deployment.get("/api/v2/unified_jobs/", **query)["results"]
        self.told = Told(before=newest[0]["id"] if newest else 0)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._begin(self._organizations)
        return self

    def call(self, call: Call) -> None:
        """Begin to launch: once at least."""
        self.told.calls.append(call)
        self.told.launches[call.name] = {}
        self._begin(self._launches, call)

    def cancel(self, job: int) -> None:
        """Begin to cancel a job, and say so until it is taken."""
        self._begin(self._cancel, job)

    def __exit__(self, *_: object) -> None:
        """End; each waits for the answer to its last word."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client was never answered"

    def _begin(self, target: Any, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _organizations(self) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                body = {"name": f"chaos {ids.new_id()}"}
                answer = self._post(client, "/api/v2/organizations/", body, {}, again=False)
                if answer is not None:
                    self.told.organizations.append(answer["id"])
                self._stop.wait(PAUSE_S)

    def _launches(self, call: Call) -> None:
        stopped = False
        with self._client() as client:
            while not stopped:
                key = ids.new_id()
                headers = {"Idempotency-Key": key}
                answer = self._post(client, call.path, call.body, headers, again=True)
                if answer is not None:
                    self.told.launches[call.name][key] = answer[call.kind]
                stopped = self._stop.wait(call.every_s)

    def _cancel(self, job: int) -> None:
        with self._client() as client:
            path = f"/api/v2/jobs/{job}/cancel/"
            self._post(client, path, {}, {}, again=True, taken=TAKEN | {TOO_LATE})

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._deployment.url, auth=("admin", PASSWORD), timeout=30)

    def _post(
        self,
        client: httpx.Client,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str],
        *,
        again: bool,
        taken: frozenset[int] = TAKEN,
    ) -> dict[str, Any] | None:
        """Return the answer that is a promise; with ``again`` ask until there is one."""
        while True:
            try:
                answer = client.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code in taken:
                found: dict[str, Any] = answer.json() if answer.content else {}
                return found
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                self.told.wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                return None
            self.told.refused += 1
            if not again:
                return None
            lasting(RETRY_S)
