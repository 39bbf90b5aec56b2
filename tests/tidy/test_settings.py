"""Each setting is read by the code it names, or the documentation says that it has no effect."""

from __future__ import annotations

import re
from pathlib import Path

from controlplane.domain.external import checks
from schemas.settings import SETTINGS
from tests.compat import settings

ROOT = Path(__file__).parent.parent.parent


def test_each_reader_reads_its_setting() -> None:
    """The module that a declaration names mentions the setting by its whole name, or reads it."""
    wrong = []
    for each in SETTINGS.values():
        path = ROOT / f"{each.reader.replace('.', '/')}.py"
        if each.reader == checks.__name__:
            read = each.name in checks.READERS
        else:
            read = path.is_file() and bool(re.search(rf"\b{each.name}\b", path.read_text()))
        if each.reader and not read:
            wrong.append((each.name, each.reader))
    assert wrong == []


def test_what_has_no_effect_is_documented() -> None:
    """A setting without a reader stands in the documentation, and one with a reader does not."""
    silent = {name for names in settings.without_effect().values() for name in names}
    assert settings.documented() == silent, "run `.venv/bin/python -m tests.compat.settings`"


def test_every_setting_of_awx_is_declared() -> None:
    """These categories hold as many settings as AWX 24.6.1's; single sign-on adds its own."""
    numbers = {"system": 27, "jobs": 25, "logging": 18, "authentication": 10, "ldap": 6 * 16}
    numbers |= {"ui": 5, "debug": 4, "bulk": 3, "named-url": 2}
    slugs = [each.slug for each in SETTINGS.values()]
    assert {slug: slugs.count(slug) for slug in numbers} == numbers
