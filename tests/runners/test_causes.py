"""What a run's output tells of why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners import causes
from runners.spec import Secrets


@pytest.mark.parametrize(
    ("printed", "limit", "told"),
    [
        (
            "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
            "nobody",
            "The limit 'nobody' matches no host of the inventory",
        ),
        (
            "No hosts matched the subscripted pattern 'web[5]'",
            "web[5]",
            "The limit 'web[5]' matches no host of the inventory",
        ),
        (
            "Invalid host list pattern: ~(",
            "~(",
            "The limit '~(' is no pattern that Ansible can read",
        ),
        (
            "Unable to find limit file b'retry'",
            "@retry",
            "The limit '@retry' names a file that the project does not have",
        ),
        ("Invalid host list pattern: ~(", "", ""),
        ("the playbook: nothing.yml could not be found", "web", ""),
    ],
)
def test_a_limit_that_ansible_refuses_is_named(
    tmp_path: Path, printed: str, limit: str, told: str
) -> None:
    """Where Ansible started no play for it; other runs are not blamed on their limit."""
    journal = tmp_path / "journal"
    journal.write_text(f"[ERROR]: {printed}")
    assert causes.of_failure(journal, Secrets(), limit) == told
