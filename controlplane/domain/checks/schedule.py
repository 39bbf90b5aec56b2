"""Rules of schedules (``api.md`` 3.31, 4.9): the recurrence rule, and the times that follow."""

from __future__ import annotations

from controlplane.domain import prompts, recurrence
from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import KIND, Facts


def check(draft: Draft, facts: Facts) -> None:
    """Check the rule and what it runs; its times follow from the rule and the present moment."""
    values = draft.values
    prompts.check(draft, facts, required=True)
    template = facts.row("unified_job_template", values["unified_job_template"]) or {}
    if template.get(KIND) == "project" and not template["scm_type"]:
        draft.error("unified_job_template", "Manual Project cannot have a schedule set.")
    try:
        rule = recurrence.read(values["rrule"])
    except recurrence.Unruly as error:
        draft.errors["rrule"] = error.messages
        return
    values["rrule"] = rule.text
    if draft.changed("rrule"):
        values["dtstart"], values["dtend"] = rule.first(), rule.last()
    values["next_run"] = rule.next_run(facts.now) if values["enabled"] else None
