"""Microsoft Azure Key Vault, by a service principal's client secret.

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ops.lookups.http import Server, Transport, client, text_of

_VERSION = "7.4"
_CLOUDS = {
    "AzureCloud": ("https://login.microsoftonline.com", "https://vault.azure.net"),
    "AzureChinaCloud": ("https://login.chinacloudapi.cn", "https://vault.azure.cn"),
    "AzureUSGovernment": ("https://login.microsoftonline.us", "https://vault.usgovcloudapi.net"),
    "AzureGermanCloud": ("https://login.microsoftonline.de", "https://vault.microsoftazure.de"),
}
"""Where a principal logs in, and whose tokens vaults take."""


async def secret_value(
    inputs: Mapping[str, Any], metadata: Mapping[str, Any], transport: Transport | None
) -> str:
    """Return a secret's value. Raises LookupFailed."""
    cloud = text_of(inputs, "cloud_name", "AzureCloud")
    authority, audience = _CLOUDS.get(cloud, _CLOUDS["AzureCloud"])
    async with client(transport) as session:
        form = {
            "grant_type": "client_credentials",
            "client_id": text_of(inputs, "client"),
            "client_secret": text_of(inputs, "secret"),
            "scope": f"{audience}/.default",
        }
        refused = "refused the login of the service principal"
        means = dict.fromkeys((400, 401, 403), refused)
        path = f"{quote(text_of(inputs, 'tenant'), safe='')}/oauth2/v2.0/token"
        login = await Server(authority, session).ask("POST", path, means, data=form)
        name, version = text_of(metadata, "secret_field"), text_of(metadata, "secret_version")
        path = "/".join(quote(each, safe="") for each in ("secrets", name, version) if each)
        answer = await Server(text_of(inputs, "url"), session).ask(
            "GET",
            path,
            {
                401: "refused the token",
                403: f"does not let the service principal read {name!r}",
                404: f"has no secret {name!r}" + (f" of version {version!r}" if version else ""),
            },
            params={"api-version": _VERSION},
            headers={"Authorization": f"Bearer {login.text('access_token')}"},
        )
        return answer.text("value")
