"""Streams and their ordered readers, by JetStream's rules (``jetstream.md``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

EXPECTED_STREAM = "Nats-Expected-Last-Sequence"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID = "Nats-Msg-Id"
TTL = "Nats-TTL"
INCREMENT = "Nats-Incr"
WRONG_LAST = 10071
FULL = 10077
HEARTBEAT = "100"
MISSING = "404"
EXPIRED = "408"
_NANO = 1_000_000_000

Headers = Mapping[str, str]


class Back(Protocol):
    """Carries what the server says to who asked."""

    def __call__(self, headers: Headers, body: bytes, reply: str, subject: str = "") -> None:
        """Bring headers, body, and the subjects to reply to and of a message that was stored."""


class Stored(Struct, frozen=True, kw_only=True):
    """One message and its place in its stream."""

    sequence: int
    subject: str
    body: bytes
    headers: dict[str, str]
    until: float
    """When its time to live is over."""

    def answer(self) -> dict[str, str]:
        """Return the headers of a direct get."""
        return {
            **self.headers,
            "Nats-Sequence": str(self.sequence),
            "Nats-Subject": self.subject,
        }


class Stream:
    """One stream: each id once within its window, each subject chained where a message asks."""

    def __init__(self, config: Mapping[str, Any], now: Callable[[], float]) -> None:
        self.name: str = config["name"]
        self.patterns: list[str] = config["subjects"]
        self._config = config
        self._now = now
        self.last_sequence = 0
        self._ids: dict[str, tuple[int, float]] = {}
        self._messages: dict[int, Stored] = {}
        self._by_subject: dict[str, list[int]] = defaultdict(list)
        self.readers: dict[str, Reader] = {}

    # -- writing -----------------------------------------------------------------------------

    def put(
        self, subject: str, body: bytes, headers: Headers
    ) -> tuple[dict[str, Any], Stored | None]:
        """Store a message unless something stands against it; returns the acknowledgement too.

        One server checks the expectation before it looks for a message of the same id.
        """
        last = self.last(subject)
        behind = last.sequence if last else 0
        if headers.get(EXPECTED, str(behind)) != str(behind):
            return _error(WRONG_LAST), None
        if headers.get(EXPECTED_STREAM, str(self.last_sequence)) != str(self.last_sequence):
            return _error(WRONG_LAST), None
        name = headers.get(MESSAGE_ID, "")
        known, at = self._ids.get(name, (0, 0.0))
        if known and self._now() - at < self._config["duplicate_window"] / _NANO:
            return {"stream": self.name, "seq": known, "duplicate": True}, None
        if last and self._config.get("discard_new_per_subject"):
            return _error(FULL), None
        told: dict[str, Any] = {"stream": self.name}
        if INCREMENT in headers:
            before = int(msgspec.json.decode(last.body)["val"]) if last else 0
            told["val"] = str(before + int(headers[INCREMENT]))
            body = msgspec.json.encode({"val": told["val"]})
        stored = self._store(subject, body, headers)
        if name:
            self._ids[name] = (stored.sequence, self._now())
        return {**told, "seq": stored.sequence}, stored

    def _store(self, subject: str, body: bytes, headers: Headers) -> Stored:
        self.last_sequence += 1
        lives_s = int(headers[TTL]) if TTL in headers else float("inf")
        stored = Stored(
            sequence=self.last_sequence,
            subject=subject,
            body=body,
            headers=dict(headers),
            until=self._now() + lives_s,
        )
        self._messages[stored.sequence] = stored
        self._by_subject[subject].append(stored.sequence)
        if self._config.get("max_msgs_per_subject", -1) == 1:
            self.purge(subject, stored.sequence)
        return stored

    def purge(self, pattern: str, before: int) -> None:
        """Remove the messages of these subjects below a sequence; 0 removes all."""
        for subject in [each for each in self._by_subject if matches(pattern, each)]:
            gone = [each for each in self._by_subject[subject] if not before or each < before]
            self._by_subject[subject] = self._by_subject[subject][len(gone) :]
            for number in gone:
                del self._messages[number]

    # -- reading -----------------------------------------------------------------------------

    def last(self, subject: str, *, stale: bool = False) -> Stored | None:
        """Return a subject's last message; a replica that lags may not have it yet."""
        found = list(self.of([subject], 1))
        if stale:
            found = found[:-1]
        return found[-1] if found else None

    def at(self, sequence: int) -> Stored | None:
        """Return the message of a sequence."""
        found = self._messages.get(sequence)
        return found if found and found.until > self._now() else None

    def of(self, patterns: Sequence[str], first: int) -> Iterator[Stored]:
        """Yield the messages of subjects from a sequence on."""
        numbers: Iterable[int]
        if len(patterns) == 1 and patterns[0] in self._by_subject:
            numbers = self._by_subject[patterns[0]]
        else:
            numbers = self._messages
        for number in [each for each in numbers if each >= first]:
            found = self.at(number)
            if found and any(matches(pattern, found.subject) for pattern in patterns):
                yield found

    def info(self) -> dict[str, Any]:
        """Return what the API says of it."""
        state = {
            "messages": len(self._messages),
            "bytes": 0,
            "first_seq": min(self._messages, default=self.last_sequence + 1),
            "last_seq": self.last_sequence,
            "consumer_count": len(self.readers),
        }
        return {"config": dict(self._config), "state": state, "created": "2026-11-24T12:00:00Z"}


