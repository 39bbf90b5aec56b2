"""Rules of workflow job templates (``api.md`` 3.25)."""

from __future__ import annotations

from controlplane.domain.checks import webhook
from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts


def check(draft: Draft, facts: Facts) -> None:
    """Check what webhooks need; all else is plain settings."""
    webhook.check(draft, facts)
