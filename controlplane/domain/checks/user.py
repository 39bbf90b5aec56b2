"""Rules of users (``api.md`` 3.2)."""

from __future__ import annotations

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts
from controlplane.domain.field_values import ENCRYPTED

MANAGED = "Unable to change username on a user of an identity provider."


def check(draft: Draft, _facts: Facts) -> None:
    """Demand a password of a new user; ``$encrypted$`` and nothing keep the stored one.

    The import of awxkit sends nothing where its export has read ``$encrypted$``: the user comes
    along and cannot log in until a password is set. A user whom an identity provider made has
    none, and gets none: it would let in whom the provider refuses.
    """
    if draft.before is not None and draft.before["external_provider"] is not None:
        draft.values["password"] = draft.before["password"]
        if draft.changed("username"):
            draft.error("username", MANAGED)
        return
    kept = "" if draft.before is None else draft.before["password"]
    if draft.values["password"] in ("", ENCRYPTED):
        draft.values["password"] = kept
    if draft.creating and "password" not in draft.given:
        draft.error("password", "Password required for new User.")
