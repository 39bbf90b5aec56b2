"""The sub-lists by which templates, projects and organizations say who is told what."""

from __future__ import annotations

from schemas.resource import Related


def _on(event: str) -> Related:
    return Related(
        name=f"notification_templates_{event}",
        kind="notification_template",
        attach=True,
        create=True,
    )


NOTIFIED = (_on("started"), _on("success"), _on("error"))
"""Of everything that runs."""
NOTIFIED_OF_APPROVALS = (*NOTIFIED, _on("approvals"))
"""Of workflows, whose approval nodes wait for somebody, and of organizations."""
