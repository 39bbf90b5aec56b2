"""Prints one line of JSON a task result, for the tests that read them."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: records
type: stdout
short_description: one line of JSON a task result
description: Prints name, outcome and result of each task on a line of its own.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    """Results as lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "records"

    def _say(self, outcome: str, result: Any) -> None:
        shown = {
            "task": result.task.get_name(),
            "action": result.task.action,
            "outcome": outcome,
            "result": result.result,
        }
        print(json.dumps(shown, default=str), flush=True)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Say what went well."""
        self._say("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002 - Ansible's interface
        """Say what failed."""
        self._say("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Say what was left out."""
        self._say("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Say what could not be reached."""
        self._say("unreachable", result)
