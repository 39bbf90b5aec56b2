"""Whether a failed run can go on at its failed task, from where and on which hosts. Pure.

A resumed run skips every task before its start, so nothing that these left in memory may be needed
any more: variables, facts, groups, handlers that were notified. What cannot be known is refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from controlplane.domain.playbook_reading import (
    LINE,
    NotReadable,
    Reader,
    StaticPlay,
    StaticTask,
    Unknown,
)

_GATHERING = frozenset({"setup", "gather_facts"})
_STOPPING = ("any_errors_fatal", "max_fail_percentage", "serial", "strategy")
_LEAVES = {
    "add_host": "adds hosts",
    "group_by": "makes groups",
    "include_vars": "loads variables",
}
_SCANNED = re.compile(r"\.j2$|(^|/)(vars|defaults|group_vars|host_vars|templates)/")
"""Files that tasks read beside their own."""
_OWN_RESULT = frozenset({"register", "until", "changed_when", "failed_when"})
"""Keywords of a task that speak of the result it registers itself."""
_FACTS = re.compile(r"\bansible_(?!connection\b|user\b|host\b|port\b|become|check_mode\b)\w+")
_NO = frozenset({"false", "no", "off", "0", "n", "f"})
Item = StaticTask | Unknown


class Failure(Struct, frozen=True, kw_only=True):
    """Where one host ended."""

    host: str
    task: str
    action: str
    place: str
    """Ansible's path of the task: an absolute file name, a colon and the line."""


class Ran(Struct, frozen=True, kw_only=True):
    """What came of one task on a host that failed later."""

    host: str
    place: str
    counter: int
    changed: bool


class Run(Struct, frozen=True, kw_only=True):
    """What is known of the run that failed."""

    playbook: str
    status: str
    limit: str
    hosts: frozenset[str]
    """Hosts of the recap."""
    failures: tuple[Failure, ...]
    """Each host that failed or was unreachable, with where it ended."""
    ran: tuple[Ran, ...] = ()
    """What failed hosts did."""
    plays_started: int
    fact_cache: bool = False


class Resumption(Struct, frozen=True, kw_only=True):
    """How to go on, or why not."""

    reasons: tuple[str, ...] = ()
    start_at_task: str = ""
    limit: str = ""
    failed_at: Mapping[str, str] = {}
    """Host to the task it ended at."""


class _Refused(Exception):
    """One reason suffices."""


def resumption(run: Run, files: Mapping[str, str]) -> Resumption:
    """Return how a run can go on; ``files`` are the texts of its project at its revision."""
    failed_at = {each.host: each.task for each in run.failures}
    try:
        _check_run(run)
        reader = Reader(files)
        plays = reader.playbook(run.playbook)
        _check_handlers(run, plays, files)
        ends = [_place_of(each, plays, files) for each in run.failures]
        start = min(ends)
        limit = _limit(run, plays, start, ends)
        name = _name_of(plays, start)
        reasons = tuple(_lost(plays, start, run, files, reader.read, limited=limit != run.limit))
    except (_Refused, NotReadable) as refused:
        return Resumption(reasons=(sentence(str(refused)),), failed_at=failed_at)
    if reasons:
        return Resumption(reasons=tuple(map(sentence, reasons)), failed_at=failed_at)
    return Resumption(start_at_task=name, limit=limit, failed_at=failed_at)


def _check_run(run: Run) -> None:
    if run.status != "failed":
        raise _Refused(f"only a failed job can be resumed, this one is {run.status}")
    if not run.failures:
        raise _Refused("no host failed: there is no task to start at")
    for each in run.failures:
        if not each.place:
            raise _Refused(f"it is not known where {each.host} failed")


def _place_of(
    failure: Failure, plays: Sequence[StaticPlay], files: Mapping[str, str]
) -> tuple[int, int]:
    """Return (play, task) of the task where a host ended."""
    place = _within(failure.place, files)
    told = f"the task {failure.task!r} where {failure.host} failed"
    for number, play in enumerate(plays):
        if failure.action in _GATHERING and place == play.place:
            return number, -1
        if any(isinstance(each, StaticTask) and each.place == place for each in play.handlers):
            raise _Refused(f"{told} is a handler")
        for index, item in enumerate(play.items):
            if isinstance(item, StaticTask) and item.place == place:
                if item.guarded:
                    raise _Refused(f"{told} stands in a block with rescue or always")
                twice = [
                    other
                    for each in plays
                    for other in each.items
                    if isinstance(other, StaticTask) and other.place == place
                ]
                if len(twice) > 1:
                    raise _Refused(f"{told} is imported more than once")
                return number, index
    raise _Refused(f"{told} is included while the play runs")


