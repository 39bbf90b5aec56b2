"""The settings that administrators change while the system runs; importing this declares them.

AWX's names, types and defaults, save where a comment says why ours differs.
"""

from __future__ import annotations

from schemas.settings import access, external, isolation, jobs, logging, system, webhooks
from schemas.settings.setting import (
    CATEGORIES,
    CATEGORY_CHECKS,
    SETTINGS,
    Setting,
    declare,
    of_category,
)

DECLARED = (access, external, isolation, jobs, logging, system, webhooks)
__all__ = [
    "CATEGORIES",
    "CATEGORY_CHECKS",
    "DECLARED",
    "SETTINGS",
    "Setting",
    "declare",
    "of_category",
]
