"""Who may do what to workflows' nodes, approvals and jobs, and to schedules, by what they stand on.

Part of ``access.DELEGATES``: verb to (field, kind there, verb needed there); one suffices.
"""

from __future__ import annotations

WORKFLOW_DELEGATES: dict[str, dict[str, tuple[tuple[str, str, str], ...]]] = {
    "workflow_job_template_node": {
        "read": (("workflow_job_template", "workflow_job_template", "read"),),
        "edit": (("workflow_job_template", "workflow_job_template", "edit"),),
        "delete": (("workflow_job_template", "workflow_job_template", "edit"),),
    },
    "workflow_approval_template": {
        "read": (("workflow_job_template_node", "workflow_job_template_node", "read"),),
        "edit": (("workflow_job_template_node", "workflow_job_template_node", "edit"),),
        "delete": (("workflow_job_template_node", "workflow_job_template_node", "edit"),),
    },
    "schedule": {
        "read": (("unified_job_template", "unified_job_template", "read"),),
        "edit": (("unified_job_template", "unified_job_template", "edit"),),
        "delete": (("unified_job_template", "unified_job_template", "edit"),),
    },
    "system_job": {"read": ()},
    "workflow_job": {
        "read": (
            ("workflow_job_template", "workflow_job_template", "read"),
            ("organization", "organization", "edit"),
            ("organization", "organization", "audit"),
        ),
        "start": (("workflow_job_template", "workflow_job_template", "start"),),
        "cancel": (("workflow_job_template", "workflow_job_template", "edit"),),
        "delete": (("organization", "organization", "edit"),),
    },
    "workflow_job_node": {"read": (("workflow_job", "workflow_job", "read"),)},
    "workflow_approval": {
        "read": (
            ("workflow_approval_template", "workflow_approval_template", "read"),
            ("organization", "organization", "audit"),
        ),
        "edit": (("workflow_approval_template", "workflow_approval_template", "edit"),),
        "delete": (("organization", "organization", "edit"),),
    },
}
