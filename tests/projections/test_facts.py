"""The rows of hosts' facts, whatever a runner sent."""

from __future__ import annotations

import msgspec

from projections.facts import Facts
from projections.projection import RawMessage, Run
from tests.factories import NOW


def test_a_host_has_one_row_in_a_statement_however_it_is_numbered() -> None:
    """Postgres refuses a statement that writes a row twice, and would for ever."""
    hosts = {"7": {"facts": {"a": 1}}, "07": {"facts": {"a": 2}}, "8": {"facts": None}}
    body = msgspec.json.encode({"at": NOW, "content": "c", "hosts": hosts})
    (run,) = Facts().apply([RawMessage(sequence=3, subject="job.1", data=body)])
    assert isinstance(run, Run)
    assert run.args == ([7, 8], ['{"a":2}', "{}"], "c", NOW, 3)
