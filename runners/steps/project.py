"""The project's tree and what it requires, from the content that the work order names.

Where the agent keeps the content unpacked, the job sees that as an overlay and nothing is copied;
else its archive is unpacked into the job's own directory. Nothing of it lands elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

from runners import mounts, trees
from runners.archives import unpack
from runners.preparation import Preparation, Unrunnable
from runners.spec import CONTENT_FILE, GALAXY_FILE

GALAXY_DIR = "galaxy"
_PATHS = (
    (
        *("ANSIBLE_COLLECTIONS_PATH", ("collections_path", "collections_paths")),
        *("requirements_collections", "~/.ansible/collections:/usr/share/ansible/collections"),
    ),
    (
        *("ANSIBLE_ROLES_PATH", ("roles_path",)),
        *("requirements_roles", "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles"),
    ),
)
"""Variable, names in ``ansible.cfg``, directory of what is required, and Ansible's own default."""


def prepare(job: Preparation) -> None:
    """Bring the trees to their places and check the playbook's name. Raises Unrunnable."""
    wanted = [(job.spec.project_content, CONTENT_FILE, job.invocation.project)]
    if job.spec.galaxy_content:
        wanted.append((job.spec.galaxy_content, GALAXY_FILE, job.dir / GALAXY_DIR))
    kept = [(digest, target) for digest, name, target in wanted if not (job.dir / name).exists()]
    for _, name, target in wanted:
        if (job.dir / name).exists():
            unpack(job.dir / name, target)
    if kept:
        _show(job, kept)
    if job.spec.galaxy_content:
        job.invocation.env |= galaxy_paths(job)
    check_playbook(job.invocation.project, job.spec.playbook, job.spec.project_revision)


def cleanup(_job: Preparation) -> None:
    """Leave the trees to the removal of the workspace, the overlays to the end of the job."""


def galaxy_paths(job: Preparation) -> dict[str, str]:
    """Return where Ansible looks for roles and collections: what is required first, as in AWX."""
    config = _config(job.invocation.project)
    found = {}
    for variable, names, directory, default in _PATHS:
        configured = next((config[name] for name in names if name in config), default)
        given = job.spec.env.get(variable) or configured
        found[variable] = f"{job.dir / GALAXY_DIR / directory}:{given}"
    return found


def check_playbook(project: Path, playbook: str, revision: str) -> None:
    """Refuse a playbook that is no file within the project. Raises Unrunnable naming it."""
    root = project.resolve()
    path = (root / playbook).resolve()
    if playbook.startswith(("-", "/")) or not path.is_relative_to(root):
        raise Unrunnable(f"Playbook {playbook!r} lies outside the project")
    if not path.is_file():
        where = f" at revision {revision}" if revision else ""
        raise Unrunnable(f"Playbook {playbook!r} was not found in the project{where}")


def _show(job: Preparation, kept: list[tuple[str, Path]]) -> None:
    """Lay the job's own layer over kept trees; the caches are out of its sight afterwards."""
    for digest, _ in kept:
        if not digest or not trees.place_of(job.data, digest).is_dir():
            raise Unrunnable("The project's content is not on this runner")
    try:
        mounts.enter()
        for digest, target in kept:
            own = job.dir / "overlay" / target.name
            mounts.overlay(trees.place_of(job.data, digest), own, target)
        for each in _caches(job.data):
            mounts.hide(each)
    except OSError as error:
        raise Unrunnable(f"The project's content cannot be shown to the job: {error}") from error


def _caches(data: Path) -> Iterator[Path]:
    for each in data.iterdir():
        if each.name.endswith(("-cache", "-trees")):
            yield each


def _config(project: Path) -> dict[str, str]:
    """Return the defaults that the project's own ``ansible.cfg`` sets."""
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string((project / "ansible.cfg").read_text(errors="replace"))
    except (OSError, ConfigError):
        return {}
    return dict(parser["defaults"]) if parser.has_section("defaults") else {}
