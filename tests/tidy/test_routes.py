"""Every route says what it asks of its caller, and answers OPTIONS with a body of ours."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from controlplane.api import options
from controlplane.api.app import create_app
from controlplane.api.guards import KEY, Permission, admit
from controlplane.api.services import Services
from schemas.resource import RESOURCES


@cache
def application() -> Litestar:
    """Return the application over nothing: its routes can be walked, not called."""
    nowhere: Any = SimpleNamespace(
        settings=SimpleNamespace(node="node"),
        nats=SimpleNamespace(jetstream=lambda: None),
        tracer=None,
    )
    return create_app(cast("Services", nowhere))


def handlers(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    """Return every HTTP handler with its path."""
    return [
        (route.path, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    ]


def sockets(app: Litestar) -> list[tuple[str, Any]]:
    """Return every websocket handler with its path."""
    return [
        (route.path, route.route_handler)
        for route in app.routes
        if isinstance(route, WebSocketRoute)
    ]


def test_every_route_names_its_permission() -> None:
    """A handler without a permission in its options is a hole, whoever wrote it."""
    unguarded = [
        (path, sorted(handler.http_methods))
        for path, handler in handlers(application())
        if not isinstance(handler.opt.get(KEY), Permission)
    ]
    assert unguarded == []
    open_sockets = [
        path
        for path, handler in sockets(application())
        if not isinstance(handler.opt.get(KEY), Permission)
    ]
    assert open_sockets == []


def test_the_gate_guards_the_whole_application() -> None:
    """The guard that reads permissions stands on the application, so no route escapes it."""
    assert list(application().guards) == [admit]


def test_every_path_answers_options_itself() -> None:
    """Litestar's own OPTIONS handler must never win: clients live on our answer."""
    described = {path for path, each in handlers(application()) if "OPTIONS" in each.http_methods}
    assert described == {path for path, _ in handlers(application())}


def test_a_list_never_offers_put() -> None:
    """Offering PUT on a list makes awxkit take it for an object."""
    offered = {
        tuple(options.of_list(resource, create=True)["actions"]) for resource in RESOURCES.values()
    }
    assert offered == {("GET", "POST")}


def test_every_related_path_is_served() -> None:
    """A link that a declaration promises leads to a route."""
    served = {path for path, _ in handlers(application())}
    promised = {
        f"/api/v2/{resource.plural}/{{key:str}}/{path}"
        for resource in RESOURCES.values()
        for path in (*(each.name for each in resource.related), *resource.extra_links.values())
    }
    assert promised <= served
