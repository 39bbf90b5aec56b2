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


def test_a_warning_between_results_stands_beside_them() -> None:
    """It has the parent of the deeper one of its neighbours, and is counted above that."""
    one, two = line(5, "runner_on_ok", "one", "task"), line(7, "runner_on_ok", "two", "task")
    warnings = line(4, "warning", "first"), line(6, "verbose", "v")
    found = event_tree.summary([START, PLAY, TASK, warnings[0], one, warnings[1], two])
    assert found["meta_event_nested_uuid"] == {"4": "task", "6": "task"}
    assert found["children_summary"]["3"] == {"rowNumber": 2, "numChildren": 4}
    assert found["children_summary"]["1"]["numChildren"] == 6


def test_lines_before_anything_else_stand_alone() -> None:
    """What is said before the first play is below nothing that comes later."""
    found = event_tree.summary([line(1, "verbose", "v"), line(2, "playbook_on_start", "book")])
    assert (found["is_tree"], found["meta_event_nested_uuid"]) == (True, {})
    assert found["children_summary"] == {}


def test_no_events_are_an_empty_tree() -> None:
    """A job without output has nothing below anything."""
    found = event_tree.summary([])
    assert (found["is_tree"], found["children_summary"]) == (True, {})


def test_events_out_of_order_are_no_tree() -> None:
    """Where results of two tasks are mixed nothing can be folded."""
    other = line(4, "playbook_on_task_start", "other", "play")
    late = line(5, "runner_on_ok", "late", "task")
    found = event_tree.summary([START, PLAY, TASK, other, late])
    assert (found["is_tree"], found["children_summary"]) == (False, {})
