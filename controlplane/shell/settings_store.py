"""Settings as the running programs read them: from memory, and fresh a moment after a change.

``freshen`` asks Postgres only when CONFIG has moved since the last time, and not more often than
``RECHECK_S``; who has just written a change passes its position and sees it at once.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import structlog

from controlplane.shell.catch_up import CatchUp
from controlplane.shell.config_writer import AWAY, PROJECTION
from controlplane.shell.vault import Vault
from ops import clock
from schemas.events.setting import SETTINGS_ID, SettingsChanged
from schemas.settings import SETTINGS, Setting

log = structlog.get_logger()

RECHECK_S = 0.2
RELOAD_S = 5.0
"""A lost announcement of CONFIG's move costs this much."""
_READ = """
select c.position, s.name, s.value from checkpoint c left join setting s on true
where c.projection = $1
"""


class SettingsStore:
    """The value of every setting, as of the newest position read."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], catch_up: CatchUp, vault: Vault) -> None:
        """Read over ``pool``; before the first ``freshen`` every setting has its default."""
        self._pool = pool
        self._catch_up = catch_up
        self._vault = vault
        self._position = -1
        self._asked_at = float("-inf")
        self._changed: dict[str, Any] = {}

    @property
    def changed(self) -> dict[str, Any]:
        """Return the settings that have another value than their default, secrets sealed."""
        return self._changed

    def get(self, name: str) -> Any:
        """Return a setting's value, a secret sealed; raises KeyError for one not declared."""
        setting = SETTINGS[name]
        if name not in self._changed:
            return setting.default
        value = self._changed[name]
        return {**setting.default, **value} if setting.keys else value

    def flag(self, name: str) -> bool:
        """Return the value of a setting that is on or off."""
        return bool(self.get(name))

    def integer(self, name: str) -> int:
        """Return the value of a setting that is a number."""
        return int(self.get(name))

    def text(self, name: str) -> str:
        """Return the value of a setting that is a string; empty for none."""
        return str(self.get(name) or "")

    async def secret(self, name: str) -> str:
        """Return a secret in the clear; empty for none."""
        sealed = self.text(name)
        return await self._vault.open("setting", SETTINGS_ID, sealed) if sealed else ""

    async def freshen(self, position: int = -1) -> None:
        """Read again what may have changed; at least what CONFIG had at ``position``.

        Where Postgres does not answer, the values stay as they were.
        """
        waited_s = clock.monotonic() - self._asked_at
        moved = self._catch_up.position(PROJECTION) > self._position
        if position <= self._position and waited_s < (RECHECK_S if moved else RELOAD_S):
            return
        self._asked_at = clock.monotonic()
        try:
            rows = await self._pool.fetch(_READ, PROJECTION)
        except AWAY as error:
            log.warning("settings not read", error=repr(error))
            return
        if rows and rows[0]["position"] >= self._position:
            self._position = rows[0]["position"]
            self._changed = {
                row["name"]: msgspec.json.decode(row["value"])
                for row in rows
                if row["name"] in SETTINGS
            }

    def learn(self, event: SettingsChanged, position: int) -> None:
        """Take a change that this process has appended while the read model lags behind."""
        self._position = max(self._position, position)
        kept = {name: each for name, each in self._changed.items() if name not in event.reset}
        self._changed = {**kept, **event.values}


def shown(setting: Setting, value: Any) -> Any:
    """Return a value as answers show it: of a secret that is set, stars."""
    return "$encrypted$" if setting.secret and value else value
