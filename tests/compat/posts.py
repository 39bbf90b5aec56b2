"""What each POST of AWX's table does: makes an object of which kind, or acts how."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from msgspec import Struct

from tests.compat.graph import SPEC, Body, Graph
from tests.compat.paths import PATHS, AwxPath
from tests.compat.shapes import Shape, anything, keys
from tests.deployment.conftest import PASSWORD


class Action(Struct, frozen=True):
    """A body, the status it is answered with, and what holds of the answer."""

    status: int
    body: Body | Callable[[Graph], Body] = {}
    holds: Shape = anything


def refused(*words: str) -> Shape:
    """Return the shape of a refusal in words of what a later release does."""
    return said("Playlog does not", *words)


def said(*words: str) -> Shape:
    """Return the shape of an answer with words in it."""
    return lambda answered: all(word in answered.text for word in words)


def nothing(answered: httpx.Response) -> bool:
    """No body at all."""
    return answered.content == b""


def named(graph: Graph) -> Body:
    """Return the body of a copy."""
    return {"name": graph.name()}


def creates(case: AwxPath) -> bool:
    """Return whether POST of a path makes an object."""
    words = ("POST create", "POST grants a role to", "POST a custom one", "POST as users")
    return any(each in case.meaning for each in words) and case.path not in ACTIONS


def attaches(case: AwxPath) -> bool:
    """Return whether POST of a path attaches what there is."""
    words = ("disassociate", "revoke")
    return any(each in case.meaning for each in words) and case.path not in ACTIONS


ANALYTICS = Action(403, {}, said("analytics-upload-not-enabled"))
"""The proxy to a service of the vendor is refused, as on an AWX that is not registered there."""
NODES = ("success_nodes", "failure_nodes", "always_nodes")
TEMPLATES = ("job_templates", "workflow_job_templates")
EVENTS = ("started", "success", "error", "approvals")
SEGMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/organizations/{pk}/admins/": ("users", ()),
    "/users/{pk}/credentials/": ("credentials", ("organization",)),
    "/users/{pk}/tokens/": ("tokens", ()),
    "/users/{pk}/authorized_tokens/": ("application_tokens", ()),
    "/users/{pk}/personal_tokens/": ("tokens", ()),
    "/teams/{pk}/credentials/": ("credentials", ("organization",)),
    "/credential_types/{pk}/credentials/": ("typed_credentials", ("credential_type",)),
    "/credentials/{pk}/input_sources/": ("credential_input_sources", ("target_credential",)),
    "/inventories/{pk}/root_groups/": ("groups", ("inventory",)),
    "/inventories/{pk}/input_inventories/": ("inventories", ()),
    "/groups/{pk}/children/": ("groups", ("inventory",)),
    "/workflow_job_templates/{pk}/workflow_nodes/": (
        "workflow_job_template_nodes",
        ("workflow_job_template",),
    ),
    "/organizations/{pk}/galaxy_credentials/": ("galaxy_credentials", ()),
    **{
        f"/{parent}/{{pk}}/{plural}/": (plural, ("inventory",))
        for parent, plural in (
            ("inventories", "hosts"),
            ("inventories", "groups"),
            ("inventories", "inventory_sources"),
            ("hosts", "groups"),
            ("groups", "hosts"),
        )
    },
    **{
        f"/organizations/{{pk}}/{plural}/": (plural, ("organization",))
        for plural in (
            "execution_environments",
            "projects",
            "workflow_job_templates",
            "teams",
            "credentials",
            "notification_templates",
            "applications",
        )
    },
    **{
        f"/{parent}/{{pk}}/schedules/": ("schedules", ("unified_job_template",))
        for parent in ("projects", "inventory_sources", "system_job_templates", *TEMPLATES)
    },
    **{
        f"/workflow_job_template_nodes/{{pk}}/{segment}/": (
            "workflow_job_template_nodes",
            ("workflow_job_template",),
        )
        for segment in NODES
    },
    **{
        f"/{parent}/{{pk}}/notification_templates_{event}/": ("notification_templates", ())
        for parent in (
            "organizations",
            "projects",
            "inventory_sources",
            "system_job_templates",
            *TEMPLATES,
        )
        for event in EVENTS
    },
}
"""The kind of a sub-list's members where its last segment is not its name, and what the parent
presets."""

AD_HOC = Action(201, Graph.ad_hoc, keys("ad_hoc_command", "module_name"))

ACTIONS: dict[str, Action] = {
    "/config/": Action(400, {"manifest": "x"}, said("needs no subscription")),
    "/config/subscriptions/": Action(400, {}, said("Missing subscription credentials")),
    "/config/attach/": Action(400, {"pool_id": "1"}, said("needs no subscription")),
    **{each.path: ANALYTICS for each in PATHS if each.path.startswith("/analytics/")},
    "/service-index/validate-local-account/": Action(
        200, {"username": "admin", "password": PASSWORD}, keys("ansible_id", "auth_code")
    ),
    "/service-index/resources/": Action(201, Graph.shared, keys("ansible_id")),
    "/instances/{pk}/health_check/": Action(200, {}, keys("msg")),
    "/instances/{pk}/instance_groups/": Action(
        400, lambda graph: {"id": graph.fresh("instance_groups")}, said("runner registers")
    ),
    "/instance_groups/{pk}/instances/": Action(
        400, lambda graph: {"id": graph.ids["instances"]}, said("runner registers")
    ),
    "/inventory_sources/{pk}/update/": Action(202, {}, keys("inventory_update", "status")),
    "/inventories/{pk}/update_inventory_sources/": Action(200, {}, said("inventory_update")),
    "/ad_hoc_commands/": AD_HOC,
    **{f"/{each}/{{pk}}/ad_hoc_commands/": AD_HOC for each in ("inventories", "hosts", "groups")},
    **{
        f"/{plural}/{{pk}}/copy/": Action(201, named, keys("id", "name"))
        for plural in (
            "credentials",
            "execution_environments",
            "projects",
            "inventories",
            "job_templates",
            "workflow_job_templates",
            "notification_templates",
        )
    },
    "/instances/": Action(400, {"hostname": "node-2"}, keys("__all__")),
    "/bulk/host_create/": Action(
        201,
        lambda graph: {
            "inventory": graph.ids["inventories"],
            "hosts": [{"name": graph.name()} for _ in range(3)],
        },
        keys("url", "hosts"),
    ),
    "/bulk/host_delete/": Action(
        201, lambda graph: {"hosts": [graph.fresh("hosts")]}, keys("hosts")
    ),
    "/bulk/job_launch/": Action(400, {"name": "x", "jobs": []}, anything),
    "/system_job_templates/{pk}/launch/": Action(201, {}, keys("system_job")),
    "/projects/{pk}/update/": Action(202, {}, keys("project_update", "id", "status")),
    "/project_updates/{pk}/cancel/": Action(405),
    "/inventory_updates/{pk}/cancel/": Action(405),
    "/job_templates/{pk}/launch/": Action(201, {}, keys("job", "ignored_fields", "id")),
    "/jobs/{pk}/cancel/": Action(405),
    "/jobs/{pk}/relaunch/": Action(201, {}, keys("job", "id")),
    "/jobs/{pk}/create_schedule/": Action(201, {}, keys("id", "rrule", "enabled")),
    "/settings/logging/test/": Action(409, {}, said("Logging not enabled")),
    **{
        f"/{plural}/{{pk}}/test/": Action(400, {"inputs": {}, "metadata": {}}, said("external"))
        for plural in ("credentials", "credential_types")
    },
    "/notification_templates/{pk}/test/": Action(400, {}, refused("notifications")),
    **{
        f"/{plural}/{{pk}}/{service}/": Action(403, {}, keys("detail"))
        for plural in TEMPLATES
        for service in ("github", "gitlab", "bitbucket_dc")
    },
    **{
        f"/{plural}/{{pk}}/webhook_key/": Action(201, {}, keys("webhook_key"))
        for plural in TEMPLATES
    },
    "/job_templates/{pk}/callback/": Action(403, {}, keys("detail")),
    "/job_templates/{pk}/slice_workflow_jobs/": Action(400, {}, refused("workflows")),
    "/workflow_job_templates/{pk}/launch/": Action(400, {}, refused("workflows")),
    "/workflow_job_template_nodes/{pk}/create_approval_template/": Action(
        201, named, keys("id", "name", "timeout")
    ),
    "/schedules/preview/": Action(
        200, {"rrule": "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"}, keys("local", "utc")
    ),
    "/job_templates/{pk}/survey_spec/": Action(200, SPEC),
    "/workflow_job_templates/{pk}/survey_spec/": Action(200, SPEC),
}
"""POSTs that are neither a list's nor a sub-list's."""
