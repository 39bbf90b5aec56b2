"""Ansible's stdout callback inside a job: one journal frame per event, the moment it happens.

Named ``awx_display`` so that ansible-runner selects it. Names and contents of events stay upstream's: this loads
ansible-runner's own ``awx_display`` and replaces only where its events go. Where anything is missing, upstream's
plugin is used as it is, and events reach the supervisor through the terminal.
"""

from __future__ import annotations

DOCUMENTATION = """
    callback: awx_display
    short_description: journal of playbook events
    version_added: "2.0"
    description:
        - Appends every event to the journal of its job
    type: stdout
    extends_documentation_fragment:
      - default_callback
    requirements:
      - Set as stdout in config
"""

import importlib.util
import os
import sys
from typing import Any, TextIO

_HERE = os.path.dirname(os.path.realpath(__file__))


def _load(name: str, path: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _upstream() -> Any:
    """Load the next awx_display on the plugin path: ansible-runner appends its own behind ours."""
    for directory in os.environ.get("ANSIBLE_CALLBACK_PLUGINS", "").split(":"):
        path = os.path.join(directory, "awx_display.py")
        if os.path.realpath(directory) != _HERE and os.path.exists(path):
            return _load("playlog_upstream_awx_display", path)
    raise ImportError("ansible-runner's awx_display is not on the callback path")


class _Capture:
    """Route what is printed to the innermost open event, or to the real stream when there is none."""

    def __init__(self, real: TextIO, opened: list[tuple[str, list[str]]]) -> None:
        self._real = real
        self._opened = opened

    def write(self, text: str) -> int:
        """Keep text of an open event; pass on what belongs to none."""
        if self._opened:
            self._opened[-1][1].append(text)
            return len(text)
        return self._real.write(text)

    def flush(self) -> None:
        """Flush the real stream."""
        if not self._opened:
            self._real.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Journal:
    """Stands in for upstream's dump_begin and dump_end; both run under its display lock."""

    def __init__(self, context: Any, default: Any) -> None:
        self._context = context
        self._default = default
        self._frames = _load("playlog_frames", os.path.join(_HERE, os.pardir, "frames.py"))
        self._fd = self._frames.open_journal(os.environ["PLAYLOG_JOURNAL"])
        mask_path = os.environ.get("PLAYLOG_MASK", "")
        self._mask = self._frames.load_mask(mask_path) if mask_path else None
        self._opened: list[tuple[str, list[str]]] = []

    def attach(self) -> None:
        """Take over event output, and hide the journal from playbooks started by this one's tasks."""
        sys.stdout = _Capture(sys.stdout, self._opened)  # type: ignore[assignment]  # a stream to its callers
        sys.stderr = _Capture(sys.stderr, self._opened)  # type: ignore[assignment]  # a stream to its callers
        self._context.dump_begin = self.begin
        self._context.dump_end = self.end
        for name in ("PLAYLOG_JOURNAL", "PLAYLOG_MASK", "ANSIBLE_STDOUT_CALLBACK"):
            os.environ.pop(name, None)

    def begin(self, _stream: TextIO) -> None:
        """Serialise now: the default callback edits result dicts while it prints."""
        event = self._context.get_begin_dict()
        try:
            encoded = self._frames.encode(event, self._mask, self._default)
        except Exception as error:  # noqa: BLE001 - an event must not get lost over what it carries
            event["event_data"] = {"unreadable": type(error).__name__}
            encoded = self._frames.encode(event, self._mask, str)
        self._opened.append((encoded, []))

    def end(self, _stream: TextIO) -> None:
        """Append the frame of the innermost open event."""
        encoded, printed = self._opened.pop()
        self._frames.append(self._fd, self._frames.with_output(encoded, "".join(printed), self._mask))


_stock = _upstream()
try:
    _Journal(_stock.event_context, _stock.AnsibleJSONEncoderLocal().default).attach()
except Exception:  # noqa: BLE001, S110 - upstream's way of carrying events is the fallback
    pass


def _is_secret(result: Any) -> bool:
    return bool(result.get("_ansible_no_log") or "censored" in result)


class CallbackModule(_stock.CallbackModule):  # type: ignore[misc]  # a class known only at run time
    """Upstream's callback, silent about what a task with no_log said when it failed or warned."""

    CALLBACK_NAME = "awx_display"

    def _handle_exception(self, result: Any, *args: Any, **kwargs: Any) -> None:
        if _is_secret(result):
            result.pop("exception", None)
        else:
            super()._handle_exception(result, *args, **kwargs)

    def _handle_warnings(self, res: Any) -> None:
        if _is_secret(res):
            res.pop("warnings", None)
            res.pop("deprecations", None)
        else:
            super()._handle_warnings(res)
