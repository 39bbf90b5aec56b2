"""The simulated nats-server: JetStream's API over its streams, and what its messages mean."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from controlplane.domain.job import INITIAL, JobState, evolve
from ops import provision
from schemas import envelope, streams, subjects
from schemas.envelope import Recorded
from schemas.output import AttemptFinished, Frame, StoredReport
from tests.simulation.invariants import Key, Violation, Witness
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.streams import MISSING, Back, Headers, Reader, Stored, Stream, matches
from tests.simulation.work import Work

TICK_S = 0.5
BEAT_S = 1.0
END_OF_BATCH = "204"
_API = "$JS.API."


class Server(Process):
    """Everything that is durable, in one place; it is out of reach at times, and loses nothing."""

    near = True

    def __init__(self, scheduler: Scheduler, witness: Witness) -> None:
        super().__init__(scheduler, "server")
        self._witness = witness
        self.away = False
        """Nobody reaches it."""
        self.stale: Callable[[], bool] = lambda: False
        """Whether a replica that lags answers now."""
        self.work = Work(lambda: self.scheduler.now)
        configs = [provision.stream_config(each, 1) for each in streams.STREAMS]
        configs += [provision.bucket_config(each, 1) for each in streams.BUCKETS]
        self.streams = {
            each["name"]: Stream(each, lambda: self.scheduler.now)
            for each in configs
            if each["name"] != streams.WORK.name
        }
        self._by_word: dict[str, Stream] = {}
        self.recorded: dict[str, list[Recorded]] = {"JOBS": [], "CONFIG": []}
        """The transactions of the log."""
        self.states: dict[int, JobState] = {}
        self.written: dict[Key, list[str]] = defaultdict(list)
        """The uuids of each attempt's stored events, in order."""
        self._verbs = {
            "CONSUMER.MSG.NEXT": self._pull,
            "CONSUMER.CREATE": self._make,
            "CONSUMER.DELETE": self._delete,
            "DIRECT.GET": self._get,
            "STREAM.MSG.GET": self._get_at_leader,
            "STREAM.INFO": self._info,
            "STREAM.PURGE": self._purge,
        }

    def boot(self) -> None:
        """Look after who waits."""
        self.after(TICK_S, self._tick)
        self.after(BEAT_S, self._beat)

    def crash(self) -> None:
        """What it has stored outlives any death; a message lost on the way is as good as one."""

    def restart(self) -> None:
        """Forget what only its memory held."""
        self.work.forget_pulls()
        for stream in self.streams.values():
            stream.readers.clear()

    def _tick(self) -> None:
        if not self.away:
            self.work.offer()
            self.work.expire()
        self.after(TICK_S, self._tick)

    def _beat(self) -> None:
        for stream in self.streams.values():
            for reader in stream.readers.values():
                reader.beat(self.scheduler.now)
        self.after(BEAT_S, self._beat)

    # -- what it is asked --------------------------------------------------------------------

    def takes(self, subject: str) -> bool:
        """Tell whether a subject is the server's own, or a stream's."""
        return subject.startswith(("$JS.", "work.")) or self._stream_of(subject) is not None

    def serve(self, subject: str, body: bytes, headers: Headers, back: Back | None) -> None:
        """Do what a message asks for."""
        tell: Back = back or (lambda *_: None)
        if subject.startswith("$JS.ACK."):
            self.work.acknowledge(subject, body)
            tell({}, b"", "")
        elif subject.startswith("work."):
            number = self.work.put(headers.get("Nats-Msg-Id", ""), subject, body)
            _say(tell, {"stream": streams.WORK.name, "seq": number})
        elif subject.startswith(_API):
            asked = subject.removeprefix(_API)
            verb = next(each for each in self._verbs if asked.startswith(each))
            self._verbs[verb](asked.removeprefix(f"{verb}."), body, tell)
        else:
            _say(tell, self.put(subject, body, headers))

    def put(self, subject: str, body: bytes, headers: Headers) -> dict[str, Any]:
        """Store a message, learn what it says, and hand it to who reads."""
        stream = self._stream_of(subject)
        assert stream is not None, subject
        told, stored = stream.put(subject, body, headers)
        if stored is not None:
            self._learn(stream.name, stored)
            for reader in list(stream.readers.values()):
                self.after(0.0, reader.pump)
        return told

    def keep(self, content: bytes) -> None:
        """Have content in BLOBS."""
        subject = subjects.content(hashlib.sha256(content).hexdigest(), "end")
        self.put(subject, content, {"Playlog-Chunks": "1"})

    def _stream_of(self, subject: str) -> Stream | None:
        word = ".".join(subject.split(".")[: 2 if subject.startswith("$KV.") else 1])
        if word not in self._by_word:
            for stream in self.streams.values():
                if any(matches(pattern, subject) for pattern in stream.patterns):
                    self._by_word[word] = stream
        return self._by_word.get(word)

    # -- the API -----------------------------------------------------------------------------

    def _pull(self, place: str, body: bytes, tell: Back) -> None:
        stream, name = place.split(".")
        if stream == streams.WORK.name:
            self.work.pull(name, body, tell)
            return
        reader = self.streams[stream].readers.get(name)
        if reader is None:
            tell({"Status": "503"}, b"", "")
        else:
            reader.pull(body, self.scheduler.now, tell)

    def _make(self, place: str, body: bytes, tell: Back) -> None:
        stream, _, name = place.partition(".")
        config = msgspec.json.decode(body)["config"]
        if stream == streams.WORK.name:
            self.work.make(config["name"], config["filter_subject"])
        else:
            readers = self.streams[stream].readers
            readers[name] = Reader(self.streams[stream], name, config)
        _say(tell, {"name": name})

    def _delete(self, place: str, _body: bytes, tell: Back) -> None:
        stream, name = place.split(".")
        self.streams[stream].readers.pop(name, None)
        _say(tell, {"success": True})

    def _get(self, place: str, body: bytes, tell: Back) -> None:
        name, _, subject = place.partition(".")
        stream = self.streams[name]
        asked = msgspec.json.decode(body) if body else {"last_by_subj": subject}
        if "batch" in asked:
            self._get_many(stream, asked, tell)
            return
        found = _found(stream, asked, stale=self.stale())
        if found is None:
            tell({"Status": MISSING}, b"", "")
        else:
            tell(found.answer(), found.body, "")

    def _get_many(self, stream: Stream, asked: dict[str, Any], tell: Back) -> None:
        if "multi_last" in asked:
            latest = {each.subject: each for each in stream.of(asked["multi_last"], 1)}
            found = sorted(latest.values(), key=lambda each: each.sequence)
        else:
            found = list(stream.of([asked["next_by_subj"]], asked["seq"]))
        if self.stale():
            found = found[:-1]
        if not found:
            tell({"Status": MISSING}, b"", "")
            return
        for each in found[: asked["batch"]]:
            tell(each.answer(), each.body, "")
        pending = max(0, len(found) - asked["batch"])
        tell({"Status": END_OF_BATCH, "Nats-Num-Pending": str(pending)}, b"", "")

    def _get_at_leader(self, place: str, body: bytes, tell: Back) -> None:
        found = _found(self.streams[place], msgspec.json.decode(body), stale=False)
        if found is None:
            error = {"code": 404, "err_code": 10037, "description": "no message found"}
            _say(tell, {"error": error})
        else:
            data = base64.b64encode(found.body).decode()
            told = {"subject": found.subject, "seq": found.sequence, "data": data}
            told["time"] = "2026-11-24T12:00:00Z"
            _say(tell, {"message": told})

    def _info(self, place: str, _body: bytes, tell: Back) -> None:
        _say(tell, self.streams[place].info())

    def _purge(self, place: str, body: bytes, tell: Back) -> None:
        asked = msgspec.json.decode(body)
        self.streams[place].purge(asked["filter"], asked.get("seq", 0))
        _say(tell, {"success": True})

    # -- what its messages mean --------------------------------------------------------------

    def _learn(self, stream: str, stored: Stored) -> None:
        if stream in self.recorded:
            self._record(stream, stored)
        elif stream == streams.OUTPUT.name:
            self._frame(stored)
        elif stream == streams.REPORTS.name:
            self._report(stored)

    def _record(self, stream: str, stored: Stored) -> None:
        wire = envelope.decode_wire(stored.body)
        record = envelope.recorded(stored.sequence, stored.subject, wire, wire.events)
        self.recorded[stream].append(record)
        names = ", ".join(type(each).__name__ for each in record.events)
        self.scheduler.tell(f"stored: {stored.subject} {names} by {record.context.actor.name}")
        if stream == "CONFIG":
            self._witness.configured(record)
            return
        job = subjects.parse_job(record.subject)
        for event in record.events:
            before = self.states.get(job, INITIAL)
            after = evolve(before, event)  # type: ignore[arg-type]  # JOBS holds JobEvents
            self.states[job] = after
            self._witness.moved(job, before, after, self.states)

    def _frame(self, stored: Stored) -> None:
        """A frame is stored: its events follow those before it, each once."""
        frame = msgspec.json.decode(stored.body, type=Frame)
        written = self.written[frame.job, frame.attempt]
        counters = [each.counter for each in frame.events]
        if counters != list(range(len(written) + 1, len(written) + 1 + len(counters))):
            name = f"{frame.job}-{frame.attempt}"
            raise Violation(f"{name}: events {counters} are stored behind {len(written)} events")
        written += [each.uuid for each in frame.events]

    def _report(self, stored: Stored) -> None:
        report = msgspec.json.decode(stored.body, type=StoredReport).report
        attempt = subjects.parse_attempt(stored.subject)
        if isinstance(report, AttemptFinished):
            self._witness.reported[attempt.job, attempt.attempt] = self.scheduler.now


def _found(stream: Stream, asked: dict[str, Any], *, stale: bool) -> Stored | None:
    if "last_by_subj" in asked:
        return stream.last(asked["last_by_subj"], stale=stale)
    if "next_by_subj" in asked:
        return next(stream.of([asked["next_by_subj"]], asked["seq"]), None)
    return stream.at(asked["seq"])


def _say(tell: Back, told: dict[str, Any]) -> None:
    tell({}, msgspec.json.encode(told), "")
