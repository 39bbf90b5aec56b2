"""One declaration per AWX resource.

Importing this package declares all and registers their tags.
"""

from schemas import derive
from schemas.resources import (
    application,
    credential,
    credential_input_source,
    credential_type,
    execution_environment,
    group,
    host,
    instance_group,
    inventory,
    inventory_source,
    job_template,
    label,
    notification,
    notification_template,
    organization,
    project,
    role_definition,
    schedule,
    system_job_template,
    team,
    user,
    workflow_approval_template,
    workflow_job_template,
    workflow_job_template_node,
)

derive.register_all()

__all__ = [
    "application",
    "credential",
    "credential_input_source",
    "credential_type",
    "execution_environment",
    "group",
    "host",
    "instance_group",
    "inventory",
    "inventory_source",
    "job_template",
    "label",
    "notification",
    "notification_template",
    "organization",
    "project",
    "role_definition",
    "schedule",
    "system_job_template",
    "team",
    "user",
    "workflow_approval_template",
    "workflow_job_template",
    "workflow_job_template_node",
]
