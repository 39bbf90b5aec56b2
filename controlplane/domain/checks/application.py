"""Rules of applications (``api.md`` 3.38): where they may be sent back to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from controlplane.domain.checks.draft import Draft
from controlplane.domain.facts import Facts
from schemas.resources.application import AUTHORIZATION_CODE

SCHEMES = ("http", "https")
_HOST = re.compile(r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$")


def check(draft: Draft, _facts: Facts) -> None:
    """Demand redirect URIs where a grant needs them, each of them one that can be gone to."""
    uris = str(draft.values["redirect_uris"]).split()
    grant = draft.values["authorization_grant_type"]
    if not uris and grant == AUTHORIZATION_CODE:
        draft.error("__all__", f"redirect_uris cannot be empty with grant_type {grant}")
    for problem in dict.fromkeys(filter(None, map(_problem, uris))):
        draft.error("__all__", problem)


def _problem(uri: str) -> str:
    """Return what is wrong with a redirect URI in AWX's words; empty for nothing."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "Enter a valid URL."
    printable = uri.isascii() and uri.isprintable()
    if not printable or not parts.scheme or not _HOST.match(parts.netloc):
        return "Enter a valid URL."
    if parts.scheme.lower() not in SCHEMES:
        return f"Unauthorized redirect scheme: {parts.scheme}"
    return "Redirect URIs must not contain fragments" if "#" in uri else ""
