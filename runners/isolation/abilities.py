"""What of isolation works on this machine: tried out once, when the agent starts."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping

from runners.isolation import container, limits, sandbox
from runners.isolation.plan import CONTAINER, LIMITS, SANDBOX, Abilities, Engine, Groups

WORDS_MAX = 400


def detect(allowed: Collection[str], engine: str, env: Mapping[str, str]) -> Abilities:
    """Try what the runner is allowed to use; ``engine`` is podman's name or path."""
    lacking: list[str] = []
    found = _engine(engine, env, lacking) if CONTAINER in allowed else None
    return Abilities(
        engine=found,
        sandbox=_sandbox(env, lacking) if SANDBOX in allowed else "",
        groups=_groups(lacking) if LIMITS in allowed else None,
        lacking=tuple(lacking),
    )


def _engine(name: str, env: Mapping[str, str], lacking: list[str]) -> Engine | None:
    program = shutil.which(name, path=env.get("PATH"))
    if program is None:
        lacking.append(f"container: {name or 'podman'} is not installed")
        return None
    problem = ""
    for cgroups in (False, True):
        engine = Engine(program=program, env=dict(env), cgroups=cgroups)
        problem = container.problem(engine)
        if not problem:
            return engine
    lacking.append(f"container: {problem}"[:WORDS_MAX])
    return None


def _sandbox(env: Mapping[str, str], lacking: list[str]) -> str:
    program = shutil.which("bwrap", path=env.get("PATH"))
    if program is None:
        lacking.append("sandbox: bubblewrap is not installed")
        return ""
    problem = sandbox.problem(program)
    if problem:
        lacking.append(f"sandbox: {problem}"[:WORDS_MAX])
        return ""
    return program


def _groups(lacking: list[str]) -> Groups | None:
    try:
        return limits.find()
    except OSError as error:
        lacking.append(f"limits: {error}"[:WORDS_MAX])
        return None
