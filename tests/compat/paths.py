"""AWX's 372 paths beside ours: ``python -m tests.compat.paths`` writes what is missing to the docs.

``paths.json`` names each path of AWX 24.6.1 below ``/api/v2`` with its methods and its meaning.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from tests.tidy.test_routes import application, handlers

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"
_BEGIN, _END = "<!-- missing: begin -->\n", "<!-- missing: end -->\n"
_ROW = re.compile(r"^\| `(?P<path>[^`]+)` \| (?P<methods>[A-Z ]+) \|", re.MULTILINE)
_KEY = re.compile(r"\{[^}]*\}")


class AwxPath(NamedTuple):
    """One path of AWX."""

    path: str
    methods: tuple[str, ...]
    meaning: str


PATHS = tuple(
    AwxPath(path, tuple(methods.split()), meaning)
    for path, methods, meaning in json.loads(Path(__file__).with_name("paths.json").read_text())
)


def served() -> dict[str, set[str]]:
    """Return each path of the application, its keys unnamed, with its methods."""
    found: dict[str, set[str]] = {}
    for path, handler in handlers(application()):
        found.setdefault(_KEY.sub("{}", path).rstrip("/") + "/", set()).update(handler.http_methods)
    return found


def missing() -> dict[str, tuple[str, ...]]:
    """Return the paths that are not served as AWX does, each with the methods it lacks."""
    ours = served()
    lacking = {
        each.path: tuple(
            method
            for method in each.methods
            if method not in ours.get(_KEY.sub("{}", f"/api/v2{each.path}"), ())
        )
        for each in PATHS
    }
    return {path: methods for path, methods in lacking.items() if methods}


def documented() -> dict[str, tuple[str, ...]]:
    """Return what ``docs/compatibility.md`` says is missing."""
    section = DOCUMENT.read_text().partition(_BEGIN)[2].partition(_END)[0]
    return {each["path"]: tuple(each["methods"].split()) for each in _ROW.finditer(section)}


def write() -> None:
    """Write the section of the document anew."""
    head, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    tail = rest.partition(_END)[2]
    meanings = {each.path: each.meaning.replace("|", "\\|") for each in PATHS}
    rows = "".join(
        f"| `{path}` | {' '.join(methods)} | {meanings[path]} |\n"
        for path, methods in missing().items()
    )
    table = "| path | methods | in AWX |\n|---|---|---|\n" + rows
    DOCUMENT.write_text(f"{head}{_BEGIN}{table}{_END}{tail}")


if __name__ == "__main__":
    write()
