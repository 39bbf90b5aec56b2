"""Settings of logins and tokens, of the bulk operations and of what the web interface shows."""

from __future__ import annotations

import base64
import binascii
import re

from schemas.settings.setting import declare, flag, mapping, one_of, whole, words

_LOGO = re.compile(r"data:image/(?:png|jpe?g|gif);base64,([A-Za-z0-9+/=]*)")


def logo_problem(value: str) -> str:
    """Return what is wrong with a logo: it is a data URL of an image, or empty."""
    if not value:
        return ""
    match = _LOGO.fullmatch(value)
    if match is None:
        return (
            "Invalid format for custom logo. Must be a data URL with a base64-encoded GIF, PNG or"
            " JPEG image."
        )
    try:
        base64.b64decode(match.group(1), validate=True)
    except binascii.Error:
        return "Invalid base64-encoded data in data URL."
    return ""


def oauth_problem(value: dict[str, int]) -> str:
    """Return what is wrong with the lifetimes of tokens: each lasts a second at least."""
    short = sorted(name for name, seconds in value.items() if seconds < 1)
    return f"Ensure {', '.join(short)} is greater than or equal to 1." if short else ""


LOGIN = "controlplane.api.login_settings"

declare(
    "authentication",
    "Authentication",
    [
        whole(
            "SESSION_COOKIE_AGE",
            "Idle Time Force Log Out",
            "Seconds without a request after which a user must log in again.",
            default=1800,
            required=True,
            low=60,
            high=30_000_000_000,
            unit="seconds",
            reader=LOGIN,
        ),
        whole(
            "SESSIONS_PER_USER",
            "Maximum number of simultaneous logged in sessions",
            "Sessions that one user may have at the same time; -1 sets no limit.",
            default=-1,
            required=True,
            low=-1,
            reader=LOGIN,
        ),
        flag(
            "DISABLE_LOCAL_AUTH",
            "Disable the built-in authentication system",
            "Refuses the passwords kept here; users log in by an external system only.",
            required=True,
            reader=LOGIN,
        ),
        flag(
            "AUTH_BASIC_ENABLED",
            "Enable HTTP Basic Auth",
            "Lets requests of the API carry a user name and a password.",
            default=True,
            required=True,
            reader=LOGIN,
        ),
        mapping(
            "OAUTH2_PROVIDER",
            "OAuth 2 Timeout Settings",
            "Lifetimes in seconds of access tokens, authorization codes and refresh tokens.",
            default={
                "ACCESS_TOKEN_EXPIRE_SECONDS": 31_536_000_000,
                "AUTHORIZATION_CODE_EXPIRE_SECONDS": 600,
                "REFRESH_TOKEN_EXPIRE_SECONDS": 2_628_000,
            },
            item="integer",
            keys=(
                "ACCESS_TOKEN_EXPIRE_SECONDS",
                "AUTHORIZATION_CODE_EXPIRE_SECONDS",
                "REFRESH_TOKEN_EXPIRE_SECONDS",
            ),
            check=oauth_problem,
            unit="seconds",
            reader=LOGIN,
        ),
        words(
            "LOGIN_REDIRECT_OVERRIDE",
            "Login redirect override URL",
            "Where users who are not logged in are sent; empty for the login page here.",
            reader="controlplane.api.system_routes",
        ),
        flag(
            "ALLOW_METRICS_FOR_ANONYMOUS_USERS",
            "Allow anonymous users to poll metrics",
            "Shows /api/v2/metrics/ to requests without a login.",
            reader="controlplane.api.metrics_routes",
        ),
    ],
)

declare(
    "bulk",
    "Bulk Actions",
    [
        whole(
            "BULK_JOB_MAX_LAUNCH",
            "Max jobs to allow bulk jobs to launch",
            "Jobs that one bulk launch may start.",
            default=100,
            hidden=True,
        ),
        whole(
            "BULK_HOST_MAX_CREATE",
            "Max number of hosts to allow to be created in a single bulk action",
            "Hosts that one bulk request may create.",
            # AWX's 100 makes an inventory of 10,000 hosts a hundred requests; one transaction of
            # the log takes them all.
            default=100_000,
            hidden=True,
            reader="controlplane.api.bulk_routes",
        ),
        whole(
            "BULK_HOST_MAX_DELETE",
            "Max number of hosts to allow to be deleted in a single bulk action",
            "Hosts that one bulk request may delete.",
            # AWX's is 250; here too one transaction takes them all.
            default=100_000,
            hidden=True,
            reader="controlplane.api.bulk_routes",
        ),
    ],
)

declare(
    "ui",
    "UI",
    [
        one_of(
            "PENDO_TRACKING_STATE",
            "User Analytics Tracking State",
            "Whether the web interface tells an analysis service how it is used: it never does.",
            (("off", "Off"), ("anonymous", "Anonymous"), ("detailed", "Detailed")),
            default="off",
            read_only=True,
        ),
        words(
            "CUSTOM_LOGIN_INFO",
            "Custom Login Info",
            "A notice for the login page, as text or Markdown.",
            reader="controlplane.api.system_routes",
        ),
        words(
            "CUSTOM_LOGO",
            "Custom Logo",
            "An image for the login page, as a data URL of a base64-encoded GIF, PNG or JPEG.",
            placeholder="data:image/gif;base64,R0lGODlhAQABAIABAP///wAAACwAAAAAAQABAAACAkQBADs=",
            check=logo_problem,
            reader="controlplane.api.system_routes",
        ),
        whole(
            "MAX_UI_JOB_EVENTS",
            "Max Job Events Retrieved by UI",
            "Job events that the web interface asks for in one request.",
            default=4000,
            required=True,
            low=100,
            hidden=True,
            reader="controlplane.api.event_routes",
        ),
        flag(
            "UI_LIVE_UPDATES_ENABLED",
            "Enable Live Updates in the UI",
            "Whether the web interface follows what happens without being reloaded.",
            default=True,
            required=True,
            hidden=True,
        ),
    ],
)

declare(
    "named-url",
    "Named URL",
    [
        mapping(
            "NAMED_URL_FORMATS",
            "Formats of all available named urls",
            "The parts that make up the named URL of each kind of object.",
            read_only=True,
        ),
        mapping(
            "NAMED_URL_GRAPH_NODES",
            "List of all named url graph nodes.",
            "How a named URL is found: each kind's own fields and the objects its name refers to.",
            item="any",
            read_only=True,
        ),
    ],
)

declare(
    "debug",
    "Debug",
    [
        flag(
            "AWX_CLEANUP_PATHS",
            "Enable or Disable tmp dir cleanup",
            "Whether the directory of a job is removed at its end.",
            default=True,
        ),
        flag(
            "AWX_REQUEST_PROFILE", "Debug Web Requests", "Whether each request's time is profiled."
        ),
        flag(
            "RECEPTOR_RELEASE_WORK",
            "Release Receptor Work",
            "Whether receptor forgets a unit of work at its end.",
            default=True,
        ),
        flag(
            "RECEPTOR_KEEP_WORK_ON_ERROR",
            "Keep receptor work on error",
            "Whether receptor keeps a unit of work that ended with an error.",
        ),
    ],
)
