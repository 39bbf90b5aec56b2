"""A job directory as the agent prepares it, and what came of it."""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from runners import process_tree
from runners.journal import Final, JournalEvent, JournalReader
from runners.spec import JOURNAL_FILE, JobSpec, Secrets, write_spec
from runners.zygote_client import SupervisorHandle, Zygote
from schemas.output import AnsibleEvent
from tests.waiting import eventually

LOCAL: Mapping[str, Any] = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "/usr/bin/python3",
}

NO_SECRETS = Secrets()


class Rig:
    """One attempt: its directory, its supervisor, its journal."""

    def __init__(self, data: Path, zygote: Zygote, job: int) -> None:
        self.zygote = zygote
        self.job = job
        self.dir = data / "jobs" / f"{job}-1"
        self.reader = JournalReader(self.dir / JOURNAL_FILE)
        self.handle: SupervisorHandle | None = None

    def write(
        self,
        files: Mapping[str, str] = {},
        hosts: tuple[str, ...] = ("localhost",),
        **spec: Any,
    ) -> JobSpec:
        """Write the specification, the project's files and a local inventory."""
        defaults: dict[str, Any] = {"kind": "job", "playbook": "site.yml"}
        written = JobSpec(job=self.job, attempt=1, org=1, **(defaults | spec))
        write_spec(self.dir, written)
        self.dir.joinpath("content.tar").write_bytes(tar_of(files))
        ids = enumerate(hosts, 1)
        hostvars = {name: {**LOCAL, "remote_tower_id": each} for each, name in ids}
        listing = {"all": {"hosts": list(hosts)}, "_meta": {"hostvars": hostvars}}
        self.dir.joinpath("inventory.json").write_text(json.dumps(listing))
        return written

    def start(self, secrets: Secrets = NO_SECRETS) -> SupervisorHandle:
        """Start its supervisor."""
        self.handle = asyncio.run(self.zygote.spawn(self.dir, secrets))
        return self.handle

    def run(self, secrets: Secrets = NO_SECRETS) -> Final:
        """Run it to its end."""
        self.start(secrets)
        return self.finish()

    def finish(self, within_s: float = 40.0) -> Final:
        """Wait for the supervisor's end; return the final frame."""
        handle = self.handle
        assert handle is not None
        eventually(lambda: not handle.is_alive(), within_s)
        final = list(self.reader.all())[-1]
        assert isinstance(final, Final), (self.dir / "supervisor.log").read_text()
        return final

    def events(self, name: str = "") -> list[AnsibleEvent]:
        """Return its events so far, of one name or all."""
        found = [each.event for each in self.reader.all() if isinstance(each, JournalEvent)]
        return [each for each in found if not name or each.event == name]

    def seen(self, name: str, task: str = "") -> AnsibleEvent:
        """Wait for an event of a task."""

        def found() -> list[AnsibleEvent]:
            return [each for each in self.events(name) if not task or each.task == task]

        return eventually(found)[0]

    def results(self, event: str, task: str) -> list[dict[str, Any]]:
        """Return the results of a task."""
        found = [each for each in self.events(event) if each.task == task]
        return [msgspec.json.decode(each.event_data)["res"] for each in found]

    def stdout(self) -> str:
        """Return its whole output."""
        return "\r\n".join(each.stdout for each in self.events())

    def raw(self) -> bytes:
        """Return the journal's bytes."""
        return (self.dir / JOURNAL_FILE).read_bytes()

    def processes(self) -> list[int]:
        """Return its living processes."""
        return process_tree.marked(self.dir)


def tar_of(files: Mapping[str, str]) -> bytes:
    """Return a tar archive of text files."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            member.mode = 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(member, BytesIO(text.encode()))
    return buffer.getvalue()


def play(*tasks: str, hosts: str = "all") -> dict[str, str]:
    """Return a project whose site.yml has one play of these tasks (YAML mappings in flow style)."""
    lines = "\n".join(f"    - {task}" for task in tasks)
    return {"site.yml": f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n{lines}\n"}
