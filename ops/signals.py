"""Named points in the programs at which a fault test may kill the process.

No cost in production.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum


class Point(StrEnum):
    """The places where a crash is most instructive."""

    APPEND_BEFORE_ACK = "append_before_ack"
    COPY_BEFORE_COMMIT = "copy_before_commit"
    JOURNAL_BEFORE_PUBLISH = "journal_before_publish"
    SPEC_BEFORE_ACK = "spec_before_ack"
    CLAIM_BEFORE_START = "claim_before_start"
    FRAMES_BEFORE_REPORT = "frames_before_report"
    REPORT_BEFORE_REMOVAL = "report_before_removal"
    PLACED_BEFORE_ORDER = "placed_before_order"
    REPORT_BEFORE_APPEND = "report_before_append"
    IMPORT_BETWEEN_APPENDS = "import_between_appends"


_armed: Point | None = None


def arm(point: str) -> None:
    """Choose the point at which this process dies; an empty string disarms. Raises ValueError."""
    global _armed  # noqa: PLW0603 - one process-wide switch, set once at start
    _armed = Point(point) if point else None


def reach(point: Point) -> None:
    """Die here by SIGKILL when this point is armed."""
    if _armed is point:
        os.kill(os.getpid(), signal.SIGKILL)
