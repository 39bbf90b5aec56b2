"""Ansible's stdout callback inside a job: one journal frame per event, the moment it happens.

Named ``awx_display`` so that ansible-runner selects it. Names and contents of events stay
upstream's: this loads ansible-runner's own ``awx_display`` and replaces only where its events go.
Where anything is missing, upstream's plugin is used as it is, and events reach the supervisor
through the terminal.
"""

# ruff: noqa: INP001 - Ansible loads it by path, and everything beside it

from __future__ import annotations

import contextlib
import importlib.util
import sys
from os import environ  # noqa: TID251 - within Ansible there are no settings of ours
from pathlib import Path
from typing import Any, TextIO

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

_HERE = Path(__file__).resolve().parent


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _upstream() -> Any:
    """Load the next awx_display on the plugin path: ansible-runner appends its own behind ours."""
    for directory in environ.get("ANSIBLE_CALLBACK_PLUGINS", "").split(":"):
        path = Path(directory, "awx_display.py")
        if Path(directory).resolve() != _HERE and path.exists():
            return _load("playlog_upstream_awx_display", path)
    raise ImportError("ansible-runner's awx_display is not on the callback path")


class _Capture:
    """Route what is printed to the innermost open event, or else to the real stream."""

    def __init__(self, real: TextIO, opened: list[tuple[str, list[str]]]) -> None:
        self._real = real
        self._opened = opened

    def write(self, text: str) -> int:
        """Keep text of an open event; pass on what belongs to none."""
        if self._opened:
            self._opened[-1][1].append(text)
            return len(text)
        with contextlib.suppress(OSError):  # who reads it may have been killed: the play goes on
            self._real.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the real stream."""
        if not self._opened:
            with contextlib.suppress(OSError):
                self._real.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Journal:
    """Stands in for upstream's dump_begin and dump_end; both run under its display lock."""

    def __init__(self, context: Any, default: Any) -> None:
        self._context = context
        self._default = default
        self._frames = _load("playlog_frames", _HERE.parent / "frames.py")
        self._fd = self._frames.open_journal(environ["PLAYLOG_JOURNAL"])
        self._full = self._frames.full_mark(Path(environ["PLAYLOG_JOURNAL"]))
        mask_path = environ.get("PLAYLOG_MASK", "")
        self._mask = self._frames.load_mask(mask_path) if mask_path else None
        self._opened: list[tuple[str, list[str]]] = []

    def attach(self) -> None:
        """Take over event output; hide the journal from playbooks that tasks start."""
        sys.stdout = _Capture(sys.stdout, self._opened)
        sys.stderr = _Capture(sys.stderr, self._opened)
        self._context.dump_begin = self.begin
        self._context.dump_end = self.end
        for name in ("PLAYLOG_JOURNAL", "PLAYLOG_MASK", "ANSIBLE_STDOUT_CALLBACK"):
            environ.pop(name, None)

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
        self._frames.wait_for_room(self._full)
        self._frames.append(
            self._fd, self._frames.with_output(encoded, "".join(printed), self._mask)
        )


_stock = _upstream()
with contextlib.suppress(Exception):  # upstream's way of carrying events is the fallback
    _Journal(_stock.event_context, _stock.AnsibleJSONEncoderLocal().default).attach()


def _is_secret(result: Any) -> bool:
    return bool(result.get("_ansible_no_log") or "censored" in result)


_Upstream: Any = _stock.CallbackModule


class CallbackModule(_Upstream):  # type: ignore[misc]  # a class known only at run time
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
