"""What a changed result says: its action, and its diffs within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain.changes import DIFFS_MAX, TEXT_MAX, change_of

FILE = {"before": "a\n", "after": "b\n", "before_header": "/etc/x", "after_header": "/etc/x"}


def test_a_loop_shows_the_diffs_of_its_changed_items() -> None:
    """Items that changed nothing have nothing to show."""
    items = [{"changed": True, "diff": FILE}, {"changed": False, "diff": FILE}, {"changed": True}]
    found = change_of({"task_action": "copy", "res": {"results": items}})
    assert (found.action, found.diff, found.diff_truncated) == ("copy", [FILE], False)


@pytest.mark.parametrize(
    ("result", "diff"),
    [
        ({"diff": FILE}, [FILE]),
        ({"diff": [FILE, {}]}, [FILE]),
        ({"diff": {"prepared": "--- a\n+++ b\n"}}, [{"prepared": "--- a\n+++ b\n"}]),
        ({"diff": {"before": {"mode": "0644"}, "after": {"mode": "0600"}}}, None),
        ({"diff": "text"}, []),
        ({"diff": None}, []),
        ({}, []),
    ],
)
def test_every_form_of_a_diff_is_read(result: Any, diff: Any) -> None:
    """One, several, prepared ones, values that are no text, and none."""
    found = change_of({"res": result}).diff
    if diff is None:
        diff = [{"before": "{'mode': '0644'}", "after": "{'mode': '0600'}"}]
    assert found == diff


def test_what_is_too_long_is_cut_and_said_so() -> None:
    """A side of a diff is cut, and so is a list of them."""
    long = change_of({"res": {"diff": {"before": "", "after": "x" * (TEXT_MAX + 1)}}})
    assert (len(long.diff[0]["after"]), long.diff_truncated) == (TEXT_MAX, True)
    many = change_of({"res": {"diff": [FILE] * (DIFFS_MAX + 1)}})
    assert (len(many.diff), many.diff_truncated) == (DIFFS_MAX, True)


@pytest.mark.parametrize("data", [{}, {"res": "text"}, {"res": [], "task_action": 5}])
def test_what_is_no_result_has_no_diff(data: Any) -> None:
    """Data of any form is answered."""
    assert change_of(data).diff == []
    assert change_of(data).action == ""


def test_a_secret_task_says_only_that_it_is_one() -> None:
    """Its result is censored by Ansible."""
    assert change_of({"res": {"censored": "the output has been hidden"}}).censored
