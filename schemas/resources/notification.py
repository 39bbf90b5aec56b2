"""Notification: one message that went out, or could not, about a job."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from schemas.resource import Choices, Hidden, ReadOnly, Ref, resource
from schemas.resources.notification_template import TYPES

STATUSES = (("pending", "Pending"), ("successful", "Successful"), ("failed", "Failed"))


@resource(
    kind="notification",
    plural="notifications",
    verbose="Notification",
    order=("id",),
    search=("body", "notification_type", "subject"),
    capabilities=(),
    summary=("id", "status", "created", "error"),
    read_only=True,
)
class Notification(Struct, frozen=True, kw_only=True):
    """The state of a notification."""

    notification_template: Annotated[
        int, Ref("notification_template", on_delete="cascade"), ReadOnly()
    ]
    error: Annotated[str, ReadOnly()] = ""
    status: Annotated[str, Choices(STATUSES), ReadOnly()] = "pending"
    notifications_sent: Annotated[int, ReadOnly()] = 0
    notification_type: Annotated[str, Choices(TYPES), ReadOnly()]
    recipients: Annotated[str, ReadOnly()] = ""
    subject: Annotated[str, ReadOnly()] = ""
    body: Annotated[str, ReadOnly()] = ""
    unified_job: Annotated[int | None, Hidden(), ReadOnly()] = None
