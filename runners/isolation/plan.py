"""How an attempt is kept apart on a machine that can do so much (pure)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from schemas.work import Apart, Limits

CONTAINER = "container"
SANDBOX = "sandbox"
LIMITS = "limits"
"""What a runner says of itself when it registers."""
Mode = Literal["container", "sandbox", "none"]


class Engine(Struct, frozen=True, kw_only=True):
    """A container engine that works here: podman, or what takes its command line."""

    program: str
    env: dict[str, str] = {}
    """What it needs of the agent's environment to find its images."""
    cgroups: bool = True
    """It makes control groups; without, a container stays in those of who started it."""


class Groups(Struct, frozen=True, kw_only=True):
    """Where control groups of jobs can be made: controller to directory."""

    unified: bool
    """True for cgroup v2: one directory and its files for all controllers."""
    parents: dict[str, str] = {}
    home: str = ""
    """v2: the group that the agent's own processes are in."""


class Abilities(Struct, frozen=True, kw_only=True):
    """What works on this machine."""

    engine: Engine | None = None
    sandbox: str = ""
    """The program bubblewrap; empty when it does not work here."""
    groups: Groups | None = None
    lacking: tuple[str, ...] = ()
    """What does not work, and why: a sentence each."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the control plane is told."""
        there = ((CONTAINER, self.engine), (SANDBOX, self.sandbox), (LIMITS, self.groups))
        return tuple(name for name, able in there if able)


NOTHING = Abilities()


class Isolation(Struct, frozen=True, kw_only=True):
    """How one attempt is kept apart; stands in its specification."""

    mode: Mode = "none"
    engine: Engine | None = None
    """Container mode."""
    image: str = ""
    pull: str = ""
    options: tuple[str, ...] = ()
    sandbox: str = ""
    """Sandbox mode: the program."""
    mounts: tuple[str, ...] = ()
    """``source:target:option`` of further directories to see."""
    limits: Limits = Limits()
    groups: Groups | None = None
    note: str = ""
    """What whoever reads the output is told; empty when the job runs in what it names."""
    refused: str = ""
    """Why it must not run here; empty when it may."""


def plan(wanted: Apart, able: Abilities) -> Isolation:
    """Return how an attempt is kept apart here."""
    environment = wanted.environment
    limits = wanted.limits
    groups = able.groups if limits != Limits() else None
    if environment is not None and able.engine is not None:
        return Isolation(
            mode="container",
            engine=able.engine,
            image=environment.image,
            pull=environment.pull,
            options=wanted.options,
            mounts=wanted.mounts,
            limits=limits,
            groups=groups,
        )
    refused = ""
    if wanted.required == "environment" and environment is not None:
        refused = f"This runner cannot run execution environment {environment.name!r}"
    elif wanted.required and not able.sandbox:
        refused = "This runner cannot isolate jobs"
    return Isolation(
        mode="sandbox" if able.sandbox else "none",
        sandbox=able.sandbox,
        mounts=wanted.mounts,
        limits=limits,
        groups=groups,
        note=_note(wanted, able),
        refused=refused,
    )


def _note(wanted: Apart, able: Abilities) -> str:
    if wanted.environment is None:
        return ""
    where = "in a sandbox" if able.sandbox else "as a plain process"
    return (
        f"Execution environment {wanted.environment.name!r} is not used: this runner has no"
        f" container engine. The job runs in the runner's own environment, {where}."
    )
