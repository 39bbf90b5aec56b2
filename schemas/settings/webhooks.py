"""Settings of webhooks; AWX has none of these."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from schemas.settings.setting import declare, several


def servers_problem(value: Iterable[str]) -> str:
    """Return which entries name no server."""
    wrong = [each for each in value if not _is_server(each)]
    return f"Not like https://git.example.com: {', '.join(wrong)}" if wrong else ""


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
        return known and text.rstrip("/") == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        return False


declare(
    "webhooks",
    "Webhooks",
    [
        several(
            "WEBHOOK_STATUS_SERVERS",
            "Servers That Are Told Statuses",
            "A webhook says itself where its job's status is to be told, with the template's token."
            " That is done on api.github.com, gitlab.com and these: https://git.example.com",
            check=servers_problem,
            reader="controlplane.processes.webhook_statuses",
        ),
    ],
)
