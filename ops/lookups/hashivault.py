"""HashiCorp Vault: key/value engines of both versions, and SSH certificates.

https://developer.hashicorp.com/vault/api-docs
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from ops.lookups.http import LookupFailed, Server, Transport, client, text_of, trusting

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_BEHIND = 412
"""A standby has not yet seen what the token was made by: Vault says to ask again."""
_TRIES = 5
_TRY_PAUSE_S = 1.0
_NO_METHOD = (
    "one of token, username and password, AppRole role_id and secret_id, Kubernetes role, or"
    " client certificate and key must be set"
)
_MEANS = {
    403: "refused the token: it is wrong, has expired, or may not do this",
    503: "is sealed or not ready",
}
Values = Mapping[str, Any]


async def key_value(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return one key of a secret. Raises LookupFailed."""
    async with _client(inputs, transport) as session:
        server = Server(text_of(inputs, "url"), session)
        headers = await _logged_in(server, inputs, metadata)
        path, query = _secret(inputs, metadata)
        for left in reversed(range(_TRIES)):
            got = await server.send("GET", path, headers=headers, params=query)
            if got[0] != _BEHIND or not left:
                break
            await asyncio.sleep(_TRY_PAUSE_S)
        name = text_of(metadata, "secret_path")
        missing = f"has no secret {name!r}" + (", it was deleted" if _deleted(got[1]) else "")
        found = server.checked(got, {**_MEANS, 404: missing}).get("data")
        if text_of(inputs, "api_version", "v1") == "v2":
            found = found.get("data") if isinstance(found, dict) else None
        return _picked(found, text_of(metadata, "secret_key"), name)


async def signed_key(inputs: Values, metadata: Values, transport: Transport | None) -> str:
    """Return an SSH certificate for a public key. Raises LookupFailed."""
    async with _client(inputs, transport) as session:
        server = Server(text_of(inputs, "url"), session)
        headers = await _logged_in(server, inputs, metadata)
        engine, role = text_of(metadata, "secret_path"), text_of(metadata, "role")
        body = {"public_key": text_of(metadata, "public_key")}
        if principals := text_of(metadata, "valid_principals"):
            body["valid_principals"] = principals
        means = {
            **_MEANS,
            400: f"does not sign this key by role {role!r} at {engine!r}",
            404: f"has no SSH engine at {engine!r}",
        }
        path = f"v1/{_quoted(engine)}/sign/{_quoted(role)}"
        answer = await server.ask("POST", path, means, headers=headers, json=body)
        return answer.text("data", "signed_key")


def _client(inputs: Values, transport: Transport | None) -> httpx.AsyncClient:
    certificate, key = (text_of(inputs, f"client_cert_{each}") for each in ("public", "private"))
    context = trusting(text_of(inputs, "cacert"), certificate if key else "", key)
    return client(transport, context)


async def _logged_in(server: Server, inputs: Values, metadata: Values) -> dict[str, str]:
    """Return the headers of a login, by the first method that has what it takes."""
    namespace = text_of(inputs, "namespace")
    headers = {"X-Vault-Namespace": namespace} if namespace else {}
    token = text_of(inputs, "token")
    if not token:
        token = await _login(server, inputs, metadata, headers)
    # older servers know the second header alone
    return {**headers, "Authorization": f"Bearer {token}", "X-Vault-Token": token}


async def _login(server: Server, inputs: Values, metadata: Values, headers: Values) -> str:
    method, body, last = _method(inputs)
    mounted = text_of(metadata, "auth_path") or text_of(inputs, "default_auth_path", "approle")
    refused = f"refused the login by {method} at auth/{mounted}"
    means = {**_MEANS, **dict.fromkeys((400, 401, 403, 404), refused)}
    path = f"v1/auth/{_quoted(mounted)}/login{last}"
    answer = await server.ask("POST", path, means, headers=headers, json=body)
    return answer.text("auth", "client_token")


def _method(inputs: Values) -> tuple[str, dict[str, str], str]:
    """Return (method, body, last part of the path) of a login; AWX's order of methods."""

    def has(*names: str) -> bool:
        return all(text_of(inputs, name) for name in names)

    def values(*names: str) -> dict[str, str]:
        return {name: text_of(inputs, name) for name in names}

    if has("username", "password"):
        return "password", values("password"), f"/{_quoted(text_of(inputs, 'username'))}"
    if has("role_id", "secret_id"):
        return "AppRole", values("role_id", "secret_id"), ""
    if has("kubernetes_role"):
        return "Kubernetes", {"role": text_of(inputs, "kubernetes_role"), "jwt": _own_token()}, ""
    if has("client_cert_public", "client_cert_private"):
        role = text_of(inputs, "client_cert_role")
        return "TLS certificate", {"name": role} if role else {}, ""
    raise LookupFailed(_NO_METHOD)


def _own_token() -> str:
    try:
        return SERVICE_ACCOUNT.read_text().strip()
    except OSError:
        text = f"Kubernetes login needs a service account's token at {SERVICE_ACCOUNT}"
        raise LookupFailed(text) from None


def _secret(inputs: Values, metadata: Values) -> tuple[str, dict[str, str]]:
    """Return path and query of a secret; without an engine's name its path begins with it."""
    path = text_of(metadata, "secret_path").strip("/")
    engine = text_of(metadata, "secret_backend").strip("/")
    if text_of(inputs, "api_version", "v1") != "v2":
        return f"v1/{_quoted(f'{engine}/{path}' if engine else path)}", {}
    if not engine:
        engine, _, path = path.partition("/")
    version = text_of(metadata, "secret_version")
    return f"v1/{_quoted(engine)}/data/{_quoted(path)}", {"version": version} if version else {}


def _deleted(body: bytes) -> bool:
    """Tell whether a 404 is about a version that was deleted: it still has metadata."""
    try:
        return bool(json.loads(body)["data"]["metadata"]["deletion_time"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _picked(found: Any, key: str, name: str) -> str:
    values = found if isinstance(found, dict) else {}
    nested = values.get("data")
    if key not in values and key != "data" and isinstance(nested, dict):
        values = nested
    if key not in values:
        raise LookupFailed(f"the secret {name!r} has no key {key!r}")
    value = values[key]
    return value if isinstance(value, str) else json.dumps(value)


def _quoted(path: str) -> str:
    return quote(path.strip("/"), safe="/")
