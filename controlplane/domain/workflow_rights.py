"""Who may do what to workflows' nodes, approvals and jobs, and to schedules, by what they stand on.

Parts of ``access.DELEGATES``, ``REF_NEEDS`` and ``OWNER_FIELDS``, which say what they hold.
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
            ("job_template", "job_template", "see_jobs"),
            ("organization", "organization", "edit"),
            ("organization", "organization", "audit"),
        ),
        "start": (
            ("workflow_job_template", "workflow_job_template", "start"),
            ("job_template", "job_template", "start"),
        ),
        "cancel": (
            ("workflow_job_template", "workflow_job_template", "edit"),
            ("job_template", "job_template", "edit"),
            ("organization", "organization", "edit"),
        ),
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

WORKFLOW_REF_NEEDS: dict[tuple[str, str], str] = {
    ("schedule", "unified_job_template"): "start",
    ("workflow_job_template", "organization"): "add_workflow_job_template",
    ("workflow_job_template_node", "workflow_job_template"): "edit",
    ("workflow_job_template_node", "unified_job_template"): "start",
    ("workflow_approval_template", "workflow_job_template_node"): "edit",
}

WORKFLOW_OWNER_FIELDS: dict[str, tuple[str, ...]] = {
    "schedule": ("unified_job_template",),
    "workflow_job_template": ("organization",),
    "workflow_job_template_node": ("workflow_job_template",),
    "workflow_approval_template": ("workflow_job_template_node",),
}
