"""The installation as clients ask about it, and its subscription: it needs none."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api.call import Call, answer, empty
from controlplane.api.edge import VERSION
from controlplane.api.errors import BadRequest
from controlplane.api.guards import LOGIN, SUPERUSER
from controlplane.api.routing import routes
from controlplane.shell.manual_projects import ManualProjects

BECOME_METHODS = (
    ("sudo", "Sudo"),
    ("su", "Su"),
    ("pbrun", "Pbrun"),
    ("pfexec", "Pfexec"),
    ("dzdo", "DZDO"),
    ("pmrun", "Pmrun"),
    ("runas", "Runas"),
    ("enable", "Enable"),
    ("doas", "Doas"),
    ("ksu", "Ksu"),
    ("machinectl", "Machinectl"),
    ("sesu", "Sesu"),
)
LICENSE = {
    "license_type": "open",
    "valid_key": True,
    "subscription_name": "OPEN",
    "product_name": "AWX",
}
NO_NEED = "Playlog needs no subscription: nothing was stored."
_ROOT = "/api/v2/config"


def config_handlers() -> list[HTTPRouteHandler]:
    """Return the routes below ``/api/v2/config/``."""
    return [
        *routes(
            _ROOT,
            {
                "GET": (LOGIN, show),
                "POST": (SUPERUSER, upload),
                "DELETE": (SUPERUSER, remove),
            },
            "Configuration",
        ),
        *routes(f"{_ROOT}/subscriptions", {"POST": (SUPERUSER, subscriptions)}, "Subscriptions"),
        *routes(f"{_ROOT}/attach", {"POST": (SUPERUSER, attach)}, "Attach Subscription"),
    ]


async def show(call: Call) -> Response[Any]:
    """Answer version, licence and become methods; places on disk only to who administers."""
    body: dict[str, Any] = {
        "time_zone": "UTC",
        "license_info": LICENSE,
        "version": VERSION,
        "eula": "",
        "analytics_status": "off",
        "analytics_collectors": {},
        "become_methods": [list(pair) for pair in BECOME_METHODS],
    }
    who, manual = call.who, call.services.launch_tools.manual
    administers = who.on_any("organization", ("admin", "project_admin", "auditor"))
    if who.superuser or who.auditor or administers:
        body |= {
            "project_base_dir": str(manual.root),
            "project_local_paths": await _free_paths(call, manual),
            "custom_virtualenvs": [],
        }
    elif who.on_any("job_template", ("admin",)):
        body["custom_virtualenvs"] = []
    return answer(body)


async def _free_paths(call: Call, manual: ManualProjects) -> list[str]:
    """Return the directories that no project names."""
    paths = await asyncio.to_thread(manual.local_paths)
    async with call.read() as view:
        used = await view.fetch(
            'select "local_path" from "project" where "local_path" = any($1)', paths
        )
    taken = {row["local_path"] for row in used}
    return [each for each in paths if each not in taken]


async def upload(call: Call) -> Response[Any]:
    """Refuse a manifest: there is nothing that it would unlock."""
    body = await call.body()
    if "license_key" in body:
        text = "Legacy license submitted. A subscription manifest is now required."
        raise BadRequest({"error": text})
    raise BadRequest({"error": NO_NEED if "manifest" in body else "Invalid subscription"})


async def remove(_call: Call) -> Response[Any]:
    """Remove the subscription, of which there is none: 204, and nothing changes."""
    return empty()


async def subscriptions(call: Call) -> Response[Any]:
    """Refuse to look for subscriptions."""
    body = await call.body()
    if not (body.get("subscriptions_username") and body.get("subscriptions_password")):
        raise BadRequest({"error": "Missing subscription credentials"})
    raise BadRequest({"error": NO_NEED})


async def attach(call: Call) -> Response[Any]:
    """Refuse to attach a subscription."""
    body = await call.body()
    if not body.get("pool_id"):
        raise BadRequest({"error": "No subscription pool ID provided."})
    raise BadRequest({"error": NO_NEED})
