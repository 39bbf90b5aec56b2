"""A play that is told, not run.

Playbook events for work that needs no Ansible, as AWX's clients expect them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ops import clock
from runners.journal import JournalWriter, new_uuid

HOST = "localhost"
_BANNER_CHARS = 79
_COLORS = {"ok": "0;32", "changed": "0;33", "failed": "0;31", "skipping": "0;36"}


class ToldPlay:
    """One play on localhost; every method appends the events a playbook would have made."""

    def __init__(self, journal: JournalWriter, playbook: str, play: str) -> None:
        """Take the names the events show."""
        self._journal = journal
        self._playbook = {"playbook": playbook, "playbook_uuid": new_uuid()}
        self._play = {"play": play, "play_uuid": new_uuid(), "play_pattern": HOST}
        self._task: dict[str, object] = {}
        self._started: datetime = clock.now()
        self._counts = {"ok": 0, "changed": 0, "failed": 0, "skipped": 0}

    def begin(self) -> None:
        """Start the playbook and its first play."""
        uuid = str(self._playbook["playbook_uuid"])
        self._event("playbook_on_start", uuid, "", self._playbook, "")
        self._begin_play()

    def play(self, name: str) -> None:
        """Start the next play."""
        self._play = {"play": name, "play_uuid": new_uuid(), "play_pattern": HOST}
        self._begin_play()

    def _begin_play(self) -> None:
        uuid = str(self._playbook["playbook_uuid"])
        data = {**self._playbook, **self._play, "name": self._play["play"], "pattern": HOST}
        banner = _banner(f"PLAY [{self._play['play']}]")
        self._event("playbook_on_play_start", str(self._play["play_uuid"]), uuid, data, banner)

    def task(self, name: str, action: str) -> None:
        """Start a task."""
        uuid = new_uuid()
        self._task = {"task": name, "task_uuid": uuid, "task_action": action, "task_args": ""}
        data = {**self._data(), "name": name, "is_conditional": False}
        play = str(self._play["play_uuid"])
        self._event("playbook_on_task_start", uuid, play, data, _banner(f"TASK [{name}]"))
        self._started = clock.now()
        self._event("runner_on_start", new_uuid(), uuid, {**self._data(), "host": HOST}, "")

    def done(self, message: str, *, changed: bool = False, **result: object) -> None:
        """End the task well; ``result`` goes into the event's ``res``."""
        word = "changed" if changed else "ok"
        self._counts["ok"] += 1
        self._counts["changed"] += changed
        self._end("runner_on_ok", word, {**result, "msg": message, "changed": changed})

    def failed(self, message: str, **result: object) -> None:
        """End the task badly."""
        self._counts["failed"] += 1
        self._end("runner_on_failed", "failed", {**result, "msg": message, "changed": False})

    def skipped(self, reason: str) -> None:
        """End a task that there is no need for."""
        self._counts["skipped"] += 1
        self._end("runner_on_skipped", "skipping", {"msg": reason, "changed": False})

    def finish(self) -> None:
        """Tell the recap."""
        counts = self._counts
        one = {name: {HOST: counts[each]} if counts[each] else {} for name, each in _STATS}
        data = {**self._playbook, **one, "processed": {HOST: 1}, "artifact_data": {}}
        data |= {"dark": {}, "ignored": {}, "rescued": {}}
        line = f"{HOST:<26} : ok={counts['ok']:<4} changed={counts['changed']:<4} "
        line += f"unreachable=0    failed={counts['failed']:<4} "
        line += f"skipped={counts['skipped']:<4} rescued=0    ignored=0   \n"
        parent = str(self._playbook["playbook_uuid"])
        text = _banner("PLAY RECAP") + line + "\n"
        self._event("playbook_on_stats", new_uuid(), parent, data, text)

    def _end(self, event: str, word: str, result: dict[str, object]) -> None:
        ended = clock.now()
        data = {
            **self._data(),
            "host": HOST,
            "remote_addr": HOST,
            "res": result,
            "start": self._started.isoformat(),
            "end": ended.isoformat(),
            "duration": (ended - self._started).total_seconds(),
            "event_loop": None,
        }
        if event == "runner_on_failed":
            data["ignore_errors"] = False
        label = "fatal" if word == "failed" else word
        lines = f"{label}: [{HOST}] => {result['msg']}".splitlines()
        text = "".join(f"\x1b[{_COLORS[word]}m{line}\x1b[0m\n" for line in lines)
        self._event(event, new_uuid(), str(self._task["task_uuid"]), data, text)

    def _data(self) -> dict[str, object]:
        return {**self._playbook, **self._play, **self._task}

    def _event(
        self, event: str, uuid: str, parent: str, data: Mapping[str, object], printed: str
    ) -> None:
        record: dict[str, object] = {
            "event": event,
            "uuid": uuid,
            "created": clock.now().isoformat(),
            "event_data": {**data, "uuid": uuid},
        }
        if parent:
            record["parent_uuid"] = parent
        self._journal.event(record, printed)


_STATS = (
    *(("ok", "ok"), ("changed", "changed")),
    *(("failures", "failed"), ("skipped", "skipped")),
)


def _banner(text: str) -> str:
    return f"\n{text} {'*' * max(3, _BANNER_CHARS - len(text))}\n"
