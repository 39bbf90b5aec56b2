"""Identifiers: the only place that draws random ones."""

from __future__ import annotations

import secrets
import uuid


def new_id() -> str:
    """Return a new id for a message, request or correlation (32 hex digits)."""
    return uuid.uuid4().hex


def new_token() -> str:
    """Return a new secret token (URL-safe, 30 characters and more)."""
    return secrets.token_urlsafe(24)


def new_password() -> str:
    """Return a new password that a person can type."""
    return secrets.token_urlsafe(12)


def random_bytes(count: int) -> bytes:
    """Return ``count`` bytes fit for keys."""
    return secrets.token_bytes(count)
