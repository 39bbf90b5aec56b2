"""Roles and collections that a project's requirements ask for, installed by ``ansible-galaxy``.

Kept below ``<data>/galaxy-cache/`` by what was asked for, of whom and with which tokens and login:
the same requirements are installed once, whichever project or commit they stand in, and for nobody
who could not have fetched them. Tokens reach the command by its environment alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from ops import tree_archive
from runners import galaxy_names, git, tool
from runners.ending import Ending
from runners.git_remote import Refused, Remote, parse_url
from runners.preparation import Preparation
from runners.source_cache import wait_for
from runners.spec import GALAXY_FILE, write_private
from runners.told_play import ToldPlay
from runners.tool import CONTENT_BYTES_MAX, ToolFailed, too_large
from schemas.yaml_text import UNREADABLE

CACHE_DIR = "galaxy-cache"
CACHE_BYTES_MAX = 2 * 1024**3
ROLES, COLLECTIONS = "requirements_roles", "requirements_collections"
DEFAULT_SSH = "ssh -o StrictHostKeyChecking=no"
"""GIT_SSH_COMMAND as AWX sets it: ours says the same and knows the project's key."""
PLAY = "Install content with ansible-galaxy command if necessary"
DISABLED = (
    "Collection and role syncing disabled. Check the AWX_ROLES_ENABLED and AWX_COLLECTIONS_ENABLED"
    " settings and Galaxy credentials on the project's organization."
)


class _Wanted(Struct, frozen=True, kw_only=True):
    """One installation: what its task is called, where requirements may stand, the command."""

    task: str
    files: tuple[str, ...]
    command: tuple[str, ...]
    roles: bool = False
    collections: bool = False


_WANTED = (
    _Wanted(
        task="Fetch galaxy roles from roles/requirements.(yml/yaml)",
        files=("roles/requirements.yaml", "roles/requirements.yml"),
        command=("role", "install", "-r"),
        roles=True,
    ),
    _Wanted(
        task="Fetch galaxy collections from collections/requirements.(yml/yaml)",
        files=("collections/requirements.yaml", "collections/requirements.yml"),
        command=("collection", "install", "-r"),
        collections=True,
    ),
    _Wanted(
        task="Fetch galaxy roles and collections from requirements.(yml/yaml)",
        files=("requirements.yaml", "requirements.yml"),
        command=("install", "-r"),
        roles=True,
        collections=True,
    ),
)
_COST = {"n": 1 << 14, "r": 8, "p": 1}
"""Of what the names of kept installations are made by: a password must not be guessed from one."""
FILES = tuple(name for each in _WANTED for name in each.files)


