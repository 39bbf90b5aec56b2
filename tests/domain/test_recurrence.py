"""Recurrence rules: what is read, what is refused, and which times come of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controlplane.domain import recurrence
from controlplane.domain.recurrence import Unruly

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def rule(text: str) -> recurrence.Recurrence:
    """Read a rule by the usual start."""
    return recurrence.read(f"DTSTART:20200101T090000Z RRULE:{text}")


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("FREQ=DAILY;INTERVAL=1", "2026-11-26T09:00:00"),
        ("FREQ=MINUTELY;INTERVAL=7", "2026-11-25T12:02:00"),
        ("FREQ=HOURLY;INTERVAL=5;BYDAY=SA", "2026-11-28T02:00:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2026-12-07T09:00:00"),
        ("FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=31", "2026-12-31T09:00:00"),
        ("FREQ=YEARLY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=29", "2028-02-29T09:00:00"),
        ("FREQ=MINUTELY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=29", "2028-02-29T00:00:00"),
    ],
)
def test_next_run_is_found_from_long_ago(text: str, following: str) -> None:
    """The next time after now, however long ago the rule began."""
    found = rule(text).next_run(NOW)
    assert found is not None
    assert found.isoformat() == f"{following}+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=1;COUNT=3",
        "FREQ=DAILY;INTERVAL=1;UNTIL=20200201T000000Z",
    ],
)
def test_what_never_comes_has_no_next_run(text: str) -> None:
    """A day that no calendar has, or a rule that is over, yields nothing and ends."""
    assert rule(text).next_run(NOW) is None


def test_times_keep_the_hour_of_their_zone() -> None:
    """Nine in the morning stays nine across the change of the clocks."""
    text = "DTSTART;TZID=Europe/Berlin:20270327T090000 RRULE:FREQ=DAILY;INTERVAL=1;COUNT=3"
    found = recurrence.read(text).after(NOW, 3)
    assert [each.hour for each in found] == [9, 9, 9]
    assert [each.astimezone(UTC).hour for each in found] == [8, 7, 7]


def test_local_end_is_kept_in_utc_and_shown_local() -> None:
    """UNTIL without a zone is in the rule's zone; the stored rule has it in UTC."""
    text = (
        "DTSTART;TZID=Europe/Berlin:20300101T090000"
        " RRULE:FREQ=DAILY;INTERVAL=1;UNTIL=20300103T100000"
    )
    read = recurrence.read(text)
    assert read.text.endswith("UNTIL=20300103T090000Z")
    assert read.until == "2030-01-03T10:00:00"
    last = read.last()
    assert last is not None
    assert last.isoformat() == "2030-01-03T08:00:00+00:00"


def test_excluded_times_are_left_out() -> None:
    """EXRULE takes times away."""
    text = (
        "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=4"
        " EXRULE:FREQ=DAILY;INTERVAL=2;COUNT=2"
    )
    found = recurrence.read(text).after(NOW, 10)
    assert [each.day for each in found] == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RRULE:FREQ=DAILY;INTERVAL=1", recurrence.NO_START),
        ("DTSTART:20300101T000000Z", "One or more rule required in rrule."),
        ("DTSTART:20300101T000000 RRULE:FREQ=DAILY;INTERVAL=1", recurrence.NAIVE),
        (
            "DTSTART:20300101T000000Z DTSTART:20300102T000000Z RRULE:FREQ=DAILY;INTERVAL=1",
            "Multiple DTSTART is not supported.",
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1 EXDATE:20300102T000000Z",
            "EXDATE not allowed in rrule.",
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=DAILY",
            "INTERVAL required in rrule: RULE:FREQ=DAILY",
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=SECONDLY;INTERVAL=1",
            "SECONDLY is not supported: RULE:FREQ=SECONDLY;INTERVAL=1",
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=2MO",
            "BYDAY with numeric prefix not supported: RULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=2MO",
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1;UNTIL=20300102T000000Z",
            (
                "RRULE may not contain both COUNT and UNTIL:"
                " RULE:FREQ=DAILY;INTERVAL=1;COUNT=1;UNTIL=20300102T000000Z"
            ),
        ),
        (
            "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000",
            "COUNT > 999 is unsupported: RULE:FREQ=DAILY;INTERVAL=1;COUNT=1000",
        ),
    ],
)
def test_what_awx_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    """Each of AWX's refusals, word by word."""
    with pytest.raises(Unruly) as refused:
        recurrence.read(text)
    assert refused.value.messages == [message]


@pytest.mark.parametrize(
    "text",
    [
        "DTSTART:20301301T000000Z RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART;TZID=Nowhere/Here:20300101T000000 RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART;TZID=../../etc/passwd:20300101T000000 RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20300101T000000Z RRULE:FREQ=NEVER;INTERVAL=1",
        "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=x",
        "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=0",
        "DTSTART:20300101T000000Z RRULE:FREQ=MINUTELY;INTERVAL=1;BYHOUR=3;BYMINUTE=99",
        "DTSTART:20300101T000000Z RRULE:FREQ=MINUTELY;INTERVAL=1;BYSETPOS=2",
        "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=99999999999",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Nonsense is refused, never an error of its own, nor a search without end."""
    with pytest.raises(Unruly) as refused:
        recurrence.read(text)
    assert refused.value.messages[0].startswith("rrule parsing failed validation: ")


@pytest.mark.parametrize(
    "text",
    [
        "DTSTART:00010101T000000Z RRULE:FREQ=MINUTELY;INTERVAL=1;COUNT=9",
        "DTSTART:20300101T000000Z" + " RRULE:FREQ=DAILY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=30" * 60,
        "DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1"
        + "".join(f";BY{of}={','.join(map(str, range(60)))}" for of in ("MINUTE", "SECOND")),
    ],
)
def test_rules_that_cost_much_are_refused(text: str) -> None:
    """A start before all counting, rules by the dozen and every second of a day are no rules."""
    with pytest.raises(recurrence.Unruly):
        recurrence.read(text)


def test_a_rule_that_never_comes_is_searched_once() -> None:
    """Whoever lists schedules asks again and again for the next time of each."""
    rule = recurrence.read("DTSTART:20300101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;BYSETPOS=366")
    assert (rule.opening, rule.first(), rule.last()) == (None, None, None)
    assert rule.after(rule.start, 5) == []
    assert recurrence.read(rule.text) is rule


def test_a_rare_day_is_found() -> None:
    """A 29 February that is a Sunday is found from whatever day it is looked for."""
    rule = recurrence.read(
        "DTSTART:18800101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU"
    )
    found = [
        rule.next_run(datetime(year, 3, 1, tzinfo=UTC)) for year in (1880, 2026, 2032, 2088, 2200)
    ]
    assert [each and each.year for each in found] == [1920, 2032, 2060, 2128, 2224]
