"""Rules of inventories (``api.md`` 3.13)."""

from __future__ import annotations

from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts

KIND_CHANGE = 'You cannot turn a regular inventory into a "smart" or "constructed" inventory.'


def check(draft: Draft, _facts: Facts) -> None:
    """Refuse another kind than the plain one.

    A plain inventory takes a host filter and drops it.
    """
    if draft.values["kind"]:
        if not draft.creating:
            raise Refused({"error": KIND_CHANGE}, 405)
        draft.error("kind", "Smart and constructed inventories are not available.")
    draft.values["host_filter"] = None
