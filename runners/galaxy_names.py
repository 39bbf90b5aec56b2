"""A program of its own: ``ansible-galaxy`` that installs nowhere but where it is told to.

Upstream joins the names of roles and collections to its paths as they come, also those that a
downloaded role or collection says itself: ``../../x`` would be written, or removed first, anywhere
that the runner may write. It also reads whatever file of the machine a requirement names.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NETWORK = frozenset(("http", "https", "ssh", "git"))
"""Schemes of what is fetched from elsewhere."""


def stays_below(role: str) -> bool:
    """Tell whether a role's name leads to a place below the directory of roles."""
    path = PurePosixPath(role)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def is_collection(name: str) -> bool:
    """Tell whether a name is a namespace and a name, and no path."""
    parts = name.split(".")
    return len(parts) == len(("namespace", "name")) and all(map(_PART.fullmatch, parts))


def is_in_reach(source: str, project: Path) -> bool:
    """Tell whether a source is one of the network, or a file of the project."""
    scheme, found, _ = source.removeprefix("git+").partition("://")
    if found:
        return scheme.lower() in _NETWORK
    if "file:" in unquote(source).lower():
        return False
    return (project / Path(source).expanduser()).resolve().is_relative_to(project.resolve())


def included(requirements: Any) -> list[str]:
    """Return the files that requirements include."""
    if isinstance(requirements, dict):
        requirements = requirements.get("roles")
    listed = requirements if isinstance(requirements, list) else []
    found = [each["include"] for each in listed if isinstance(each, dict) and "include" in each]
    return [each for each in found if isinstance(each, str)]


def keep_to(project: Path) -> None:
    """Let Ansible refuse requirements that name files of this machine outside of the project."""
    import yaml
    from ansible.cli.galaxy import GalaxyCLI
    from ansible.errors import AnsibleError
    from ansible.galaxy import role
    from ansible.galaxy.dependency_resolution.dataclasses import Requirement

    made, required = role.GalaxyRole.__init__, Requirement.__init__
    read = GalaxyCLI._parse_requirements_file  # noqa: SLF001 - there is no other place for it

    def check(source: Any) -> None:
        if isinstance(source, str) and not is_in_reach(source, project):
            message = f"{source!r} names a file outside of the project"
            raise AnsibleError(message)

    def checked_role(self: Any, galaxy: Any, api: Any, name: Any, *given: Any, **more: Any) -> None:
        made(self, galaxy, api, name, *given, **more)
        check(self.src)

    def checked_requirement(self: Any, *given: Any, **more: Any) -> None:
        check(self.src)
        required(self, *given, **more)

    def checked_file(self: Any, name: Any, *given: Any, **more: Any) -> Any:
        with Path(name).open("rb") as file:
            try:
                listed = included(yaml.safe_load(file))
            except (yaml.YAMLError, RecursionError, ValueError):
                message = f"{name} is no YAML"
                raise AnsibleError(message) from None
        for each in listed:
            check(each)
        return read(self, name, *given, **more)

    role.GalaxyRole.__init__ = checked_role
    Requirement.__init__ = checked_requirement
    GalaxyCLI._parse_requirements_file = checked_file  # noqa: SLF001 - as above


def guard() -> None:
    """Let Ansible refuse other names before anything is fetched or written for them."""
    from ansible.errors import AnsibleError
    from ansible.galaxy import collection, role

    made, put = role.GalaxyRole.__init__, collection.install

    def checked(self: Any, galaxy: Any, api: Any, name: Any, *given: Any, **more: Any) -> None:
        if not stays_below(str(name or "")):
            message = f"{name!r} is not a usable name of a role"
            raise AnsibleError(message)
        made(self, galaxy, api, name, *given, **more)

    def install(candidate: Any, *given: Any, **more: Any) -> None:
        if not is_collection(str(candidate.fqcn)):
            message = f"{candidate.fqcn!r} is not a usable name of a collection"
            raise AnsibleError(message)
        put(candidate, *given, **more)

    role.GalaxyRole.__init__ = checked
    collection.install = install


if __name__ == "__main__":
    guard()
    if sys.argv.pop(1) == "network":
        keep_to(Path.cwd())
    from ansible.cli.galaxy import main

    sys.argv[0] = "ansible-galaxy"
    sys.exit(main())
