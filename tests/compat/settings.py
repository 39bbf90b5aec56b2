"""Settings that nothing reads: ``python -m tests.compat.settings`` writes them to the docs."""

from __future__ import annotations

import re

from schemas.settings import CATEGORIES, SETTINGS
from tests.compat.paths import DOCUMENT

_BEGIN, _END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
_NAME = re.compile(r"`([A-Z0-9_]+)`")


def without_effect() -> dict[str, list[str]]:
    """Return the settings that can be written and have no reader, by category."""
    found: dict[str, list[str]] = {}
    for each in SETTINGS.values():
        if not each.reader and not each.read_only:
            found.setdefault(each.slug, []).append(each.name)
    return found


def documented() -> set[str]:
    """Return what ``docs/compatibility.md`` says has no effect."""
    section = DOCUMENT.read_text().partition(_BEGIN)[2].partition(_END)[0]
    return set(_NAME.findall(section))


def write() -> None:
    """Write the section of the document anew."""
    head, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    tail = rest.partition(_END)[2]
    rows = "".join(
        f"| {CATEGORIES[slug]} | {', '.join(f'`{name}`' for name in names)} |\n"
        for slug, names in without_effect().items()
    )
    table = "| category | settings |\n|---|---|\n" + rows
    DOCUMENT.write_text(f"{head}{_BEGIN}{table}{_END}{tail}")


if __name__ == "__main__":
    write()
