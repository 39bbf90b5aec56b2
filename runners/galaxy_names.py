"""A program of its own: ``ansible-galaxy`` that installs nowhere but where it is told to.

Upstream joins the names of roles and collections to its paths as they come, also those that a
downloaded role or collection says itself: ``../../x`` would be written, or removed first, anywhere
that the runner may write.
"""

from __future__ import annotations

import re
import sys
from pathlib import PurePosixPath
from typing import Any

_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def stays_below(role: str) -> bool:
    """Tell whether a role's name leads to a place below the directory of roles."""
    path = PurePosixPath(role)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def is_collection(name: str) -> bool:
    """Tell whether a name is a namespace and a name, and no path."""
    parts = name.split(".")
    return len(parts) == len(("namespace", "name")) and all(map(_PART.fullmatch, parts))


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
    from ansible.cli.galaxy import main

    sys.argv[0] = "ansible-galaxy"
    sys.exit(main())
