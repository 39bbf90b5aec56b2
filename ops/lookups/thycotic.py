"""Thycotic (Delinea): DevOps Secrets Vault and Secret Server.

https://docs.delinea.com/online-help/devops-secrets-vault/api
https://docs.delinea.com/online-help/secret-server/api-scripting/rest-api
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ops.lookups.http import Answer, LookupFailed, Server, Transport, client, text_of

_DECODE = "Decode Base64"
_NAME = re.compile(r"[A-Za-z0-9-]+(\.[a-z]+)?")
Values = Mapping[str, Any]


async def vault_field(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return a field of a secret of DevOps Secrets Vault. Raises LookupFailed."""
    tenant, domain = text_of(inputs, "tenant"), text_of(inputs, "tld", "com")
    path, field = text_of(metadata, "path"), text_of(metadata, "secret_field")
    if not _NAME.fullmatch(tenant) or not _NAME.fullmatch(domain):
        raise LookupFailed(f"{tenant!r} is not a tenant's name, or {domain!r} not its domain")
    async with client(transport) as session:
        server = Server(f"https://{tenant}.secretsvaultcloud.{domain}/v1", session)
        form = {
            "client_id": text_of(inputs, "client_id"),
            "client_secret": text_of(inputs, "client_secret"),
            "grant_type": "client_credentials",
        }
        means = dict.fromkeys((400, 401, 403), "refused the client secret")
        login = await server.ask("POST", "token", means, json=form)
        headers = _bearer(login.text("accessToken"))
        means = {403: f"does not let the client read {path!r}", 404: f"has no secret {path!r}"}
        place = f"secrets/{quote(path.strip('/'), safe='/')}"
        answer = await server.ask("GET", place, means, headers=headers)
        value = _field_of(answer, path, field)
    if text_of(metadata, "secret_decoding") != _DECODE:
        return value
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        raise LookupFailed(f"{field!r} of {path!r} is no text in base64") from None


async def server_field(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return a field of a secret of Secret Server, an attached file's text too.

    Raises LookupFailed.
    """
    number, field = text_of(metadata, "secret_id"), text_of(metadata, "secret_field")
    async with client(transport) as session:
        server = Server(text_of(inputs, "server_url"), session)
        headers = _bearer(await _server_login(server, inputs))
        means = {
            **dict.fromkeys((400, 404), f"has no secret {number!r}"),
            403: f"does not let the user read secret {number!r}",
        }
        path = f"api/v1/secrets/{quote(number, safe='')}"
        item = _item(await server.ask("GET", path, means, headers=headers), number, field)
        if item.get("fileAttachmentId"):
            file = f"{path}/fields/{quote(field, safe='')}"
            return await _file(server, file, headers)
        value = item.get("itemValue")
        return value if isinstance(value, str) else ""


async def _server_login(server: Server, inputs: Values) -> str:
    form = {
        "username": text_of(inputs, "username"),
        "password": text_of(inputs, "password"),
        "grant_type": "password",
    }
    if domain := text_of(inputs, "domain"):
        form["domain"] = domain
    means = dict.fromkeys((400, 401, 403), "refused user or password")
    return (await server.ask("POST", "oauth2/token", means, data=form)).text("access_token")


async def _file(server: Server, path: str, headers: dict[str, str]) -> str:
    answer = await server.ask("GET", path, headers=headers)
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise LookupFailed("the secret is binary and no text") from None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _field_of(answer: Answer, path: str, field: str) -> str:
    found = answer.get("data")
    if not isinstance(found, dict) or field not in found:
        raise LookupFailed(f"the secret {path!r} has no field {field!r}")
    return answer.text("data", field)


def _item(answer: Answer, number: str, field: str) -> dict[str, Any]:
    items = answer.get("items")
    for each in items if isinstance(items, list) else ():
        if isinstance(each, dict) and each.get("slug") == field:
            return each
    raise LookupFailed(f"the secret {number!r} has no field {field!r}")
