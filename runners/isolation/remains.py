"""What an attempt leaves on its machine when its supervisor did not come to clear it away."""

from __future__ import annotations

from pathlib import Path

from runners.isolation import container, images, limits
from runners.isolation.plan import Abilities, Isolation
from runners.process_tree import place_of


def remove(isolation: Isolation, job_dir: Path) -> None:
    """Remove an attempt's container and control groups; harmless when they are gone."""
    if isolation.engine is not None:
        images.remove(isolation.engine, container.name_of(job_dir))
    limits.remove(isolation, job_dir)


def clear(able: Abilities, jobs: Path) -> None:
    """Remove what attempts of a deployment left whose directories are gone."""
    if able.engine is not None:
        for name in images.left(able.engine, f"{container.LABEL}={place_of(jobs / '_')}"):
            if not (jobs / name.rpartition(f"{place_of(jobs / '_')}-")[2]).exists():
                images.remove(able.engine, name)
    if able.groups is not None:
        limits.sweep(able.groups, jobs)
