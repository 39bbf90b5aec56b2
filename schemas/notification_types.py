"""Types of notification templates: what each one's configuration holds (``api.md`` 4.10)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct

ConfigurationType = Literal["string", "password", "int", "bool", "list", "object"]


class ConfigurationField(Struct, frozen=True):
    """One field of a type's configuration; without a default it is required."""

    name: str
    label: str
    type: ConfigurationType = "string"
    default: Any = UNSET


class NotificationType(Struct, frozen=True):
    """One way to notify somebody."""

    label: str
    fields: tuple[ConfigurationField, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """Return the fields that are stored sealed and shown as ``$encrypted$``."""
        return frozenset(field.name for field in self.fields if field.type == "password")


_F = ConfigurationField

NOTIFICATION_TYPES: dict[str, NotificationType] = {
    "awssns": NotificationType(
        "AWS SNS",
        (
            _F("aws_region", "AWS Region", default=""),
            _F("aws_access_key_id", "Access Key ID", default=""),
            _F("aws_secret_access_key", "Secret Access Key", "password", ""),
            _F("aws_session_token", "Session Token", "password", ""),
            _F("sns_topic_arn", "SNS Topic ARN", default=""),
        ),
    ),
    "email": NotificationType(
        "Email",
        (
            _F("host", "Host"),
            _F("port", "Port", "int"),
            _F("username", "Username"),
            _F("password", "Password", "password"),
            _F("use_tls", "Use TLS", "bool"),
            _F("use_ssl", "Use SSL", "bool"),
            _F("sender", "Sender Email"),
            _F("recipients", "Recipient List", "list"),
            _F("timeout", "Timeout", "int", 30),
        ),
    ),
    "grafana": NotificationType(
        "Grafana",
        (
            _F("grafana_url", "Grafana URL"),
            _F("grafana_key", "Grafana API Key", "password"),
        ),
    ),
    "irc": NotificationType(
        "IRC",
        (
            _F("server", "IRC Server Address"),
            _F("port", "IRC Server Port", "int"),
            _F("nickname", "IRC Nick"),
            _F("password", "IRC Server Password", "password"),
            _F("use_ssl", "SSL Connection", "bool"),
            _F("targets", "Destination Channels or Users", "list"),
        ),
    ),
    "mattermost": NotificationType(
        "Mattermost",
        (
            _F("mattermost_url", "Target URL"),
            _F("mattermost_no_verify_ssl", "Verify SSL", "bool"),
        ),
    ),
    "pagerduty": NotificationType(
        "Pagerduty",
        (
            _F("subdomain", "Pagerduty subdomain"),
            _F("token", "API Token", "password"),
            _F("service_key", "API Service/Integration Key"),
            _F("client_name", "Client Identifier"),
        ),
    ),
    "rocketchat": NotificationType(
        "Rocket.Chat",
        (
            _F("rocketchat_url", "Target URL"),
            _F("rocketchat_no_verify_ssl", "Verify SSL", "bool"),
        ),
    ),
    "slack": NotificationType(
        "Slack",
        (
            _F("token", "Token", "password"),
            _F("channels", "Destination Channels", "list"),
        ),
    ),
    "twilio": NotificationType(
        "Twilio",
        (
            _F("account_sid", "Account SID"),
            _F("account_token", "Account Token", "password"),
            _F("from_number", "Source Phone Number"),
            _F("to_numbers", "Destination SMS Numbers", "list"),
        ),
    ),
    "webhook": NotificationType(
        "Webhook",
        (
            _F("url", "Target URL"),
            _F("http_method", "HTTP Method", default="POST"),
            _F("disable_ssl_verification", "Verify SSL", "bool", False),
            _F("username", "Username", default=""),
            _F("password", "Password", "password", ""),
            _F("headers", "HTTP Headers", "object"),
        ),
    ),
}
"""By ``notification_type``; a configuration may hold further fields (colors, channels, icons)."""

EVENTS = ("started", "success", "error", "workflow_approval")
APPROVAL_EVENTS = ("running", "approved", "timed_out", "denied")
NO_MESSAGES: dict[str, Any] = dict.fromkeys(EVENTS)