def install(job: Preparation, tree: Path, content: str, play: ToldPlay, ending: Ending) -> str:
    """Leave what the requirements of a tree ask for as ``galaxy.tar``; returns its sha256.

    ``content`` is the tree's own sha256.
    Empty when nothing is asked for or nothing may be installed. Raises ToolFailed, Stopped.
    """
    play.play(PLAY)
    spec = job.spec
    if not job.secrets.galaxy or not (spec.roles_enabled or spec.collections_enabled):
        play.task("Warn about disabled content sync", "debug")
        play.done(DISABLED)
        return ""
    asked = list(_asked(job, tree))
    if not asked:
        return ""
    caches = job.data / CACHE_DIR
    caches.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = caches / f"{_key(job, tree, content, asked)}.tar"
    with kept.with_suffix(".lock").open("w") as lock:
        wait_for(lock.fileno(), ending)
        if spec.scm_delete_first:
            kept.unlink(missing_ok=True)
        if kept.exists():
            os.utime(kept)
            for wanted, path in asked:
                play.task(wanted.task, "command")
                play.done(f"{path.relative_to(tree)} asks for what is installed already")
        else:
            _install(job, tree, asked, play, ending, kept)
            _make_room(caches)
        shutil.copyfile(kept, job.dir / GALAXY_FILE)
    with (job.dir / GALAXY_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _asked(job: Preparation, tree: Path) -> Iterator[tuple[_Wanted, Path]]:
    """Yield the installations that the project asks for and that are not switched off."""
    for wanted in _WANTED:
        if wanted.roles and not job.spec.roles_enabled:
            continue
        if wanted.collections and not job.spec.collections_enabled:
            continue
        for name in wanted.files:
            path = tree / name
            if path.is_file() and path.resolve().is_relative_to(tree.resolve()):
                yield wanted, path


def _install(
    job: Preparation,
    tree: Path,
    asked: list[tuple[_Wanted, Path]],
    play: ToldPlay,
    ending: Ending,
    kept: Path,
) -> None:
    stage = job.dir / "tmp" / "stage"
    for name in (ROLES, COLLECTIONS):
        (stage / name).mkdir(parents=True)
    env = environment(job, stage)
    for wanted, path in asked:
        play.task(wanted.task, "command")
        _run(job, (*wanted.command, str(path)), tree, env, ending)
        play.done(f"Installed what {path.relative_to(tree)} asks for", changed=True)
    packed = job.dir / "tmp" / kept.name
    try:
        tree_archive.pack(stage, packed, bytes_max=CONTENT_BYTES_MAX)
    except tree_archive.TooLarge as error:
        raise too_large("What the requirements ask for") from error
    with packed.open("rb") as file:
        os.fsync(file.fileno())
    packed.rename(kept)
    shutil.rmtree(stage)


def _run(
    job: Preparation, asked: tuple[str, ...], tree: Path, env: Mapping[str, str], ending: Ending
) -> None:
    reach = "local" if _remote(job).protocol == "file" else "network"
    command = [sys.executable, "-I", str(Path(galaxy_names.__file__)), reach, *asked]
    if job.spec.verbosity:
        command.append("-" + "v" * job.spec.verbosity)
    done = tool.run(job, command, tree, env, ending)
    if done.rc:
        name = Path(asked[-1]).relative_to(tree)
        text = f"What {name} asks for cannot be installed: {complaint(tool.cause(done))}"
        raise ToolFailed(text, done.rc, done.err.strip())


def complaint(told: str) -> str:
    """Return what ansible-galaxy says is wrong, without its words for that and its traceback."""
    why = told.rpartition("Unexpected Exception, this is probably a bug: ")[2]
    return why.removeprefix("[ERROR]: ").removeprefix("ERROR! ")


def environment(job: Preparation, stage: Path) -> dict[str, str]:
    """Return the environment of ansible-galaxy: its servers, and git's login of the project.

    The project's own ``ansible.cfg`` is not read: it could name any file of this machine as a log.
    """
    spec = job.spec
    given = {
        name: value
        for name, value in spec.galaxy_env.items()
        if (name, value) != ("GIT_SSH_COMMAND", DEFAULT_SSH)
    }
    config = job.memory / "galaxy.cfg"
    write_private(config, b"")
    env = {
        **git.environment_of(job, _remote(job)),
        "ANSIBLE_HOME": str(job.dir / "home" / ".ansible"),
        **given,
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_COLLECTIONS_PATH": str(stage / COLLECTIONS),
        "ANSIBLE_ROLES_PATH": str(stage / ROLES),
        "ANSIBLE_LOCAL_TEMP": str(job.dir / "tmp"),
    }
    if spec.galaxy_ignore_certs:
        env["ANSIBLE_GALAXY_IGNORE"] = "True"
    servers = job.secrets.galaxy
    if servers:
        names = [f"server{number}" for number, _ in enumerate(servers)]
        env["ANSIBLE_GALAXY_SERVER_LIST"] = ",".join(names)
    for number, server in enumerate(servers):
        prefix = f"ANSIBLE_GALAXY_SERVER_SERVER{number}"
        told = {"URL": server.url, "AUTH_URL": server.auth_url, "TOKEN": server.token}
        env |= {f"{prefix}_{name}": value for name, value in told.items() if value}
    return env


def _remote(job: Preparation) -> Remote:
    """Return the project's repository, whose login git may use; none that git knows, no login."""
    try:
        return parse_url(job.spec.scm_url)
    except Refused:
        return Remote(url="https://invalid/", protocol="https")


def _key(job: Preparation, tree: Path, content: str, asked: list[tuple[_Wanted, Path]]) -> str:
    """Return what names the installation: the requirements, the servers, the program, the login.

    Requirements that name files of the project stand for the whole project.
    """
    read = [
        (str(path.relative_to(tree)), path.read_bytes().decode(errors="replace"))
        for _, path in asked
    ]
    local = any(_is_local(tree, text) for _, text in read)
    named = {
        "requirements": read,
        "content": content if local else "",
        "servers": [each.url for each in job.secrets.galaxy],
        "program": version("ansible-core"),
    }
    asked_for = hashlib.sha256(msgspec.json.encode(named)).digest()
    return hashlib.scrypt(_opened_by(job), salt=asked_for, **_COST, dklen=32).hex()


def _opened_by(job: Preparation) -> bytes:
    """Return what opens the sources: whoever lacks it must not find what it has opened."""
    secrets, remote = job.secrets, _remote(job)
    return msgspec.json.encode(
        (
            [each.token for each in secrets.galaxy],
            remote.username or secrets.scm_username,
            remote.password or secrets.scm_password,
            secrets.scm_key,
        )
    )


def _is_local(tree: Path, requirements: str) -> bool:
    try:
        texts = list(_texts(yaml.safe_load(requirements)))
    except UNREADABLE:
        return False
    return any("://" not in each and _exists(tree / each) for each in texts)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


def _make_room(caches: Path) -> None:
    """Remove what was not used for longest while there is more than may be."""
    found = sorted(
        ((path.stat(), path) for path in caches.glob("*.tar")), key=lambda pair: pair[0].st_mtime_ns
    )
    used = sum(stat.st_size for stat, _ in found)
    for stat, path in found[:-1]:
        if used <= CACHE_BYTES_MAX:
            return
        path.unlink(missing_ok=True)
        used -= stat.st_size
