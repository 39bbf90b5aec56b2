"""Rules of users (``api.md`` 3.2)."""

from __future__ import annotations

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts
from controlplane.domain.field_values import BLANK, ENCRYPTED


def check(draft: Draft, _facts: Facts) -> None:
    """Demand a password of a new user; ``$encrypted$`` keeps the stored one."""
    password = draft.values["password"]
    kept = "" if draft.before is None else draft.before["password"]
    if password == ENCRYPTED:
        draft.values["password"] = password = kept
    elif not password and "password" in draft.given:
        draft.error("password", BLANK)
        return
    if not password and draft.creating:
        draft.error("password", "Password required for new User.")
