"""The access log: who tried to log in, how, and from where. A failure to write it stops nobody."""

from __future__ import annotations

from typing import Any

import structlog
from litestar.connection import ASGIConnection

from controlplane.api.client_address import client_address
from controlplane.api.services import Services
from controlplane.api.sightings import Sightings
from ops import clock, ids
from schemas import subjects
from schemas.envelope import SYSTEM, Context
from schemas.events.access import LoginTried

_log = structlog.get_logger()

ADDRESS_MAX = 100


def sighted(
    connection: ASGIConnection[Any, Any, Any, Any], username: str, user: int, way: tuple[str, int]
) -> None:
    """Record who is let in by a password or token from an address that is new, in the background.

    ``way``: ``basic`` or ``token``, and the number of the user or token.
    """
    sightings: Sightings = connection.app.state.sightings
    if sightings.new(*way, client_address(connection)):
        sightings.tell(record(connection, username, user, way[0], accepted=True))


async def record(
    connection: ASGIConnection[Any, Any, Any, Any],
    username: str,
    user: int | None,
    way: str,
    *,
    accepted: bool,
) -> None:
    """Append one login attempt to ACCESS."""
    services: Services = connection.app.state.services
    event = LoginTried(
        username=username[:150],
        user=user,
        accepted=accepted,
        way=way,
        address=client_address(connection)[:ADDRESS_MAX],
    )
    number = ids.new_id()
    context = Context(id=number, at=clock.now(), actor=SYSTEM, correlation=number)
    try:
        await services.store.append(subjects.access("login"), context, (event,))
    except Exception as error:  # noqa: BLE001 - logging in must not depend on the access log
        _log.warning("login not recorded", error=type(error).__name__)
