"""Streams and key-value buckets as data; ``ops.provision`` applies them, idempotently.

A stream appears here when something is first written to it. ``allow_*`` names are JetStream's own.
"""

from __future__ import annotations

from msgspec import Struct

DAY_S = 86_400


class StreamSpec(Struct, frozen=True, kw_only=True):
    """One stream: its subjects, how it is written and how long it keeps."""

    name: str
    subjects: tuple[str, ...]
    retention: str = "limits"
    max_age_s: int = 0
    """0 keeps for ever."""
    duplicate_window_s: int = 600
    allow_msg_counter: bool = False
    allow_msg_ttl: bool = False
    allow_rollup: bool = False
    allow_direct: bool = True
    deny_delete: bool = False
    compression: str = "none"
    max_msgs_per_subject: int = -1
    first_stays: bool = False
    """A subject that is full takes no more, instead of dropping what it holds."""
    republish_source: str | None = None
    republish_destination: str | None = None
    max_consumers: int = 100_000
    """Explicit: server 2.15 caps a stream at 1000 otherwise."""


class BucketSpec(Struct, frozen=True, kw_only=True):
    """One key-value bucket; entries may carry their own TTL when ``allow_ttl``."""

    name: str
    history: int = 1
    ttl_s: float = 0
    allow_ttl: bool = False


CONFIG = StreamSpec(name="CONFIG", subjects=("config.>",), deny_delete=True)
JOBS = StreamSpec(
    name="JOBS",
    subjects=("job.*",),
    republish_source="job.*",
    republish_destination="status.{{wildcard(1)}}",
)
ACCESS = StreamSpec(name="ACCESS", subjects=("access.>",), max_age_s=365 * DAY_S)
OUTPUT = StreamSpec(
    name="OUTPUT",
    subjects=("output.*.*.*",),
    allow_msg_ttl=True,
    compression="s2",
    republish_source="output.*.*.*",
    republish_destination="live.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}",
)
REPORTS = StreamSpec(name="REPORTS", subjects=("report.*.*.*",))
WORK = StreamSpec(name="WORK", subjects=("work.>",), retention="workqueue", allow_msg_ttl=True)
BLOBS = StreamSpec(
    name="BLOBS", subjects=("content.*.*",), max_msgs_per_subject=1, first_stays=True
)
KEYS = StreamSpec(name="KEYS", subjects=("key.*.*",), max_msgs_per_subject=1)
IDS = StreamSpec(name="IDS", subjects=("id.*",), allow_msg_counter=True, duplicate_window_s=120)
DEADLETTER = StreamSpec(name="DEADLETTER", subjects=("dead.*.*",))

STREAMS = (CONFIG, JOBS, ACCESS, OUTPUT, REPORTS, WORK, BLOBS, KEYS, IDS, DEADLETTER)

LEASES = BucketSpec(name="leases", allow_ttl=True)
PRESENCE = BucketSpec(name="presence", allow_ttl=True)
LAUNCH_KEYS = BucketSpec(name="launch-keys", ttl_s=DAY_S)
SESSIONS = BucketSpec(name="sessions", allow_ttl=True)
CODES = BucketSpec(name="codes", allow_ttl=True)
SSO = BucketSpec(name="sso", allow_ttl=True)
"""Logins under way at identity providers, and assertions that were used."""
SNAPSHOTS = BucketSpec(name="snapshots")

BUCKETS = (LEASES, PRESENCE, LAUNCH_KEYS, SESSIONS, CODES, SSO, SNAPSHOTS)
