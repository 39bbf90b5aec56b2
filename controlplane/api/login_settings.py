"""What AWX's settings say about logging in: the one place that asks for them."""

from __future__ import annotations

from msgspec import Struct

from controlplane.shell.settings_store import SettingsStore

TTL_MAX_S = 10 * 365 * 86_400
"""What is kept for long is kept no longer than this: NATS counts nanoseconds in 63 bits."""


class LoginSettings(Struct, frozen=True, kw_only=True):
    """AWX's ``authentication`` settings (``api.md`` 3.47)."""

    basic: bool
    """``AUTH_BASIC_ENABLED``: a request may carry a name and password."""
    local: bool
    """Not ``DISABLE_LOCAL_AUTH``: passwords that are stored here let somebody in."""
    session_s: int
    """``SESSION_COOKIE_AGE``: a session that is not used ends after this (seconds)."""
    sessions_max: int
    """``SESSIONS_PER_USER``: opening one more ends the oldest; -1 for no limit."""
    access_token_s: int
    """``OAUTH2_PROVIDER``, as the next two; AWX's default is a thousand years."""
    refresh_token_s: int
    code_s: int


def login_settings(store: SettingsStore) -> LoginSettings:
    """Return what holds now."""
    lifetimes = store.get("OAUTH2_PROVIDER")
    return LoginSettings(
        basic=store.flag("AUTH_BASIC_ENABLED"),
        local=not store.flag("DISABLE_LOCAL_AUTH"),
        session_s=store.integer("SESSION_COOKIE_AGE"),
        sessions_max=store.integer("SESSIONS_PER_USER"),
        access_token_s=lifetimes["ACCESS_TOKEN_EXPIRE_SECONDS"],
        refresh_token_s=lifetimes["REFRESH_TOKEN_EXPIRE_SECONDS"],
        code_s=lifetimes["AUTHORIZATION_CODE_EXPIRE_SECONDS"],
    )


def ttl(seconds: int) -> str:
    """Return how long an entry of a bucket is kept, as a header says it; it must end some time."""
    return f"{min(max(seconds, 1), TTL_MAX_S)}s"
