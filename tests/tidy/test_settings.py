"""Each setting is read by the code it names, or the documentation says that it has no effect."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.settings import SETTINGS
from tests.compat import settings

ROOT = Path(__file__).parent.parent.parent


def test_each_reader_reads_its_setting() -> None:
    """The module that a declaration names exists and mentions the setting by its whole name."""
    wrong = []
    for each in SETTINGS.values():
        path = ROOT / f"{each.reader.replace('.', '/')}.py"
        if each.reader and not (
            path.is_file() and re.search(rf"\b{each.name}\b", path.read_text())
        ):
            wrong.append((each.name, each.reader))
    assert wrong == []


def test_what_has_no_effect_is_documented() -> None:
    """A setting without a reader stands in the documentation, and one with a reader does not."""
    silent = {name for names in settings.without_effect().values() for name in names}
    assert settings.documented() == silent, "run `.venv/bin/python -m tests.compat.settings`"


def test_every_setting_of_awx_is_declared() -> None:
    """AWX 24.6.1's categories hold these numbers of settings; single sign-on adds more."""
    numbers = {"system": 27, "jobs": 25, "logging": 18, "authentication": 7}
    numbers |= {"ui": 5, "debug": 4, "bulk": 3, "named-url": 2}
    slugs = [each.slug for each in SETTINGS.values()]
    assert {slug: slugs.count(slug) for slug in numbers} == numbers
