"""What is no list and no detail: how each other GET of AWX answers."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.compat.paths import PATHS

Shape = Callable[[httpx.Response], bool]


def keys(*names: str) -> Shape:
    """A JSON object with these keys at least."""

    def holds(answered: httpx.Response) -> bool:
        found = answered.json()
        return isinstance(found, dict) and set(names) <= set(found)

    return holds


def bare_list(answered: httpx.Response) -> bool:
    """A JSON list without envelope."""
    return isinstance(answered.json(), list)


def anything(_answered: httpx.Response) -> bool:
    """Whatever there is."""
    return True


def text(part: str) -> Shape:
    """A body that is no JSON and contains a text."""
    return lambda answered: part in answered.text


COPY = keys("can_copy")
SURVEY = keys()
REFUSED = text("analytics-upload-not-enabled")
"""How the proxy to a service of the vendor answers, as on an AWX that is not registered there."""
LAUNCH = keys("can_start_without_user_input", "survey_enabled", "variables_needed_to_start")
STATUSES = {
    **{each.path: 403 for each in PATHS if each.path.startswith("/analytics/")},
    "/analytics/": 200,
    "/instances/{pk}/install_bundle/": 400,
}
"""GETs that are refused; ``BARE`` says how."""

BARE: dict[str, Shape] = {
    "/": keys("ping", "inventory", "job_templates", "workflow_job_templates", "bulk"),
    "/ping/": keys("ha", "version", "active_node", "install_uuid", "instances"),
    "/config/": keys("time_zone", "license_info", "version", "eula", "become_methods"),
    "/dashboard/": keys("inventories", "hosts", "projects", "users", "job_templates"),
    "/dashboard/graphs/jobs/": keys("jobs"),
    "/mesh_visualizer/": keys("nodes", "links"),
    "/metrics/": text("awx_"),
    "/settings/{category_slug}/": keys(),
    **{each.path: REFUSED for each in PATHS if each.path.startswith("/analytics/")},
    "/analytics/": keys(),
    "/bulk/": keys("host_create", "host_delete"),
    "/bulk/host_create/": keys("detail"),
    "/bulk/host_delete/": keys("detail"),
    "/bulk/job_launch/": keys("detail"),
    "/service-index/": keys(),
    "/service-index/metadata/": keys("service_id", "service_type"),
    "/service-index/resources/{ansible_id}/": keys("ansible_id"),
    "/service-index/resource-types/{name}/": keys("name"),
    "/service-index/resource-types/{name}/manifest/": text(",resource_hash"),
    "/role_metadata/": keys("allowed_permissions"),
    "/credentials/{pk}/test/": keys(),
    "/credential_types/{pk}/test/": keys(),
    "/instances/{pk}/health_check/": keys("uuid", "hostname", "last_health_check"),
    "/instances/{pk}/install_bundle/": text("does not make install bundles"),
    "/projects/{pk}/playbooks/": bare_list,
    "/projects/{pk}/inventories/": bare_list,
    "/projects/{pk}/update/": keys("can_update"),
    "/project_updates/{pk}/cancel/": keys("can_cancel"),
    "/project_updates/{pk}/stdout/": keys(),
    "/inventories/{pk}/variable_data/": keys(),
    "/inventories/{pk}/script/": keys("all"),
    "/inventories/{pk}/tree/": bare_list,
    "/inventories/{pk}/update_inventory_sources/": bare_list,
    "/hosts/{pk}/ansible_facts/": keys(),
    "/hosts/{pk}/variable_data/": keys(),
    "/groups/{pk}/variable_data/": keys(),
    "/inventory_sources/{pk}/update/": keys("can_update"),
    "/inventory_updates/{pk}/cancel/": keys("can_cancel"),
    "/inventory_updates/{pk}/stdout/": keys(),
    "/job_templates/{pk}/launch/": LAUNCH,
    "/job_templates/{pk}/callback/": keys("host_config_key", "matching_hosts"),
    "/job_templates/{pk}/survey_spec/": SURVEY,
    "/job_templates/{pk}/webhook_key/": keys("webhook_key"),
    "/jobs/{pk}/cancel/": keys("can_cancel"),
    "/jobs/{pk}/relaunch/": keys("passwords_needed_to_start", "retry_counts"),
    "/jobs/{pk}/create_schedule/": keys("can_schedule", "prompts"),
    "/jobs/{pk}/job_events/children_summary/": keys("children_summary", "is_tree"),
    "/jobs/{pk}/stdout/": keys("range", "content"),
    "/system_job_templates/{pk}/launch/": keys(),
    "/workflow_job_templates/{pk}/launch/": LAUNCH,
    "/workflow_job_templates/{pk}/survey_spec/": SURVEY,
    "/workflow_job_templates/{pk}/webhook_key/": keys("webhook_key"),
    "/workflow_job_template_nodes/{pk}/create_approval_template/": keys(),
    "/schedules/zoneinfo/": keys("zones", "links"),
    **{
        f"/{plural}/{{pk}}/copy/": COPY
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
}
