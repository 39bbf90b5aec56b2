"""Rules of projects (``api.md`` 3.11)."""

from __future__ import annotations

import re
import unicodedata

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts

CREDENTIAL_KINDS = {"insights": "insights"}
"""Source control type to the credential kind it wants, where that is not ``scm``."""
IN_USE = "Organization cannot be changed when in use by job templates."


def check(draft: Draft, facts: Facts) -> None:
    """Check source control settings, fill ``local_path`` and keep the organization of its users."""
    if draft.values["scm_type"]:
        _source_control(draft, facts)
    else:
        _manual(draft, facts)
    moved = draft.before is not None and draft.changed("organization")
    if moved and facts.find("job_template", ("project",), (draft.id,)):
        draft.error("organization", IN_USE)


def _source_control(draft: Draft, facts: Facts) -> None:
    values = draft.values
    if not values["scm_url"] and values["scm_type"] != "insights":
        draft.error("scm_url", "SCM URL is required.")
    wanted = CREDENTIAL_KINDS.get(values["scm_type"], "scm")
    if values["credential"] is not None and (
        draft.changed("credential") or draft.changed("scm_type")
    ):
        credential = facts.row("credential", values["credential"])
        kind = _type_kind(credential["credential_type"], facts) if credential is not None else None
        if kind != wanted:
            draft.error("credential", f"Credential kind must be '{wanted}'.")
    generated = f"_{draft.id}__"
    before = draft.before["local_path"] if draft.before is not None else ""
    values["local_path"] = (
        before if before.startswith(generated) else generated + slug(values["name"])
    )


def _manual(draft: Draft, facts: Facts) -> None:
    draft.values["scm_url"] = ""
    draft.values["credential"] = None
    path = draft.values["local_path"]
    if path and draft.changed("local_path"):
        users = facts.find("project", ("local_path",), (path,))
        if any(each != draft.id for each in users):
            message = "This path is already being used by another manual project."
            draft.error("local_path", message)


def _type_kind(credential_type: int, facts: Facts) -> str:
    row = facts.row("credential_type", credential_type)
    return "" if row is None else str(row["kind"])


def slug(name: str) -> str:
    """Return a name in letters, digits and underscores, as AWX writes it into ``local_path``."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^\w\s-]", "", ascii_name.lower())
    return re.sub(r"[-\s]+", "-", words).strip("-_").replace("-", "_")
