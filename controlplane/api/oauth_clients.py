"""OAuth 2's clients: which application asks, proved by its secret, and the errors it is told.

Errors have the form of RFC 6749 5.2; their words are those that AWX's clients know.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from controlplane.api.call import Call
from controlplane.api.client_secrets import digest
from controlplane.api.errors import Refusal
from controlplane.shell.read_model import Row
from schemas.resources.application import CONFIDENTIAL

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Refusal):
    """A request of a client is refused with one of RFC 6749's codes."""

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        """Take the code and, where there is more to say, a description."""
        body: dict[str, Any] = {"error": error}
        if description:
            body["error_description"] = description
        headers = dict(NO_STORE)
        if status == UNAUTHORIZED:
            headers["WWW-Authenticate"] = f'Bearer error="{error}"'
        super().__init__(status, body, headers)
        self.error = error
        self.description = description


UNAUTHORIZED = 401


async def authenticated(call: Call, form: Mapping[str, str]) -> Row:
    """Return the application that sends a request; raises ``invalid_client``.

    A confidential one proves itself by its secret, in a Basic header or in the form.
    """
    named, secret = _credentials(call.request.headers.get("authorization", ""), form)
    row = await application(call, named)
    if row is None:
        raise OAuthError("invalid_client", status=UNAUTHORIZED)
    right = hmac.compare_digest(row["client_secret"].encode(), digest(secret).encode())
    if row["client_type"] == CONFIDENTIAL and not right:
        raise OAuthError("invalid_client", status=UNAUTHORIZED)
    return row


async def application(call: Call, client_id: str) -> Row | None:
    """Return the application of a client id; None when there is none."""
    if not client_id or "\x00" in client_id:
        return None
    async with call.read() as view:
        return await view.named_row("application_by_client_id", client_id)


def _credentials(header: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Return the client id and secret of a request, empty where it has none."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        text = base64.b64decode(given.strip()).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)
