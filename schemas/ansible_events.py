"""AWX's names of Ansible's callback events: nesting levels and display names (``api.md`` 6.1)."""

from __future__ import annotations

_LEVELS = {
    "playbook_on_play_start": 1,
    "playbook_on_stats": 1,
    "playbook_on_vars_prompt": 1,
    "playbook_on_task_start": 2,
    "playbook_on_handler_task_start": 2,
    "playbook_on_cleanup_task_start": 2,
    "playbook_on_notify": 2,
    "playbook_on_include": 2,
    "playbook_on_no_hosts_matched": 2,
    "playbook_on_no_hosts_remaining": 2,
    "playbook_on_setup": 2,
    "playbook_on_import_for_host": 2,
    "playbook_on_not_import_for_host": 2,
    "runner_on_start": 3,
    "runner_on_ok": 3,
    "runner_on_failed": 3,
    "runner_on_error": 3,
    "runner_on_skipped": 3,
    "runner_on_unreachable": 3,
    "runner_on_no_hosts": 3,
    "runner_on_async_poll": 3,
    "runner_on_async_ok": 3,
    "runner_on_async_failed": 3,
    "runner_retry": 3,
    "runner_on_file_diff": 3,
    "runner_item_on_ok": 3,
    "runner_item_on_failed": 3,
    "runner_item_on_skipped": 3,
}
"""AWX's nesting level of an event name; names not here are free lines at level 0."""

_DISPLAY = {
    "runner_on_failed": "Host Failed",
    "runner_on_start": "Host Started",
    "runner_on_ok": "Host OK",
    "runner_on_error": "Host Failure",
    "runner_on_skipped": "Host Skipped",
    "runner_on_unreachable": "Host Unreachable",
    "runner_on_no_hosts": "No Hosts Remaining",
    "runner_on_async_poll": "Host Polling",
    "runner_on_async_ok": "Host Async OK",
    "runner_on_async_failed": "Host Async Failure",
    "runner_item_on_ok": "Item OK",
    "runner_item_on_failed": "Item Failed",
    "runner_item_on_skipped": "Item Skipped",
    "runner_retry": "Host Retry",
    "runner_on_file_diff": "File Difference",
    "playbook_on_start": "Playbook Started",
    "playbook_on_notify": "Running Handlers",
    "playbook_on_include": "Including File",
    "playbook_on_no_hosts_matched": "No Hosts Matched",
    "playbook_on_no_hosts_remaining": "No Hosts Remaining",
    "playbook_on_task_start": "Task Started",
    "playbook_on_vars_prompt": "Variables Prompted",
    "playbook_on_setup": "Gathering Facts",
    "playbook_on_import_for_host": "internal: on Import for Host",
    "playbook_on_not_import_for_host": "internal: on Not Import for Host",
    "playbook_on_play_start": "Play Started",
    "playbook_on_stats": "Playbook Complete",
    "debug": "Debug",
    "verbose": "Verbose",
    "deprecated": "Deprecated",
    "warning": "Warning",
    "system_warning": "System Warning",
    "error": "Error",
}
EVENT_CHOICES = tuple(_DISPLAY.items())


def event_level(event: str) -> int:
    """Return AWX's nesting level of an event name; free lines are at level 0."""
    return _LEVELS.get(event, 0)


def event_display(event: str, play: str, role: str, task: str) -> str:
    """Return AWX's ``event_display``, such as ``Task Started (web : install)``."""
    name = _DISPLAY.get(event, event)
    if event == "playbook_on_play_start" and play:
        return f"{name} ({play})"
    if event == "playbook_on_task_start" and task:
        return f"{name} ({role} : {task})" if role else f"{name} ({task})"
    return name
