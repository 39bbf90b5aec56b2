"""Limits of what is started: they hold from its first moment, for it starts others."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def bounded(limits: Mapping[int, int]) -> Iterator[None]:
    """Bound the processes that are started meanwhile: ``RLIMIT_*`` to its soft value."""
    before = {each: resource.getrlimit(each) for each in limits}
    try:
        for each, value in limits.items():
            resource.setrlimit(each, (_possible(each, value), before[each][1]))
        yield
    finally:
        for each, found in before.items():
            resource.setrlimit(each, found)


def fix(pid: int, limits: Mapping[int, int]) -> None:
    """Let a process not lift its limits any more; what it started before still may lift its own."""
    with contextlib.suppress(ProcessLookupError):
        for each, value in limits.items():
            resource.prlimit(pid, each, (_possible(each, value),) * 2)


def _possible(limit: int, value: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
