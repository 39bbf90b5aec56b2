"""Commands about settings, prepared for the writer of CONFIG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from controlplane.domain import setting_changes
from controlplane.domain.errors import Invalid
from controlplane.domain.facts import Unsealed
from controlplane.domain.field_values import missing_pk
from controlplane.shell.config_writer import ConfigView, Prepare, Prepared
from controlplane.shell.vault import Vault
from schemas import subjects
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.resource import RESOURCES
from schemas.settings import SETTINGS

KEY = f"setting:{SETTINGS_ID}"
STORED = "select t.name, t.value from setting t"


def set_values(values: Mapping[str, Any], vault: Vault) -> Prepare:
    """Return the command that gives settings these values; raises Invalid when they do not fit."""

    async def prepare(view: ConfigView) -> Prepared:
        reads = await _check_references(view, values)
        events = setting_changes.change(values, await _stored(view))
        return _prepared(tuple([await _sealed(each, vault) for each in events]), reads)

    return prepare


def reset(slug: str) -> Prepare:
    """Return the command that gives the settings of a category their defaults."""

    async def prepare(view: ConfigView) -> Prepared:
        return _prepared(setting_changes.reset(slug, await _stored(view)), frozenset())

    return prepare


def _prepared(events: tuple[SettingsChanged, ...], reads: frozenset[str]) -> Prepared:
    keys = frozenset({KEY})
    subject = subjects.config("setting", SETTINGS_ID)
    return Prepared(subject=subject, events=events, reads=keys | reads, writes=keys)


async def _stored(view: ConfigView) -> dict[str, Any]:
    rows = await view.connection.fetch(STORED)
    return {row["name"]: msgspec.json.decode(row["value"]) for row in rows}


async def _check_references(view: ConfigView, values: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys of the objects that settings name; raises Invalid where there is none."""
    reads: set[str] = set()
    for name, value in values.items():
        kind = SETTINGS[name].ref
        if not kind or value is None:
            continue
        sql = f'select 1 from "{RESOURCES[kind].kind}" where "id" = $1'  # noqa: S608 - a declared kind
        if await view.connection.fetchval(sql, value) is None:
            raise Invalid({name: [missing_pk(value)]})
        reads.add(f"{kind}:{value}")
    return frozenset(reads)


async def _sealed(event: SettingsChanged, vault: Vault) -> SettingsChanged:
    values = {
        name: await vault.seal("setting", SETTINGS_ID, value.text)
        if isinstance(value, Unsealed)
        else value
        for name, value in event.values.items()
    }
    return msgspec.structs.replace(event, values=values)
