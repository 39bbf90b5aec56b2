"""What is drawn for a new object and shown only once: an application's client id and secret."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.facts import Given
from ops import ids


class Fresh(Struct, frozen=True, kw_only=True):
    """Fields that the system gives a new object, and those the answer shows in the clear."""

    values: Mapping[str, Given] = {}
    shown: Mapping[str, Any] = {}


def fresh(kind: str) -> Fresh:
    """Return what a new object of the kind is given; nothing but for applications."""
    if kind != "application":
        return Fresh()
    secret = ids.new_token() + ids.new_token()
    values = {"client_id": Given(ids.new_token()), "client_secret": Given(digest(secret))}
    return Fresh(values=values, shown={"client_secret": secret})


def digest(secret: str) -> str:
    """Return what is stored of a secret that nobody chose: there is nothing to guess in it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
