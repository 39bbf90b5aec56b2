"""When a schedule runs: reads and checks an iCal recurrence rule, and finds its times.

Pure: the moment that times are looked for after is an argument. A search takes a bounded number of
steps, whatever rule somebody writes: a rule starts near that moment instead of at its beginning,
and that it never comes shows soon.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import math
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dateutil.parser
import dateutil.rrule
import dateutil.tz
import msgspec
from msgspec import Struct

CYCLE_YEARS = 400
LAST_YEAR = 9969
AT_LEAST_YEARS = 30
HORIZON_YEARS = 80
"""Twice the longest gap that the calendar leaves between two days of a rule: a 29 February that is
a Sunday comes again within 40 years."""
EARLIEST_YEAR = 1000
COUNT_MAX = 999
RULES_MAX = 5
TIMES_MAX = 1440
"""Times of day that one rule may name: dateutil makes a list of them all."""
LENGTH_MAX = 4096
NO_START = "Valid DTSTART required in rrule. Value should start with: DTSTART:YYYYMMDDTHHMMSSZ"
NAIVE = "DTSTART cannot be a naive datetime.  Specify ;TZINFO= or YYYYMMDDTHHMMSSZZ."
UNPARSED = "rrule parsing failed validation: "

_START = re.compile(r"DTSTART(;[^:\s]+)?:(\d{8}T\d{6}Z?)")
_ZONE = re.compile(r"DTSTART;TZID=([^:;\s]+):")
_RULE = re.compile(r"RULE:\S*")
_UNTIL = re.compile(r"UNTIL=(\d{8}(?:T\d{6})?)(Z?)")
_COUNT = re.compile(r"COUNT=(\d+)")
_TIMES = re.compile(r"BY(?:HOUR|MINUTE|SECOND)[:=]([^;]*)", re.IGNORECASE)
_LONG_INTERVAL = re.compile(r"INTERVAL=(?:0|-|\d{7})")
_CLOCK = re.compile("HOURLY|MINUTELY", re.IGNORECASE)
_NUMBERED_DAY = re.compile(r"BYDAY[:=]+[^;]*?\d+[A-Za-z]{2}")
_BEYOND_DAYS: dict[str, Any] = dict.fromkeys(
    ("byhour", "byminute", "bysecond", "bysetpos", "until", "count")
)
_EVEN = {
    dateutil.rrule.WEEKLY: timedelta(days=7),
    dateutil.rrule.DAILY: timedelta(days=1),
    dateutil.rrule.HOURLY: timedelta(hours=1),
    dateutil.rrule.MINUTELY: timedelta(minutes=1),
}
"""Frequencies whose intervals are all of one length."""
_BY_CLOCK = (dateutil.rrule.HOURLY, dateutil.rrule.MINUTELY)


class Unruly(Exception):
    """The text is no rule that a schedule may have; ``messages`` are AWX's."""

    def __init__(self, *messages: str) -> None:
        """Refuse for these reasons."""
        super().__init__(*messages)
        self.messages = list(messages)


class Recurrence(Struct, frozen=True, kw_only=True):
    """A rule that was read; ``text`` is as it is stored, its ends in UTC."""

    text: str
    zone: str
    until: str
    """The end of the rule in local time, without a zone; empty for none."""
    start: datetime
    rules: tuple[Any, ...]
    excluded: tuple[Any, ...]
    opening: datetime | None = None
    """The first time of all; None for a rule that never comes, which is not searched again."""

    def after(self, moment: datetime, number: int) -> list[datetime]:
        """Return the next times after a moment, in the rule's zone; at most ``number``."""
        if self.opening is None:
            return []
        return self.search(moment, number)

    def search(self, moment: datetime, number: int) -> list[datetime]:
        """Return the same of a rule of which it is not known whether it ever comes."""
        found: list[datetime] = []
        for rule in self.rules:
            found += _times(rule, moment, number * (1 + 9 * len(self.excluded)))
        skipped = {each for rule in self.excluded for each in _times(rule, moment, 10 * number)}
        return [each for each in sorted(set(found)) if each not in skipped][:number]

    def next_run(self, now: datetime) -> datetime | None:
        """Return the first time after now, in UTC."""
        if self.opening is None or self.opening > now:
            return self.first()
        return next((each.astimezone(UTC) for each in self.after(now, 1)), None)

    def first(self) -> datetime | None:
        """Return the first time of all, in UTC."""
        return None if self.opening is None else self.opening.astimezone(UTC)

    def last(self) -> datetime | None:
        """Return the last time of all, in UTC; None when there is no end."""
        ends = [_end(rule) for rule in self.rules] if self.opening is not None else []
        known = [each for each in ends if each is not None]
        return max(known).astimezone(UTC) if known and len(known) == len(ends) else None


