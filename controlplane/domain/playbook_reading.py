"""A playbook's tasks in the order Ansible runs them, as far as its files tell without running it.

Static imports and roles of the project are followed; what is only known while a play runs stands
there as ``Unknown``. Values stay text, as written: nothing is templated. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from msgspec import Struct

LINE = "\x00line"
"""Key of an object's own line; no file can hold it."""
NODES_MAX = 200_000
DEPTH_MAX = 60
TASKS_MAX = 20_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECTIONS = ("pre_tasks", "roles", "tasks", "post_tasks")
_BUILTIN = ("ansible.builtin.", "ansible.legacy.")
_KEYWORDS = frozenset(
    {
        *("any_errors_fatal", "args", "async", "become", "become_exe", "become_flags"),
        *("become_method", "become_user", "changed_when", "check_mode", "collections"),
        *("connection", "debugger", "delay", "delegate_facts", "delegate_to", "diff"),
        *("environment", "failed_when", "ignore_errors", "ignore_unreachable", "listen", "loop"),
        *("loop_control", "module_defaults", "name", "no_log", "notify", "poll", "port"),
        *("register", "remote_user", "retries", "run_once", "tags", "throttle", "timeout"),
        *("until", "vars", "when"),
    }
)
MERGED = "a task made of another"
_DYNAMIC = frozenset({"include", "include_tasks", "include_role", MERGED})


class NotReadable(ValueError):
    """The playbook cannot be followed; the text says where and why."""


class StaticTask(Struct, frozen=True, kw_only=True):
    """One task as it stands in a file."""

    name: str
    """As written; empty without one."""
    role: str
    action: str
    arguments: Any
    place: str
    """``file:line``, as Ansible names it."""
    guarded: bool
    """It stands in a block that rescues, or that always does something at its end."""
    data: Mapping[str, Any]


class Unknown(Struct, frozen=True, kw_only=True):
    """Tasks that only a run knows, at this place."""

    what: str


class StaticPlay(Struct, frozen=True, kw_only=True):
    """One play."""

    name: str
    place: str
    keywords: Mapping[str, Any]
    items: tuple[StaticTask | Unknown, ...]
    handlers: tuple[StaticTask | Unknown, ...]


class _At(Struct, frozen=True, kw_only=True):
    """Where a file is read for: its role, whether it is guarded, and how deep."""

    file: str
    playbook: str
    role: str = ""
    guarded: bool = False
    depth: int = 0


