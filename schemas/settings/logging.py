"""Settings of the shipping of logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.settings.setting import declare, flag, one_of, several, whole, words


def aggregator_problems(values: Mapping[str, Any]) -> list[str]:
    """Return what is missing for an aggregator that is switched on."""
    if not values["LOG_AGGREGATOR_ENABLED"]:
        return []
    lacking = {
        "host": not values["LOG_AGGREGATOR_HOST"],
        "type": not values["LOG_AGGREGATOR_TYPE"],
    }
    text = "Cannot enable log aggregator without providing {}."
    return [text.format(name) for name, lacks in lacking.items() if lacks]


declare(
    "logging",
    "Logging",
    [
        words(
            "LOG_AGGREGATOR_HOST",
            "Logging Aggregator",
            "Name or address of the system that logs are sent to.",
            default=None,
            nullable=True,
        ),
        whole(
            "LOG_AGGREGATOR_PORT",
            "Logging Aggregator Port",
            "Port of that system, unless its address names one.",
            nullable=True,
        ),
        one_of(
            "LOG_AGGREGATOR_TYPE",
            "Logging Aggregator Type",
            "The format in which that system takes messages.",
            (
                (None, "---------"),
                ("logstash", "logstash"),
                ("splunk", "splunk"),
                ("loggly", "loggly"),
                ("sumologic", "sumologic"),
                ("other", "other"),
            ),
            nullable=True,
        ),
        words(
            "LOG_AGGREGATOR_USERNAME",
            "Logging Aggregator Username",
            "User name for that system where HTTP or HTTPS asks for one.",
        ),
        words(
            "LOG_AGGREGATOR_PASSWORD",
            "Logging Aggregator Password/Token",
            "Password or token for that system where HTTP or HTTPS asks for one.",
            secret=True,
        ),
        several(
            "LOG_AGGREGATOR_LOGGERS",
            "Loggers Sending Data to Log Aggregator Form",
            "Which logs are sent: awx, activity_stream, job_events, system_tracking,"
            " broadcast_websocket.",
            default=[
                "awx",
                "activity_stream",
                "job_events",
                "system_tracking",
                "broadcast_websocket",
            ],
        ),
        flag(
            "LOG_AGGREGATOR_INDIVIDUAL_FACTS",
            "Log System Tracking Facts Individually",
            "Sends each fact of a scan by itself instead of one message for all.",
        ),
        flag(
            "LOG_AGGREGATOR_ENABLED",
            "Enable External Logging",
            "Whether logs are sent.",
        ),
        words(
            "LOG_AGGREGATOR_TOWER_UUID",
            "Cluster-wide unique identifier.",
            "Tells this installation's messages from another's.",
        ),
        one_of(
            "LOG_AGGREGATOR_PROTOCOL",
            "Logging Aggregator Protocol",
            "How messages are sent; HTTPS unless the address begins with http://.",
            (("https", "HTTPS/HTTP"), ("tcp", "TCP"), ("udp", "UDP")),
            default="https",
        ),
        whole(
            "LOG_AGGREGATOR_TCP_TIMEOUT",
            "TCP Connection Timeout",
            "Seconds after which a connection by HTTPS or TCP is given up.",
            default=5,
            unit="seconds",
        ),
        flag(
            "LOG_AGGREGATOR_VERIFY_CERT",
            "Enable/disable HTTPS certificate verification",
            "Whether the certificate of that system must be valid.",
            default=True,
        ),
        one_of(
            "LOG_AGGREGATOR_LEVEL",
            "Logging Aggregator Level Threshold",
            "Messages below this level are not sent.",
            tuple((level, level) for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
            default="INFO",
        ),
        whole(
            "LOG_AGGREGATOR_ACTION_QUEUE_SIZE",
            "Maximum number of messages that can be stored in the log action queue",
            "Messages that may wait to be sent.",
            default=131_072,
            low=1,
        ),
        whole(
            "LOG_AGGREGATOR_ACTION_MAX_DISK_USAGE_GB",
            "Maximum disk persistence for rsyslogd action queuing (in GB)",
            "Gigabytes of disk for messages that wait.",
            default=1,
            low=1,
        ),
        words(
            "LOG_AGGREGATOR_MAX_DISK_USAGE_PATH",
            "File system location for rsyslogd disk persistence",
            "Directory of messages that wait.",
            default="/var/lib/awx",
            blank=False,
        ),
        flag(
            "LOG_AGGREGATOR_RSYSLOGD_DEBUG",
            "Enable rsyslogd debugging",
            "Makes the sender of logs tell more about itself.",
        ),
        words(
            "API_400_ERROR_LOG_FORMAT",
            "Log Format For API 4XX Errors",
            "How a refused request is logged; {status_code}, {user_name}, {url_path}, {remote_addr}"
            " and {error} are replaced.",
            default="status {status_code} received by user {user_name} attempting to access"
            " {url_path} from {remote_addr}",
            blank=False,
            reader="controlplane.api.error_answers",
        ),
    ],
    check=aggregator_problems,
)
