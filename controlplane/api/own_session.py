"""A user who changes the own password stays logged in here; every other session of theirs ends."""

from __future__ import annotations

from controlplane.api.auth import Authenticator
from controlplane.api.call import Call
from controlplane.api.sessions import COOKIE
from controlplane.shell.config_writer import Appended
from schemas.events.resource import ResourceUpdated


async def keep(call: Call, appended: Appended) -> None:
    """Tie the session of a request to the password that it has just set."""
    if call.way != "session":
        return
    for event in appended.events:
        if not isinstance(event, ResourceUpdated) or event.kind != "user":
            continue
        if event.id == call.who.id and "password" in event.changes:
            authenticator: Authenticator = call.request.app.state.authenticator
            session_id = call.request.cookies.get(COOKIE, "")
            session = await authenticator.sessions.find(session_id)
            if session is not None:
                password_hash = event.changes["password"]
                await authenticator.sessions.rebind(session_id, session, password_hash)
