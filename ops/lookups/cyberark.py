"""CyberArk: the Central Credential Provider's web service, and Conjur.

https://docs.cyberark.com/credential-providers/latest/en/content/ccp/
https://docs.cyberark.com/conjur-open-source/latest/en/content/developer/lp_rest_api.htm
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from ops.lookups.http import (
    LookupFailed,
    Server,
    Transport,
    client,
    show,
    text_of,
    trusting,
)

Values = Mapping[str, Any]


async def provided(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return a property of an account that the Central Credential Provider finds.

    Raises LookupFailed.
    """
    verify = inputs.get("verify", True) is not False
    context = httpx.create_ssl_context(verify=verify)
    if certificate := text_of(inputs, "client_cert"):
        show(context, certificate, text_of(inputs, "client_key"))
    query = {
        "AppId": text_of(inputs, "app_id"),
        "Query": text_of(metadata, "object_query"),
        "QueryFormat": text_of(metadata, "object_query_format", "Exact"),
    }
    if reason := text_of(metadata, "reason"):
        query["reason"] = reason
    service = text_of(inputs, "webservice_id", "AIMWebService")
    means = {
        **dict.fromkeys((401, 403), "refused the application or its certificate"),
        404: "found no account by the object query",
    }
    async with client(transport, context) as session:
        path = f"{quote(service.strip('/'))}/api/Accounts"
        server = Server(text_of(inputs, "url"), session)
        answer = await server.ask("GET", path, means, params=query)
        return answer.text(_property(text_of(metadata, "object_property", "Content")))


async def variable(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return the value of a Conjur variable. Raises LookupFailed."""
    account, user, name = (
        quote(text_of(values, each), safe="")
        for values, each in (
            (inputs, "account"),
            (inputs, "username"),
            (metadata, "secret_path"),
        )
    )
    version = text_of(metadata, "secret_version")
    async with client(transport, trusting(text_of(inputs, "cacert"))) as session:
        server = Server(text_of(inputs, "url"), session)
        prefix, token = await _conjur_login(server, f"{account}/{user}", inputs)
        answer = await server.ask(
            "GET",
            f"{prefix}secrets/{account}/variable/{name}",
            {
                **dict.fromkeys((401, 403), "refused the token or the read"),
                404: f"has no variable {text_of(metadata, 'secret_path')!r}",
            },
            headers={"Authorization": f'Token token="{token}"'},
            params={"version": version} if version else {},
        )
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise LookupFailed("the secret is binary and no text") from None


async def _conjur_login(server: Server, who: str, inputs: Values) -> tuple[str, str]:
    """Return the prefix of this server's API and a token; Cloud has ``api/``, others may not."""
    headers = {"Content-Type": "text/plain", "Accept-Encoding": "base64"}
    key = text_of(inputs, "api_key").encode()
    for prefix in ("api/", ""):
        path = f"{prefix}authn/{who}/authenticate"
        got = await server.send("POST", path, headers=headers, content=key)
        if got[0] != httpx.codes.NOT_FOUND:
            break
    answer = server.checked(got, dict.fromkeys((401, 403), "refused the API key"))
    token = answer.body.strip()
    encoded = base64.b64encode(token) if token.startswith(b"{") else token
    return prefix, encoded.decode("ascii", "replace")


def _property(name: str) -> str:
    """Return a property's name as the web service writes it."""
    return "UserName" if name.lower() == "username" else name[:1].upper() + name[1:]
