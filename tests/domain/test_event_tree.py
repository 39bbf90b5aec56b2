"""The tree of a job's events: what stands below what, and where there is no tree."""

from __future__ import annotations

from controlplane.domain import event_tree
from controlplane.domain.event_tree import Line


def line(counter: int, event: str, uuid: str, parent: str = "") -> Line:
    """Make a line."""
    return Line(counter=counter, event=event, uuid=uuid, parent=parent)


START = line(1, "playbook_on_start", "book")
PLAY = line(2, "playbook_on_play_start", "play", "book")
TASK = line(3, "playbook_on_task_start", "task", "play")


def test_everything_below_is_counted() -> None:
    """Descendants count on each level above them."""
    found = event_tree.summary([START, PLAY, TASK, line(4, "runner_on_ok", "ok", "task")])
    assert found["is_tree"] is True
    assert found["children_summary"] == {
        "1": {"rowNumber": 0, "numChildren": 3},
        "2": {"rowNumber": 1, "numChildren": 2},
        "3": {"rowNumber": 2, "numChildren": 1},
    }


def test_free_lines_stand_below_what_is_open() -> None:
    """A warning between results belongs to the task around it."""
    found = event_tree.summary([START, PLAY, TASK, line(4, "verbose", "v")])
    assert found["meta_event_nested_uuid"] == {"4": "task"}
    assert found["children_summary"]["3"]["numChildren"] == 1


def test_events_out_of_order_are_no_tree() -> None:
    """Where results of two tasks are mixed nothing can be folded."""
    other = line(4, "playbook_on_task_start", "other", "play")
    late = line(5, "runner_on_ok", "late", "task")
    found = event_tree.summary([START, PLAY, TASK, other, late])
    assert (found["is_tree"], found["children_summary"]) == (False, {})