@functools.lru_cache(4096)
def read(text: str) -> Recurrence:
    """Read a schedule's rule; raises Unruly."""
    if messages := _refusals(text):
        raise Unruly(*messages)
    zone = _ZONE.search(text)
    stored = _with_ends_in_utc(text, zone.group(1) if zone else "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed: Any = dateutil.rrule.rrulestr(
                re.sub(r"\s+", "\n", stored.strip()), forceset=True, tzids=_zone
            )
            rules, excluded = tuple(parsed._rrule), tuple(parsed._exrule)  # noqa: SLF001 - rruleset keeps them nowhere else
            begin: datetime = rules[0]._dtstart  # noqa: SLF001 - as above
            recurrence = Recurrence(
                text=stored,
                zone=zone.group(1) if zone else "UTC",
                until=_local_until(stored, begin),
                start=begin,
                rules=rules,
                excluded=excluded,
            )
            opening = _opening(recurrence)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise Unruly(f"{UNPARSED}{error}") from error
    return msgspec.structs.replace(recurrence, opening=opening)


def _opening(rule: Recurrence) -> datetime | None:
    """Return the first time of all; raises ValueError for a start too early to count from."""
    if rule.start.year < EARLIEST_YEAR:
        message = f"year {rule.start.year} is out of range"
        raise ValueError(message)
    return next(iter(rule.search(rule.start - timedelta(seconds=1), 1)), None)


def _refusals(text: str) -> list[str]:
    """Return everything that is wrong with a rule before it is parsed."""
    if len(text) > LENGTH_MAX:
        return [f"Ensure this field has no more than {LENGTH_MAX} characters."]
    starts = _START.findall(text)
    rules = _RULE.findall(text)
    found: list[str] = []
    if not starts:
        found.append(NO_START)
    if any(not zone and not moment.endswith("Z") for zone, moment in starts):
        found.append(NAIVE)
    if len(starts) > 1:
        found.append("Multiple DTSTART is not supported.")
    if not rules:
        found.append("One or more rule required in rrule.")
    if len(rules) > RULES_MAX:
        found.append(f"More than {RULES_MAX} rules are not supported.")
    banned = [word for word in ("RDATE", "EXDATE") if word in text.upper()]
    found += [f"{word} not allowed in rrule." for word in banned]
    for rule in rules:
        found += [f"{message}: {rule}" for message in _refusals_of_rule(rule)]
    return found


def _refusals_of_rule(rule: str) -> Iterator[str]:
    if "INTERVAL" not in rule.upper():
        yield "INTERVAL required in rrule"
    elif "SECONDLY" in rule.upper():
        yield "SECONDLY is not supported"
    elif _LONG_INTERVAL.search(rule) or "BYEASTER" in rule.upper():
        yield f"{UNPARSED}not supported"
    elif "BYSETPOS" in rule.upper() and _CLOCK.search(rule):
        yield f"{UNPARSED}BYSETPOS needs a frequency of days or longer"
    if math.prod(each.count(",") + 1 for each in _TIMES.findall(rule)) > TIMES_MAX:
        yield f"{UNPARSED}more than {TIMES_MAX} times a day are not supported"
    if _NUMBERED_DAY.search(rule):
        yield "BYDAY with numeric prefix not supported"
    if "COUNT" in rule and "UNTIL" in rule:
        yield "RRULE may not contain both COUNT and UNTIL"
    count = _COUNT.search(rule)
    if count and (len(count.group(1)) > len(str(COUNT_MAX)) or int(count.group(1)) > COUNT_MAX):
        yield f"COUNT > {COUNT_MAX} is unsupported"


def _zone(name: str) -> dt.tzinfo:
    zone = dateutil.tz.gettz(name) if re.fullmatch(r"[A-Za-z][\w+/-]*", name) else None
    if zone is None:
        raise ValueError(f"unknown time zone {name}")
    return zone


def _with_ends_in_utc(text: str, zone: str) -> str:
    """Write each local UNTIL in UTC; raises Unruly."""

    def utc(match: re.Match[str]) -> str:
        if match.group(2):
            return match.group(0)
        try:
            moment = dateutil.parser.parse(match.group(1)).replace(tzinfo=_zone(zone or "UTC"))
            return f"UNTIL={moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        except (ValueError, OverflowError) as error:
            raise Unruly(f"{UNPARSED}{error}") from error

    return _UNTIL.sub(utc, text)


