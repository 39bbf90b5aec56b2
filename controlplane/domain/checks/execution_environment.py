"""Rules of execution environments (``api.md`` 3.37)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import DENIED, Denied
from controlplane.domain.facts import Facts, Row

_IMAGE = re.compile(
    r"^(?!-)(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/)?[a-z0-9._/-]+(?::[\w][\w.-]{0,127})?"
    r"(?:@[A-Za-z0-9.+_-]+:[0-9a-fA-F]{32,})?\Z"
)
ONLY_PULL = "Only the 'pull' field can be edited for managed execution environments."


def check(draft: Draft, facts: Facts) -> None:
    """Check the image's name and the registry credential; keep the organization."""
    before, values = draft.before, draft.values
    if before is not None and before["managed"]:
        if any(draft.changed(name) for name in draft.given if name != "pull"):
            raise Denied(ONLY_PULL)
        return
    if not _IMAGE.match(values["image"]):
        draft.error("image", f"The container image name {values['image']} is not valid")
    if before is not None and draft.changed("organization"):
        text = "Cannot change the organization of an execution environment"
        draft.error("organization", text)
    if values["credential"] is not None and draft.changed("credential"):
        credential = facts.row("credential", values["credential"])
        if credential is not None and credential["kind"] != "registry":
            text = (
                "Only Container Registry credentials can be associated with an"
                " Execution Environment"
            )
            draft.error("credential", text)


def delete(_object_id: int, row: Row, _facts: Facts) -> Iterable[str]:
    """Refuse to remove one that belongs to the system."""
    if row["managed"]:
        raise Denied(DENIED)
    return ()
