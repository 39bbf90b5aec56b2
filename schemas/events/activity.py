"""What is no longer shown of the audit trail; the trail itself stands in the log and stays."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.registry import event

ACTIVITY_ID = 1
"""There is one audit trail: ``config.activity.1``."""


@event("activity.hidden.v1")
class ActivityHidden(Struct, frozen=True, kw_only=True):
    """Entries before this time leave the activity stream that is shown; none leaves the log."""

    before: datetime
    entries: int = 0
    """How many that were when it was said."""
