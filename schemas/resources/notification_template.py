"""Notification template: whom to tell, by which service and in which words."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from schemas.notification_types import NO_MESSAGES, NOTIFICATION_TYPES
from schemas.resource import Choices, Help, Json, Ref, Related, Unique, resource

TYPES = tuple((name, each.label) for name, each in NOTIFICATION_TYPES.items())


@resource(
    kind="notification_template",
    plural="notification_templates",
    verbose="Notification Template",
    unique=(
        Unique(
            fields=("organization", "name"),
            message="Notification template with this Organization and Name already exists.",
        ),
    ),
    related=(Related(name="notifications", kind="notification", through="notification_template"),),
    extra_links={"test": "test", "copy": "copy"},
    parent="organization",
    capabilities=("edit", "delete", "copy"),
    named_url=("name", "organization.name"),
    copyable=True,
)
class NotificationTemplate(Struct, frozen=True, kw_only=True):
    """The state of a notification template.

    In ``notification_configuration`` the fields that its type calls passwords are sealed strings.
    """

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    description: str = ""
    organization: Annotated[int, Ref("organization", on_delete="cascade")]
    notification_type: Annotated[str, Choices(TYPES)]
    notification_configuration: Annotated[dict[str, Any], Json("object", sealed=True)] = {}
    messages: Annotated[
        dict[str, Any],
        Json("object"),
        Help("Optional custom messages for notification template."),
    ] = field(default_factory=lambda: dict(NO_MESSAGES))
