"""Settings of the installation as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.settings.setting import (
    Setting,
    declare,
    flag,
    instant,
    mapping,
    one_of,
    several,
    whole,
    words,
)


def origin_problems(values: Mapping[str, Any]) -> list[str]:
    """Return which trusted origins name no scheme."""
    text = "The values in CSRF_TRUSTED_ORIGINS must start with a scheme (http:// or https://): {}"
    return [text.format(each) for each in values["CSRF_TRUSTED_ORIGINS"] if "://" not in each]


_RIGHTS = [
    flag(
        "ACTIVITY_STREAM_ENABLED",
        "Enable Activity Stream",
        "Whether what users do is kept; the event log keeps it in any case.",
        default=True,
        required=True,
    ),
    flag(
        "ACTIVITY_STREAM_ENABLED_FOR_INVENTORY_SYNC",
        "Enable Activity Stream for Inventory Sync",
        "Whether what an inventory sync changes is kept too.",
        required=True,
    ),
    flag(
        "ORG_ADMINS_CAN_SEE_ALL_USERS",
        "All Users Visible to Organization Admins",
        "Whether an administrator of an organization sees the users and teams of all others.",
        default=True,
        required=True,
        reader="controlplane.api.guards",
    ),
    flag(
        "MANAGE_ORGANIZATION_AUTH",
        "Organization Admins Can Manage Users and Teams",
        "Whether an administrator of an organization creates and changes its users and teams.",
        default=True,
        required=True,
        reader="controlplane.api.guards",
    ),
]
_ADDRESSES = [
    words(
        "TOWER_URL_BASE",
        "Base URL of the service",
        "Address of this service as others reach it; links in notifications begin with it.",
        reader="controlplane.processes.webhook_statuses",
        default="http://127.0.0.1",
        required=True,
        blank=False,
        url=True,
    ),
    several(
        "REMOTE_HOST_HEADERS",
        "Remote Host Headers",
        "Where a request's client is looked for; name a proxy's header first, such as"
        " HTTP_X_FORWARDED_FOR.",
        default=["REMOTE_ADDR", "REMOTE_HOST"],
        required=True,
        reader="controlplane.api.client_address",
    ),
    several(
        "PROXY_IP_ALLOWED_LIST",
        "Proxy IP Allowed List",
        "Proxies whose headers are believed; empty: those of all.",
        reader="controlplane.api.client_address",
    ),
    several(
        "CSRF_TRUSTED_ORIGINS",
        "CSRF Trusted Origins List",
        "Origins, with their scheme, from which a session's unsafe requests are taken.",
        reader="controlplane.api.lasting",
    ),
]
_ACCOUNTS = [
    mapping(
        "LICENSE",
        "License",
        "The subscription in use; none is needed.",
        item="any",
        read_only=True,
    ),
    words("REDHAT_USERNAME", "Red Hat customer username", "User name of Automation Analytics."),
    words(
        "REDHAT_PASSWORD",
        "Red Hat customer password",
        "Password of Automation Analytics.",
        secret=True,
    ),
    words(
        "SUBSCRIPTIONS_USERNAME",
        "Red Hat or Satellite username",
        "User name under which subscriptions are looked for.",
    ),
    words(
        "SUBSCRIPTIONS_PASSWORD",
        "Red Hat or Satellite password",
        "Password under which subscriptions are looked for.",
        secret=True,
    ),
    words(
        "AUTOMATION_ANALYTICS_URL",
        "Automation Analytics upload URL",
        "Where data for Automation Analytics would be sent.",
        default="https://example.com",
        blank=False,
        url=True,
    ),
]
_FACTS = [
    words(
        "INSTALL_UUID",
        "Unique identifier for an installation",
        read_only=True,
        reader="controlplane.api.installation",
    ),
    words(
        "DEFAULT_CONTROL_PLANE_QUEUE_NAME",
        "The instance group where control plane tasks run",
        default="controlplane",
        read_only=True,
    ),
    words(
        "DEFAULT_EXECUTION_QUEUE_NAME",
        "The instance group where user jobs run (currently only on non-VM installs)",
        default="default",
        read_only=True,
    ),
    Setting(
        name="DEFAULT_EXECUTION_ENVIRONMENT",
        kind="field",
        label="Global default execution environment",
        help="The environment of jobs for which none is chosen.",
        ref="execution_environment",
        nullable=True,
        reader="controlplane.shell.environments",
    ),
    several(
        "CUSTOM_VENV_PATHS",
        "Custom virtual environment paths",
        "Directories of virtual environments.",
    ),
]
_COLLECTED = [
    flag(
        "INSIGHTS_TRACKING_STATE",
        "Gather data for Automation Analytics",
        "Whether data on automation would be gathered and sent.",
    ),
    instant(
        "AUTOMATION_ANALYTICS_LAST_GATHER",
        "Last gather date for Automation Analytics.",
    ),
    words(
        "AUTOMATION_ANALYTICS_LAST_ENTRIES",
        "Last gathered entries from the data collection service of Automation Analytics",
    ),
    whole(
        "AUTOMATION_ANALYTICS_GATHER_INTERVAL",
        "Automation Analytics Gather Interval",
        "Seconds between two gatherings.",
        default=14_400,
        low=1800,
        unit="seconds",
    ),
    flag(
        "IS_K8S",
        "Is k8s",
        "Whether the service runs on Kubernetes.",
        read_only=True,
    ),
    one_of(
        "SUBSCRIPTION_USAGE_MODEL",
        "Defines subscription usage model and shows Host Metrics",
        "",
        (
            ("", "No subscription: deleted host metrics are not counted apart"),
            ("unique_managed_hosts", "Hosts that were ever managed, less those deleted since"),
        ),
        default="",
    ),
    instant(
        "CLEANUP_HOST_METRICS_LAST_TS",
        "Last cleanup date for HostMetrics",
        required=True,
    ),
    instant(
        "HOST_METRIC_SUMMARY_TASK_LAST_TS",
        "Last computing date of HostMetricSummaryMonthly",
        required=True,
    ),
]

declare(
    "system",
    "System",
    [*_RIGHTS, *_ADDRESSES, *_ACCOUNTS, *_FACTS, *_COLLECTED],
    check=origin_problems,
)
