"""Rules of webhooks, the same for all templates that take them (``api.md`` 4.8)."""

from __future__ import annotations

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts, Unsealed

KEY_LENGTH = 50


def check(draft: Draft, facts: Facts) -> None:
    """Check the credential against the service; a new service has a new key."""
    service, number = draft.values["webhook_service"], draft.values["webhook_credential"]
    credential = facts.row("credential", number) if number is not None else None
    if credential is not None and credential["kind"] != f"{service}_token":
        draft.error("webhook_credential", "Must match the selected webhook service.")
    if draft.changed("webhook_service"):
        draft.values["webhook_key"] = new_key(facts) if service else ""


def new_key(facts: Facts) -> Unsealed:
    """Return a key that nobody can guess."""
    return Unsealed(facts.random[:KEY_LENGTH])


def assign(draft: Draft, facts: Facts) -> None:
    """Make another key when one is asked for."""
    if "webhook_key" in draft.given:
        draft.values["webhook_key"] = new_key(facts)