def _within(place: str, files: Mapping[str, str]) -> str:
    """Return a place as the project's files are named."""
    file, _, line = place.rpartition(":")
    _, cut, path = file.partition("/project/")
    while cut and path not in files:
        _, cut, path = path.partition("/project/")
    return f"{path if cut else file}:{line}"


def _check_handlers(run: Run, plays: Sequence[StaticPlay], files: Mapping[str, str]) -> None:
    for told in _pending(run, plays, files):
        raise _Refused(told)


def _pending(run: Run, plays: Sequence[StaticPlay], files: Mapping[str, str]) -> Iterator[str]:
    """Yield the handlers that changed tasks notified on a failed host, and that did not run."""
    notifying = {
        item.place: (play, item)
        for play in plays
        for item in (*play.items, *play.handlers)
        if isinstance(item, StaticTask) and item.data.get("notify")
    }
    last: dict[tuple[str, str], int] = {}
    changed: list[tuple[Ran, str]] = []
    for each in run.ran:
        place = _within(each.place, files)
        last[each.host, place] = max(each.counter, last.get((each.host, place), 0))
        if each.changed and place in notifying:
            changed.append((each, place))
    for each, place in changed:
        play, task = notifying[place]
        for name in _names(task.data["notify"]):
            handlers = [
                last.get((each.host, handler.place), 0) > each.counter
                for handler in play.handlers
                if isinstance(handler, StaticTask) and name in _called(handler)
            ]
            if not handlers or not all(handlers):
                yield f"the handler {name!r} was notified on {each.host} and has not run"


def _called(handler: StaticTask) -> set[str]:
    """Return what a handler may be notified by."""
    full = f"{handler.role} : {handler.name}" if handler.role else handler.name
    return {handler.name, full, *_names(handler.data.get("listen"))}


def _names(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value or "")]


def _limit(
    run: Run,
    plays: Sequence[StaticPlay],
    start: tuple[int, int],
    ends: Sequence[tuple[int, int]],
) -> str:
    """Return the hosts to go on with: all when all failed, else those that did."""
    failed = sorted(each.host for each in run.failures)
    if not run.hosts - set(failed):
        return run.limit
    if run.plays_started < len(plays):
        name = plays[run.plays_started].name or plays[run.plays_started].place
        raise _Refused(f"the play {name!r} never started, also for hosts that did not fail")
    for play in plays[start[0] : max(ends)[0] + 1]:
        for keyword in _STOPPING:
            if str(play.keywords.get(keyword, "linear")).lower() not in ("linear", *_NO):
                told = f"the play {play.name or play.place!r} sets {keyword}"
                raise _Refused(f"{told}: hosts that did not fail may not have finished it")
    odd = [host for host in failed if not re.fullmatch(r"[\w.@-]+", host)]
    if odd:
        raise _Refused(f"the host {odd[0]!r} cannot be named in a limit")
    return ",".join(failed)


def _name_of(plays: Sequence[StaticPlay], start: tuple[int, int]) -> str:
    """Return the name to start at, which no earlier task may match; empty for the beginning."""
    tasks = list(_tasks(plays, (0, -1), start))
    if not tasks and start[1] <= 0 and not list(_unknown(plays, (0, -1), start)):
        return ""
    items = plays[start[0]].items
    task = next((each for each in items[max(start[1], 0) :]), None)
    if not isinstance(task, StaticTask):
        raise _Refused("the play starts with tasks that are included while it runs")
    if not task.name:
        raise _Refused(f"the task at {task.place} has no name to start at")
    if "{{" in task.name or "{%" in task.name:
        raise _Refused(f"the name of the task at {task.place} is a template")
    full = f"{task.role} : {task.name}" if task.role else task.name
    for other in tasks:
        names = {other.name, f"{other.role} : {other.name}" if other.role else other.name}
        if any(each == full or (each and fnmatch.fnmatchcase(each, full)) for each in names):
            raise _Refused(f"an earlier task, at {other.place}, is named {other.name!r} as well")
    return full


