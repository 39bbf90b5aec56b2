"""The root documents, ping and me (``api.md`` 1.1, 3.48)."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler

from controlplane.api import options, render
from controlplane.api.call import Call, answer, encode
from controlplane.api.edge import VERSION
from controlplane.api.guards import ANYBODY, LOGIN
from controlplane.api.installation import install_uuid
from controlplane.api.known_tokens import KnownTokens
from controlplane.api.login_routes import csrf_cookie
from controlplane.api.routing import routes
from controlplane.shell.read_model import Row
from ops import clock, ids
from schemas.resource import RESOURCES

ROOT_KEYS = [
    "ping",
    "instances",
    "instance_groups",
    "receptor_addresses",
    "config",
    "settings",
    "me",
    "dashboard",
    "organizations",
    "users",
    "execution_environments",
    "projects",
    "project_updates",
    "teams",
    "credentials",
    "credential_types",
    "credential_input_sources",
    "applications",
    "tokens",
    "metrics",
    "inventory",
    "constructed_inventory",
    "inventory_sources",
    "inventory_updates",
    "groups",
    "hosts",
    "host_metrics",
    "host_metric_summary_monthly",
    "job_templates",
    "jobs",
    "ad_hoc_commands",
    "system_job_templates",
    "system_jobs",
    "schedules",
    "roles",
    "notification_templates",
    "notifications",
    "labels",
    "unified_job_templates",
    "unified_jobs",
    "activity_stream",
    "workflow_job_templates",
    "workflow_jobs",
    "workflow_approvals",
    "workflow_job_template_nodes",
    "workflow_job_nodes",
    "mesh_visualizer",
    "bulk",
    "analytics",
    "service_index",
    "role_definitions",
    "role_user_assignments",
    "role_team_assignments",
]
"""Keys of the v2 root in AWX's order; those without a route here are left out."""
_SEGMENTS = {
    "inventory": "inventories",
    "constructed_inventory": "constructed_inventories",
    "service_index": "service-index",
}


def system_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of the root documents and of the system's own state."""
    return [
        *routes("/", {"GET": (ANYBODY, to_the_api)}, "Playlog"),
        *routes("/api", {"GET": (ANYBODY, api_root)}, "REST API"),
        *routes("/api/v2", {"GET": (ANYBODY, v2_root)}, "Version 2"),
        *routes("/api/o", {"GET": (ANYBODY, oauth_root)}, "API OAuth 2 Root"),
        *routes("/api/v2/ping", {"GET": (ANYBODY, ping)}, "Ping"),
        *routes("/api/v2/me", {"GET": (LOGIN, me)}, (LOGIN, me_options)),
    ]


async def to_the_api(_call: Call) -> Response[Any]:
    """Send somebody who opens the bare address to the API."""
    return Response(content=b"", status_code=302, headers={"Location": "/api/"})


async def api_root(call: Call) -> Response[Any]:
    """Name the versions, and hand out the CSRF cookie that a session login needs."""
    store = call.services.settings_store
    body = {
        "description": "AWX REST API",
        "current_version": "/api/v2/",
        "available_versions": {"v2": "/api/v2/"},
        "oauth2": "/api/o/",
        "custom_logo": store.text("CUSTOM_LOGO"),
        "custom_login_info": store.text("CUSTOM_LOGIN_INFO"),
        "login_redirect_override": store.text("LOGIN_REDIRECT_OVERRIDE"),
    }
    given = call.request.cookies.get("csrftoken", "")
    found = answer(body)
    found.set_cookie(csrf_cookie(call, given or ids.new_token()))
    return found


async def v2_root(call: Call) -> Response[Any]:
    """Map every resource that has a route to its path, in AWX's order."""
    served = _served(call.request.app)
    paths = {name: _SEGMENTS.get(name, name) for name in ROOT_KEYS}
    return answer(
        {name: f"/api/v2/{segment}/" for name, segment in paths.items() if segment in served}
    )


async def oauth_root(_call: Call) -> Response[Any]:
    """Name the OAuth 2 paths."""
    names = ("authorize", "token", "revoke_token")
    return answer({name: f"/api/o/{name}/" for name in names})


async def ping(call: Call) -> Response[Any]:
    """Say that the service lives, and which instances and groups it knows."""
    async with call.read() as view:
        instances = await view.named("all_instances")
        groups = await view.named("all_instance_groups")
        installed = await install_uuid(view)
    node = call.services.settings.node
    return answer(
        {
            "ha": len(instances) > 1,
            "version": VERSION,
            "active_node": node,
            "install_uuid": installed,
            "instances": [_instance(row) for row in instances],
            "instance_groups": [dict(row) for row in groups],
        }
    )


async def me(call: Call) -> Response[Any]:
    """Answer a list of one: the user who asks, with a token as known since CONFIG last moved."""
    known: KnownTokens = call.request.app.state.authenticator.known
    body = known.body(call.position, call.who)
    if body is None:
        async with call.read() as view:
            found = await render.one(view, call.who, "user", call.who.id)
        results = [] if found is None else [found]
        listed = {"count": len(results), "next": None, "previous": None, "results": results}
        body = encode(listed)
        known.keep_body(call.position, call.who, body)
    return Response(content=body, status_code=200, media_type="application/json")


async def me_options(_call: Call) -> Response[Any]:
    """Describe the list of one."""
    return answer(options.of_list(RESOURCES["user"], create=False))


def _instance(row: Row) -> dict[str, Any]:
    return {
        "node": row["hostname"],
        "node_type": row["node_type"],
        "uuid": row["uuid"],
        "heartbeat": clock.iso(row["changed_at"]),
        "capacity": row["capacity"],
        "version": row["version"],
    }


def _served(app: Litestar) -> set[str]:
    parts = (route.path.split("/") for route in app.routes)
    return {each[3] for each in parts if each[:3] == ["", "api", "v2"] and each[3:]}
