"""Facts about settings, all stored on ``config.setting.1``."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.registry import event

SETTINGS_ID = 1
"""The settings are one object of the log, and their secrets share one data key."""


@event("setting.changed.v1")
class SettingsChanged(Struct, frozen=True, kw_only=True):
    """Settings have these values now; those in ``reset`` have their defaults again."""

    values: dict[str, Any] = {}
    """By name; what is secret is sealed."""
    reset: tuple[str, ...] = ()
    was: dict[str, Any] = {}
    """What both had before, without secrets."""
