"""The proxy to Automation Analytics (``api.md`` 3.48): there is none, and each path says so."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer
from controlplane.api.errors import Refusal
from controlplane.api.guards import AUDIT, LOGIN
from controlplane.api.routing import routes

_ROOT = "/api/v2/analytics"
_WITH_OPTIONS = (
    *("adoption_rate", "event_explorer", "host_explorer", "job_explorer", "probe_templates"),
    *("probe_template_for_hosts", "roi_templates"),
)
NAMES = (
    *("authorized", "reports", "report_options"),
    *(each for name in _WITH_OPTIONS for each in (name, f"{name}_options")),
)
NOT_ENABLED = "analytics-upload-not-enabled"


def analytics_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/analytics/``."""
    handlers = routes(_ROOT, {"GET": (LOGIN, show_root)}, "Automation Analytics")
    for path in (*NAMES, "report/{slug:str}"):
        handlers += routes(
            f"{_ROOT}/{path}",
            {"GET": (AUDIT, refuse), "POST": (AUDIT, refuse)},
            "Automation Analytics",
        )
    return handlers


async def show_root(_call: Call) -> Response[Any]:
    """Name the paths."""
    return answer({name: f"{_ROOT}/{name}/" for name in NAMES})


async def refuse(_call: Call) -> Response[Any]:
    """Say that nothing is sent to Automation Analytics, nor asked of it."""
    error = {"remote": False, "remote_status": None, "keyword": NOT_ENABLED}
    raise Refusal(403, {"error": error})
