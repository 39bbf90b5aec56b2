"""Whether a private key asks for a passphrase, as far as its text tells."""

from __future__ import annotations

import base64
import binascii
import re

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_OPENSSH_MARK = b"openssh-key-v1\x00"
_LENGTH = 4


def locked(text: str) -> bool | None:
    """Return whether a key is encrypted; None when it is no key that can be read."""
    found = _PEM.search(text)
    if found is None:
        return None
    kind, body = found.group(1).strip(), found.group(2)
    if kind == "ENCRYPTED" or "Proc-Type: 4,ENCRYPTED" in body:
        return True
    try:
        raw = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if kind != "OPENSSH":
        return False if raw else None
    if not raw.startswith(_OPENSSH_MARK):
        return None
    start = len(_OPENSSH_MARK)
    size = int.from_bytes(raw[start : start + _LENGTH], "big")
    cipher = raw[start + _LENGTH : start + _LENGTH + size]
    return None if not cipher else cipher != b"none"
