"""Deciding a change of settings: which event a body or a reset leads to.

What is not declared in the category, what is read only and a secret that is written back as it
reads are passed over; all problems are reported at once, and then nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.domain.errors import Invalid
from controlplane.domain.external import checks
from controlplane.domain.facts import Unsealed
from controlplane.domain.field_values import ENCRYPTED, REQUIRED
from controlplane.domain.setting_values import Unfit, read
from schemas.events.setting import SettingsChanged
from schemas.settings import CATEGORY_CHECKS, SETTINGS, Setting, of_category

Values = Mapping[str, Any]


def given(slug: str, body: Values, *, partial: bool) -> dict[str, Any]:
    """Return the settings of a category that a body sets, with their values; raises Invalid."""
    found: dict[str, Any] = {}
    problems: dict[str, Any] = {}
    for setting in of_category(slug):
        if setting.read_only:
            continue
        if setting.name not in body:
            if setting.required and not partial and slug != "changed":
                problems[setting.name] = [REQUIRED]
        elif not _kept(setting, body[setting.name]):
            try:
                found[setting.name] = read(setting, body[setting.name])
            except Unfit as error:
                problem = error.problem
                problems[setting.name] = problem if isinstance(problem, dict) else [problem]
    if problems:
        raise Invalid(problems)
    return found


def change(values: Values, stored: Values) -> tuple[SettingsChanged, ...]:
    """Return what setting ``values`` leads to where ``stored`` have other values than defaults.

    Raises Invalid when a category would not fit together.
    """
    _check_categories(values, stored)
    changed = {
        name: Unsealed(value) if SETTINGS[name].secret and value else value
        for name, value in values.items()
        if SETTINGS[name].secret or name not in stored or stored[name] != value
    }
    return (SettingsChanged(values=changed, was=_was(changed, stored)),) if changed else ()


def reset(slug: str, stored: Values) -> tuple[SettingsChanged, ...]:
    """Return what giving a category its defaults leads to."""
    names = {each.name for each in of_category(slug) if not each.read_only}
    gone = tuple(sorted(names & set(stored)))
    return (SettingsChanged(reset=gone, was=_was(gone, stored)),) if gone else ()


def _was(names: Iterable[str], stored: Values) -> dict[str, Any]:
    """Return what may be told of the values that settings had."""
    return {
        name: stored.get(name, SETTINGS[name].default)
        for name in names
        if not SETTINGS[name].secret
    }


def _kept(setting: Setting, raw: Any) -> bool:
    return setting.secret and isinstance(raw, str) and raw.startswith(ENCRYPTED)


def _check_categories(values: Values, stored: Values) -> None:
    problems: list[str] = []
    for slug in sorted({SETTINGS[name].slug for name in values} & set(CATEGORY_CHECKS)):
        whole = {each.name: each.default for each in of_category(slug)}
        problems += CATEGORY_CHECKS[slug](whole | {**stored, **values})
    if problems:
        raise Invalid({"__all__": ["\n".join(problems)]})
    if any(SETTINGS[name].slug == "ldap" for name in values):
        whole = {each.name: each.default for each in of_category("ldap")}
        checks.check_together(whole | {**stored, **values})