def _lost(
    plays: Sequence[StaticPlay],
    start: tuple[int, int],
    run: Run,
    files: Mapping[str, str],
    read: set[str],
    *,
    limited: bool,
) -> Iterator[str]:
    """Yield what the tasks before the start leave behind that is needed from there on."""
    for each in _unknown(plays, (0, -1), start):
        yield f"{each.what} comes before, and what it leaves is not known"
    later = _Later(plays, start, files, read)
    names: dict[str, str] = {}
    for task in _tasks(plays, (0, -1), start):
        if task.action in _LEAVES:
            yield f"{task.action} at {task.place} {_LEAVES[task.action]} that would be missing"
        for name in _set_by(task):
            names.setdefault(name, task.place)
    for name, place in names.items():
        if not re.fullmatch(r"\w+", name):
            yield f"a variable whose name is not known is set at {place}"
        elif where := later.uses(name):
            yield f"the variable {name!r}, set at {place}, is used at {where}"
    if names and (unknown := next(later.unknown(), None)):
        yield (
            f"{unknown.what} comes after and may use {', '.join(map(repr, sorted(names)[:5]))},"
            " set before"
        )
    yield from _facts(plays, start, run, later, limited=limited)


def _facts(
    plays: Sequence[StaticPlay], start: tuple[int, int], run: Run, later: _Later, *, limited: bool
) -> Iterator[str]:
    """Yield why gathered facts would be missing."""
    if limited and (where := later.uses("hostvars")):
        yield f"variables of hosts outside the limit are used at {where}"
    earlier = any(_gathers(play) for play in plays[: start[0]]) or any(
        task.action in _GATHERING for task in _tasks(plays, (0, -1), start)
    )
    if earlier and not run.fact_cache and not all(_gathers(each) for each in plays[start[0] :]):
        where = later.uses_facts()
        if where:
            yield f"facts gathered before are used at {where}"


class _Later:
    """What is said from the start on, and in the files that tasks there may read."""

    def __init__(
        self,
        plays: Sequence[StaticPlay],
        start: tuple[int, int],
        files: Mapping[str, str],
        read: set[str],
    ) -> None:
        end = (len(plays), -1)
        self._unknown = list(_unknown(plays, start, end))
        self._tasks = tuple(_tasks(plays, start, end))
        self._texts: list[tuple[str, str]] = []
        for play in plays[start[0] :]:
            self._texts.append((play.place, _dump(play.keywords)))
            for each in play.handlers:
                if isinstance(each, Unknown):
                    self._unknown.append(each)
                else:
                    self._texts.append((each.place, _dump(each.data)))
        self._texts += [
            (path, text)
            for path, text in files.items()
            if path not in read and (self._unknown or _SCANNED.search(path))
        ]

    def uses(self, name: str) -> str:
        """Return where a variable is used, else an empty text.

        Tasks behind one that registers it anew use what that one leaves.
        """
        word = re.compile(rf"\b{re.escape(name)}\b")
        for task in self._tasks:
            anew = task.data.get("register") == name
            own = _OWN_RESULT if anew else frozenset()
            if word.search(_dump({k: v for k, v in task.data.items() if k not in own})):
                return task.place
            if anew:
                break
        return next((place for place, text in self._texts if word.search(text)), "")

    def uses_facts(self) -> str:
        """Return where a fact of Ansible's is named, else an empty text."""
        tasks = ((task.place, _dump(task.data)) for task in self._tasks)
        texts = (*tasks, *self._texts)
        return next((place for place, text in texts if _FACTS.search(text)), "")

    def unknown(self) -> Iterator[Unknown]:
        """Yield what only a run knows."""
        yield from self._unknown


def _tasks(
    plays: Sequence[StaticPlay], first: tuple[int, int], end: tuple[int, int]
) -> Iterator[StaticTask]:
    return (each for each in _items(plays, first, end) if isinstance(each, StaticTask))


def _unknown(
    plays: Sequence[StaticPlay], first: tuple[int, int], end: tuple[int, int]
) -> Iterator[Unknown]:
    return (each for each in _items(plays, first, end) if isinstance(each, Unknown))


def _items(
    plays: Sequence[StaticPlay], first: tuple[int, int], end: tuple[int, int]
) -> Iterator[Item]:
    """Yield the items from one place up to, not including, another."""
    for number, play in enumerate(plays):
        for index, item in enumerate(play.items):
            if first <= (number, index) < end:
                yield item


def _set_by(task: StaticTask) -> Iterable[str]:
    """Return the names of the variables that a task sets."""
    found = []
    if task.data.get("register"):
        found.append(str(task.data["register"]))
    if task.action == "set_fact":
        given = task.arguments
        if isinstance(given, dict):
            found += [name for name in given if name not in (LINE, "cacheable")]
        else:
            found += re.findall(r"(\S+?)=", str(given)) or ["?"]
    return found


def _gathers(play: StaticPlay) -> bool:
    return str(play.keywords.get("gather_facts", "true")).lower() not in _NO


def _dump(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def sentence(text: str) -> str:
    """Return a reason as a sentence; names of modules and files stay as they are."""
    word = re.match(r"[a-z]+ ", text)
    return f"{text[:1].upper() if word else text[:1]}{text[1:]}."
