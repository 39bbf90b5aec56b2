"""Rules of surveys as they are kept with their templates (``api.md`` 4.3)."""

from __future__ import annotations

from controlplane.domain import survey
from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts


def assign(draft: Draft, _facts: Facts) -> None:
    """Check a new survey; a password default written as ``$encrypted$`` is as it was."""
    if "survey_spec" in draft.given:
        given = draft.values["survey_spec"]
        before = draft.before["survey_spec"] if draft.before is not None else {}
        draft.values["survey_spec"] = survey.checked(given, before) if given else {}
