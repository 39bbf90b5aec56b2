"""Whose request it is where proxies stand in between: what two settings say about that."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection

from controlplane.api.services import Services

_PREFIX = "HTTP_"


def client_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the address a request comes from; empty for none.

    REMOTE_HOST_HEADERS names where to look, the first that says something counts. A header is only
    believed when the request comes from a proxy of PROXY_IP_ALLOWED_LIST, or that is empty.
    """
    services: Services = connection.app.state.services
    store = services.settings_store
    peer = connection.client.host if connection.client is not None else ""
    proxies = store.get("PROXY_IP_ALLOWED_LIST")
    for name in store.get("REMOTE_HOST_HEADERS"):
        found = peer if name == "REMOTE_ADDR" else ""
        if name.startswith(_PREFIX) and (not proxies or peer in proxies):
            header = name.removeprefix(_PREFIX).replace("_", "-").lower()
            found = connection.headers.get(header, "").partition(",")[0].strip()
        if found:
            return found
    return peer
