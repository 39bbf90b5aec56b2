"""Centrify (Delinea) Privileged Access Service: the password of an account, checked out.

https://developer.centrify.com/reference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ops.lookups.http import LookupFailed, Server, Transport, client, text_of

_QUERY = "Select ID from VaultAccount where Name='{system}' and User='{account}'"


async def password(
    inputs: Mapping[str, Any], metadata: Mapping[str, Any], transport: Transport | None
) -> str:
    """Return an account's password. Raises LookupFailed."""
    account, system = text_of(metadata, "account-name"), text_of(metadata, "system-name")
    if "'" in account + system:
        raise LookupFailed("account and system names cannot have an apostrophe")
    async with client(transport) as session:
        server = Server(text_of(inputs, "url"), session)
        headers = {
            "Authorization": f"Bearer {await _token(server, inputs)}",
            "X-CENTRIFY-NATIVE-CLIENT": "true",
        }
        body = {"Script": _QUERY.format(system=system, account=account)}
        answer = await server.ask("POST", "Redrock/query", headers=headers, json=body)
        try:
            number = answer.text("Result", "Results", 0, "Row", "ID")
        except LookupFailed:
            text = f"{server.place} has no account {account!r} on {system!r}"
            raise LookupFailed(text) from None
        path = "ServerManage/CheckoutPassword"
        answer = await server.ask("POST", path, headers=headers, json={"ID": number})
        try:
            return answer.text("Result", "Password")
        except LookupFailed:
            text = f"{server.place} does not give out the password of {account!r} on {system!r}"
            raise LookupFailed(text) from None


async def _token(server: Server, inputs: Mapping[str, Any]) -> str:
    application = quote(text_of(inputs, "oauth_application_id", "awx"), safe="")
    answer = await server.ask(
        "POST",
        f"oauth2/token/{application}",
        dict.fromkeys((400, 401, 403), "refused the API user's password"),
        data={
            "grant_type": "client_credentials",
            "scope": text_of(inputs, "oauth_scope", "awx"),
        },
        auth=(text_of(inputs, "client_id"), text_of(inputs, "client_password")),
    )
    return answer.text("access_token")
