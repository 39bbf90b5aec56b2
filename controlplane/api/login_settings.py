"""What AWX's settings say about logging in: the one place that asks for them."""

from __future__ import annotations

from msgspec import Struct


class LoginSettings(Struct, frozen=True, kw_only=True):
    """AWX's ``authentication`` settings (``api.md`` 3.47), with its defaults."""

    basic: bool = True
    """``AUTH_BASIC_ENABLED``: a request may carry a name and password."""
    local: bool = True
    """Not ``DISABLE_LOCAL_AUTH``: passwords that are stored here let somebody in."""
    session_s: int = 1800
    """``SESSION_COOKIE_AGE``: a session that is not used ends after this (seconds)."""
    sessions_max: int = -1
    """``SESSIONS_PER_USER``: opening one more ends the oldest; -1 for no limit."""
    access_token_s: int = 31_536_000_000
    """``OAUTH2_PROVIDER``, as the next two; AWX's default is a thousand years."""
    refresh_token_s: int = 2_628_000
    code_s: int = 600


DEFAULTS = LoginSettings()


def login_settings() -> LoginSettings:
    """Return what holds now."""
    return DEFAULTS
