"""AWS Secrets Manager: one signed request.

The signature is AWS's version 4, written here: its own library is a hundred times this.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ops import clock
from ops.lookups.http import Answer, LookupFailed, Server, Transport, client, text_of

_SERVICE = "secretsmanager"
_TARGET = "secretsmanager.GetSecretValue"
_TYPE = "application/x-amz-json-1.1"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}")
_REFUSED = {
    "AccessDeniedException": "does not let this access key read it",
    "ExpiredTokenException": "says that the access key has expired",
    "IncompleteSignature": "refused the access key",
    "InvalidClientTokenId": "does not know the access key",
    "InvalidSignatureException": "refused the secret key",
    "SignatureDoesNotMatch": "refused the secret key",
    "UnrecognizedClientException": "does not know the access key",
}


async def secret_value(
    inputs: Mapping[str, Any], metadata: Mapping[str, Any], transport: Transport | None
) -> str:
    """Return a secret's current value. Raises LookupFailed."""
    region, name = text_of(metadata, "region_name"), text_of(metadata, "secret_name")
    if not _REGION.fullmatch(region):
        raise LookupFailed(f"{region!r} is not a region of AWS")
    suffix = ".cn" if region.startswith("cn-") else ""
    async with client(transport) as session:
        server = Server(f"https://{_SERVICE}.{region}.amazonaws.com{suffix}", session)
        body = json.dumps({"SecretId": name}).encode()
        keys = (text_of(inputs, "aws_access_key"), text_of(inputs, "aws_secret_key"))
        headers = signed(urlsplit(server.place).netloc, region, body, keys, clock.now())
        status, answered = await server.send("POST", "", headers=headers, content=body)
        if status >= 400:  # noqa: PLR2004 - HTTP's
            raise LookupFailed(_complaint(status, answered, name, server.place))
        return _value(server.checked((status, answered)))


def signed(
    host: str, region: str, body: bytes, keys: tuple[str, str], at: datetime
) -> dict[str, str]:
    """Return the headers of a POST to ``/``, signed by an access key and its secret."""
    access, secret = keys
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    headers = {
        "content-type": _TYPE,
        "host": host,
        "x-amz-date": moment,
        "x-amz-target": _TARGET,
    }
    names = ";".join(headers)
    told = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(("POST", "/", "", told, names, hashlib.sha256(body).hexdigest()))
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    by = f"Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {by}"}


def _value(answer: Answer) -> str:
    found = answer.get()
    if not isinstance(found, dict) or found.get("SecretBinary") is None:
        return answer.text("SecretString")
    try:
        return base64.b64decode(answer.text("SecretBinary")).decode()
    except ValueError:
        raise LookupFailed("the secret is binary and no text") from None


def _complaint(status: int, body: bytes, name: str, place: str) -> str:
    try:
        told = str(json.loads(body)["__type"]).rpartition("#")[2]
    except (ValueError, LookupError, TypeError, RecursionError):
        told = ""
    if told == "ResourceNotFoundException":
        return f"{place} has no secret {name!r} (HTTP {status})"
    known = _REFUSED.get(told)
    return f"{place} {known} (HTTP {status})" if known else f"{place} answered HTTP {status}"
