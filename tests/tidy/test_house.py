"""House numbers: sizes, docstrings, waiting, tags, the lock, what must not stand in a file."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import schemas.catalog  # noqa: F401 - registers every tag
from schemas.registry import TAGS

ROOT = Path(__file__).parent.parent.parent
LINE_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
TEST_FILE_LINES_MAX = 800
PATCH_LINES_MAX = 20
WAITS = {"tests/waiting.py"}
"""The only test file that may wait: on conditions, within bounds."""
_NOQA = re.compile(r"\s+# (noqa|type: ignore).*$")
_SLEEP = re.compile(r"(?<![\w.])(?:time|asyncio|anyio)\.sleep\(")
_PATCH = re.compile(r"monkeypatch\.setattr|mock\.patch|mocker\.patch|@patch\b")
_FOREIGN = re.compile(
    "/" + r"work/main|" + "/" + r"root/|" + "py" + r"pi\.org|" + "registry" + r"\.npmjs"
)


@cache
def tracked() -> tuple[str, ...]:
    """Files that git tracks and that are there."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def sources() -> list[str]:
    """Tracked Python files."""
    return [name for name in tracked() if name.endswith(".py")]


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / name).read_text())


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_lines_are_short() -> None:
    """At most a hundred columns, the reasons behind a suppressed check not counted."""
    long = [
        f"{name}:{number}"
        for name in sources()
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if len(_NOQA.sub("", line)) > LINE_MAX
    ]
    assert long == []


def test_functions_are_short() -> None:
    """At most seventy lines, docstring included."""
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name in sources()
        for node in functions(name)
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_are_short() -> None:
    """Six hundred lines, eight hundred for tests."""
    long = [
        name
        for name in sources()
        if len((ROOT / name).read_text().splitlines())
        > (TEST_FILE_LINES_MAX if name.startswith("tests/") else FILE_LINES_MAX)
    ]
    assert long == []


def test_public_functions_and_tests_say_their_rule() -> None:
    """Each public function and each test has a docstring."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name in sources()
        for node in _outer_functions(name)
        if not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    assert silent == []


def _outer_functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree(name).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield each


def test_tests_wait_on_conditions() -> None:
    """No sleep in tests, and few patches."""
    tests = [name for name in sources() if name.startswith("tests/") and name not in WAITS]
    texts = {name: (ROOT / name).read_text() for name in tests}
    assert [name for name, text in texts.items() if _SLEEP.search(text)] == []
    assert sum(len(_PATCH.findall(text)) for text in texts.values()) <= PATCH_LINES_MAX


def test_tags_are_only_ever_added() -> None:
    """What was stored once must be readable for ever."""
    known = (ROOT / "tests" / "replay" / "tags.txt").read_text().split()
    assert sorted(TAGS) == sorted(set(known))


@pytest.mark.parametrize("name", ["ops/collection.lock", "ops/requirements.lock", "pyproject.toml"])
def test_dependencies_name_no_address(name: str) -> None:
    """The lock carries hashes and no index; it works wherever a registry is."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--find-links" not in text


def test_no_file_names_a_machine_or_a_registry() -> None:
    """Paths and hosts of the machine it was written on stand nowhere."""
    named = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        if _FOREIGN.search(text):
            named.append(name)
    assert named == []


def test_every_module_is_reached() -> None:
    """A module that nobody imports and that is no entry point is dead."""
    entries = re.compile(r"(__init__|__main__|conftest|main|demo|test_\w+|awx_display)\.py$")
    imported: set[str] = set()
    for name in sources():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    text = "\n".join((ROOT / name).read_text() for name in sources())
    dead = [
        name
        for name in sources()
        if not entries.search(name)
        and name.removesuffix(".py").replace("/", ".") not in imported
        and name.removesuffix(".py").replace("/", ".") not in text
    ]
    assert dead == []