class _Pull(Struct, kw_only=True):
    left: int
    until: float
    deliver: Back


class Reader:
    """An ordered consumer that acknowledges nothing: it is lost with its server's memory."""

    def __init__(self, stream: Stream, name: str, config: Mapping[str, Any]) -> None:
        self._stream = stream
        self._name = name
        self._next: int = config["opt_start_seq"]
        self._patterns: list[str] = config.get("filter_subjects") or [">"]
        self._pulls: list[_Pull] = []
        self._delivered = 0

    def pull(self, body: bytes, now: float, deliver: Back) -> None:
        """Take a request for messages."""
        told = msgspec.json.decode(body, type=dict[str, int])
        until = now + told["expires"] / _NANO
        self._pulls.append(_Pull(left=told["batch"], until=until, deliver=deliver))
        self.pump()

    def pump(self) -> None:
        """Hand over what there is for who waits."""
        while self._pulls and self._next <= self._stream.last_sequence:
            found = next(self._stream.of(self._patterns, self._next), None)
            if found is None:
                self._next = self._stream.last_sequence + 1
                return
            self._next = found.sequence + 1
            self._delivered += 1
            place = f"{self._delivered}.{found.sequence}.{self._delivered}.0.0"
            pull = self._pulls[0]
            reply = f"$JS.ACK.{self._stream.name}.{self._name}.{place}"
            pull.deliver(found.headers, found.body, reply, found.subject)
            pull.left -= 1
            if not pull.left:
                self._pulls.pop(0)

    def beat(self, now: float) -> None:
        """Say that the server lives, or that a request has waited long enough."""
        for pull in self._pulls:
            over = pull.until <= now
            status = {
                "Nats-Pending-Messages": str(pull.left),
                "Nats-Last-Consumer": str(self._delivered),
                "Status": EXPIRED if over else HEARTBEAT,
            }
            pull.deliver(status, b"", "")
        self._pulls = [each for each in self._pulls if each.until > now]


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject is one of a pattern's."""
    if pattern == subject:
        return True
    if "*" not in pattern and ">" not in pattern:
        return False
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(
        each in ("*", word) for each, word in zip(wanted, words, strict=True)
    )


def _error(code: int) -> dict[str, Any]:
    return {"error": {"code": 400, "err_code": code, "description": f"refused: {code}"}}