class Reader:
    """Reads the playbooks of one project: ``files`` maps paths to texts."""

    def __init__(self, files: Mapping[str, str]) -> None:
        """Read nothing yet."""
        self._files = files
        self._nodes = 0
        self._tasks = 0
        self.read: set[str] = set()
        """The files whose tasks are known one by one."""

    def playbook(self, path: str, depth: int = 0) -> list[StaticPlay]:
        """Return the plays of a playbook. Raises NotReadable."""
        path = posixpath.normpath(path)
        if depth > DEPTH_MAX:
            raise NotReadable(f"{path} is imported too deeply")
        plays: list[StaticPlay] = []
        for item, line in self._items(path):
            imported = _value(item, "import_playbook")
            if imported is None:
                plays.append(self._play(path, item, line))
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), _text(imported)))
            if target not in self._files:
                raise NotReadable(f"the playbook {_text(imported)!r} is not in the project")
            plays += self.playbook(target, depth + 1)
        return plays

    def _play(self, path: str, item: Mapping[str, Any], line: int) -> StaticPlay:
        at = _At(file=path, playbook=path)
        found: list[StaticTask | Unknown] = []
        handlers: list[StaticTask | Unknown] = []
        for section in _SECTIONS:
            for each in _list(item.get(section)):
                if section == "roles":
                    found += self._role(_role_name(each), "main", at, handlers)
                else:
                    found += self._task(each, at, handlers)
        for each in _list(item.get("handlers")):
            handlers += self._task(each, at, handlers)
        skipped = {*_SECTIONS, "handlers", LINE}
        return StaticPlay(
            name=_text(item.get("name", "")),
            place=f"{path}:{line}",
            keywords={key: value for key, value in item.items() if key not in skipped},
            items=tuple(found),
            handlers=tuple(handlers),
        )

    def _task(
        self, item: Any, at: _At, handlers: list[StaticTask | Unknown]
    ) -> Iterator[StaticTask | Unknown]:
        if not isinstance(item, dict):
            raise NotReadable(f"{at.file} holds a task that is none")
        if "block" in item:
            inner = _deeper(at, guarded=at.guarded or bool({"rescue", "always"} & item.keys()))
            for name in ("block", "rescue", "always"):
                for each in _list(item.get(name)):
                    yield from self._task(each, inner, handlers)
            return
        action, arguments = _action(item) if "<<" not in item else (MERGED, None)
        place = f"{at.file}:{item.get(LINE, 0)}"
        if action in _DYNAMIC:
            yield Unknown(what=f"{action} at {place}")
        elif action == "import_tasks":
            yield from self._imported(arguments, at, place, handlers)
        elif action == "import_role":
            values = arguments if isinstance(arguments, dict) else {}
            name, part = _text(values.get("name", "")), _text(values.get("tasks_from", "main"))
            yield from self._role(name, part, at, handlers)
        else:
            self._tasks += 1
            if self._tasks > TASKS_MAX:
                raise NotReadable(f"there are more than {TASKS_MAX} tasks")
            yield StaticTask(
                name=_text(item.get("name", "")),
                role=at.role,
                action=action,
                arguments=arguments,
                place=place,
                guarded=at.guarded,
                data={key: value for key, value in item.items() if key != LINE},
            )

    def _imported(
        self, arguments: Any, at: _At, place: str, handlers: list[StaticTask | Unknown]
    ) -> Iterator[StaticTask | Unknown]:
        named = arguments.get("file", "") if isinstance(arguments, dict) else arguments
        name = _text(named).strip()
        folders = (posixpath.dirname(at.file), posixpath.dirname(at.playbook))
        paths = [posixpath.normpath(posixpath.join(folder, name)) for folder in folders]
        target = next((path for path in paths if name and path in self._files), None)
        if target is None:
            yield Unknown(what=f"import_tasks at {place}")
            return
        for item, _ in self._items(target):
            yield from self._task(item, _deeper(at, file=target), handlers)

    def _role(
        self, name: str, part: str, at: _At, handlers: list[StaticTask | Unknown]
    ) -> Iterator[StaticTask | Unknown]:
        folder = self._folder_of(name, at)
        if folder is None:
            yield Unknown(what=f"the role {name!r}")
            return
        inner = _deeper(at, role=name)
        for each in _list(self._mapping(f"{folder}/meta/main").get("dependencies")):
            yield from self._role(_role_name(each), "main", inner, handlers)
        for kind, names, target in (("handlers", "main", handlers), ("tasks", part, None)):
            path = self._yaml(f"{folder}/{kind}/{names}")
            if path is None and kind == "tasks" and part != "main":
                yield Unknown(what=f"the tasks {part!r} of the role {name!r}")
            for item, _ in self._items(path) if path else ():
                told = self._task(item, _deeper(inner, file=path), handlers)
                if target is None:
                    yield from told
                else:
                    target += list(told)

    def _folder_of(self, name: str, at: _At) -> str | None:
        if not name or "{{" in name or name.startswith("/"):
            return None
        beside = posixpath.dirname(at.playbook)
        for folder in (f"{beside}/roles", "roles", beside):
            path = posixpath.normpath(posixpath.join(folder, name)).lstrip("/")
            if any(each.startswith(f"{path}/") for each in self._files):
                return path
        return None

    def _yaml(self, stem: str) -> str | None:
        names = (stem, f"{stem}.yml", f"{stem}.yaml")
        return next((name for name in names if name in self._files), None)

    def _mapping(self, stem: str) -> Mapping[str, Any]:
        path = self._yaml(stem)
        found = self._load(path) if path else None
        return found if isinstance(found, dict) else {}

    def _items(self, path: str) -> Iterator[tuple[dict[str, Any], int]]:
        self.read.add(path)
        found = self._load(path)
        if found is not None and not isinstance(found, list):
            raise NotReadable(f"{path} is no list")
        for item in found or ():
            if not isinstance(item, dict):
                raise NotReadable(f"{path} holds what is neither a play nor a task")
            yield item, item.get(LINE, 0)

    def _load(self, path: str) -> Any:
        text = self._files.get(path)
        if text is None:
            raise NotReadable(f"{path} is not in the project")
        try:
            node = yaml.compose(text, Loader=_LOADER)
            return None if node is None else self._plain(node, path, 0)
        except (yaml.YAMLError, RecursionError) as error:
            raise NotReadable(f"{path} cannot be read: {type(error).__name__}") from None

    def _plain(self, node: yaml.Node, path: str, depth: int) -> Any:
        """Return a node as lists, objects and texts; an object knows its line."""
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise NotReadable(f"{path} holds too much")
        if isinstance(node, yaml.MappingNode):
            pairs = {
                str(key.value): self._plain(value, path, depth + 1) for key, value in node.value
            }
            return {**pairs, LINE: node.start_mark.line + 1}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(each, path, depth + 1) for each in node.value]
        return node.value


def _deeper(at: _At, **changes: Any) -> _At:
    if at.depth >= DEPTH_MAX:
        raise NotReadable(f"{at.file} is nested too deeply")
    values = {name: getattr(at, name) for name in at.__struct_fields__}
    return _At(**{**values, "depth": at.depth + 1, **changes})


def _action(item: Mapping[str, Any]) -> tuple[str, Any]:
    """Return a task's module, short where it is Ansible's own, and its arguments."""
    for key, value in item.items():
        if key in ("action", "local_action"):
            text = _text(value) if isinstance(value, str) else _text(_value(value, "module") or "")
            word, _, rest = text.partition(" ")
            return _short(word), value if isinstance(value, dict) else rest
        if key != LINE and key not in _KEYWORDS and not key.startswith("with_"):
            return _short(key), value
    return "", None


def _short(name: str) -> str:
    return next((name.removeprefix(own) for own in _BUILTIN if name.startswith(own)), name)


def _value(item: Any, name: str) -> Any:
    """Return the value of a key, also under Ansible's full name for it."""
    if not isinstance(item, dict):
        return None
    return next((item[key] for key in item if _short(key) == name), None)


def _role_name(item: Any) -> str:
    if isinstance(item, dict):
        return _text(item.get("role", item.get("name", "")))
    return _text(item)


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value in (None, "") else [value]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