def _local_until(text: str, begin: datetime) -> str:
    """Return the one end of a rule as AWX shows it: local time without a zone."""
    ends = {match.group(1) for match in _UNTIL.finditer(text)}
    if len(ends) != 1:
        return ""
    moment = dateutil.parser.parse(ends.pop()).replace(tzinfo=UTC)
    return moment.astimezone(begin.tzinfo).replace(tzinfo=None).isoformat()


def _times(rule: Any, moment: datetime, number: int) -> list[datetime]:
    """Return the next times of one rule after a moment."""
    zone = rule._dtstart.tzinfo  # noqa: SLF001 - rrule shows it nowhere
    local = moment.astimezone(zone).replace(tzinfo=None)
    later = (each.replace(tzinfo=zone) for each in _walk(rule, local))
    return list(itertools.islice((each for each in later if each > moment), number))


def _walk(rule: Any, moment: datetime) -> Iterator[datetime]:
    """Yield local times from at or before a moment on, within a bounded number of steps."""
    start: datetime = rule._dtstart.replace(tzinfo=None)  # noqa: SLF001
    unlimited = rule._count is None  # noqa: SLF001
    if unlimited and rule._freq in _EVEN:  # noqa: SLF001
        start = _stepped(rule, start, moment)
    if rule._freq in _BY_CLOCK:  # noqa: SLF001
        midnight = start.replace(hour=0, minute=0, second=0)
        daily = {**_BEYOND_DAYS, "freq": dateutil.rrule.DAILY, "interval": 1}
        day = next(_near_the_end(rule, midnight, daily), None)
        if day is None:
            return
        if unlimited:
            start = _stepped(rule, start, day)
        yield from _replaced(rule, dtstart=start, until=_until(rule))
    else:
        yield from _near_the_end(rule, start, {"until": _until(rule)})


def _near_the_end(rule: Any, start: datetime, changes: dict[str, Any]) -> Iterator[datetime]:
    """Walk a rule by days or more as though it were centuries later.

    What never comes is looked for to the last year there is, or for as long as a time can keep
    away: so that this is not far. The calendar repeats itself every 400 years.
    """
    years = max(0, (LAST_YEAR - start.year) // CYCLE_YEARS * CYCLE_YEARS)
    until = changes["until"]
    if until is not None:
        last = min(until.year + years, LAST_YEAR + AT_LEAST_YEARS)
        until = (
            _in_year(until, last)
            if last > start.year + years
            else until + (_in_year(start, start.year + years) - start)
        )
    interval = changes.get("interval", rule._interval)  # noqa: SLF001
    far = start.year + years + HORIZON_YEARS * max(1, interval)
    near = rule._count is None and rule._freq in _EVEN  # noqa: SLF001 - it starts near the moment
    if near and until is None and far < LAST_YEAR:
        until = _in_year(start, far)
    shifted = {**changes, "dtstart": _in_year(start, start.year + years), "until": until}
    for each in _replaced(rule, **shifted):
        yield _in_year(each, each.year - years)


def _in_year(moment: datetime, year: int) -> datetime:
    try:
        return moment.replace(year=year)
    except ValueError:
        return moment.replace(year=year, day=28)


def _replaced(rule: Any, **changes: Any) -> Iterator[datetime]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        replaced = rule.replace(**changes)
    yield from replaced


def _until(rule: Any) -> datetime | None:
    """Return the end of a rule in its local time."""
    until: datetime | None = rule._until  # noqa: SLF001
    zone = rule._dtstart.tzinfo  # noqa: SLF001
    return until.astimezone(zone).replace(tzinfo=None) if until is not None else None


def _stepped(rule: Any, start: datetime, moment: datetime) -> datetime:
    """Return a step of an even rule shortly before a moment, or the rule's start."""
    step = _EVEN[rule._freq] * max(1, rule._interval)  # noqa: SLF001
    steps = (moment - start) // step - 2
    return start + step * steps if steps > 0 else start


def _end(rule: Any) -> datetime | None:
    """Return the last time of one rule; None when it has no end."""
    until = _until(rule)
    begin: datetime = rule._dtstart.replace(tzinfo=None)  # noqa: SLF001
    if rule._count is None:  # noqa: SLF001
        if until is None:
            return None
        step = _EVEN.get(rule._freq, timedelta(days=366)) * max(1, rule._interval)  # noqa: SLF001
        begin = max(begin, until - min(1000 * step, until - begin))
    *_, last = (None, *_walk(rule, begin))
    return last.replace(tzinfo=rule._dtstart.tzinfo) if last is not None else None  # noqa: SLF001
