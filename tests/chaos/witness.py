"""An Ansible callback of its own: what happened, written down beside Playlog's capture.

It is copied next to the playbooks, as a project's own plugin. One line an event, in a file that the
extra variable ``witness`` names; nothing of Playlog takes part.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Appends ``event<TAB>task<TAB>host<TAB>item`` and a newline by one write."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "witness"

    def __init__(self) -> None:
        """Write nowhere before a play names the file."""
        super().__init__()
        self._file = -1

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Open the file."""
        path = play.get_variable_manager().extra_vars.get("witness")
        if path and self._file < 0:
            job = play.get_variable_manager().extra_vars["awx_job_id"]
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(f"{path}/{job}", flags, 0o600)

    def _tell(self, event: str, result: Any) -> None:
        item = result._result.get("item", "")
        task = result._task.get_name()
        line = f"{event}\t{task}\t{result._host.get_name()}\t{item}\n"
        if self._file >= 0:
            os.write(self._file, line.encode())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell."""
        self._tell("runner_on_ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002 - Ansible's signature
        """Tell."""
        self._tell("runner_on_failed", result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Tell."""
        self._tell("runner_item_on_ok", result)
