"""Facts about host metrics: what was ever automated, and what is said to be gone."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from schemas.registry import event

ID_BITS = 52
"""Few enough for JavaScript's integers, many enough for millions of host names."""


def metric_id(hostname: str) -> int:
    """Return the id of a host's metric: computed, so that a rebuild gives the same one."""
    digest = hashlib.sha256(hostname.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - ID_BITS)


@event("host_metric.deleted.v1")
class HostMetricDeleted(Struct, frozen=True, kw_only=True):
    """A host is managed no longer, until it is automated again; on ``config.host_metric.<id>``."""

    id: int
    hostname: str
