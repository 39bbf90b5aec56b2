"""What was recorded once is read by today's code to the same rows and the same states."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from controlplane.domain.job import JOB
from controlplane.shell.transact import fold_history
from projections.checkpoint import Connection
from projections.main import PROJECTIONS
from projections.projection import Projection
from schemas.envelope import Recorded
from schemas.streams import JOBS
from tests.projections.conftest import connection
from tests.projections.rig import Room
from tests.replay.record import messages

__all__ = ["connection"]

HISTORIES = sorted(Path(__file__).parent.glob("*.jsonl"))


def known(history: Path) -> dict[str, str]:
    """What this history came to when it was added, by projection and version, and its jobs."""
    found: dict[str, str] = msgspec.json.decode(history.with_suffix(".hashes.json").read_bytes())
    return found


UNTOLD = frozenset({"facts"})
"""Projections of what no recorded history has: none of its jobs gathered facts."""


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each.stem)
async def test_a_history_projects_to_the_known_rows(
    connection: Connection, history: Path, projection: Projection
) -> None:
    """A version of a projection has one digest a history; a change of rows needs a new version."""
    stored = messages(history, projection.stream)
    room = await Room(connection, projection).given(stored)
    digests = await room.digests()
    told = bool(stored) and projection.name not in UNTOLD
    assert any(each.rows for each in digests.values()) == told
    text = "\n".join(f"{table} {each.rows} {each.sha256}" for table, each in digests.items())
    found = hashlib.sha256(text.encode()).hexdigest()
    assert found == known(history)[f"{projection.name}.v{projection.version}"], text


@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each.stem)
def test_a_history_folds_to_the_known_states(history: Path) -> None:
    """Every job comes to the status it had."""
    lives: dict[str, list[Recorded]] = {}
    for each in messages(history, JOBS.name):
        assert isinstance(each, Recorded)
        lives.setdefault(each.subject, []).append(each)
    statuses = {subject: str(fold_history(JOB, life).status) for subject, life in lives.items()}
    assert statuses == msgspec.json.decode(known(history)["jobs"])
