"""Journal frames: 4-byte little-endian length, then one event as UTF-8 JSON.

The journal callback loads this file by path inside the playbook's own Python, also within an
execution environment: it imports the standard library only and nothing of ours.
"""

from __future__ import annotations

import errno
import functools
import json
import math
import os
import re
import struct
import time
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from pathlib import Path

HEADER = struct.Struct("<I")
MASK = "$encrypted$"
"""What stands where a secret was: AWX's word."""
REPLACEMENT = "\ufffd"

FULL_PAUSE_S = 0.2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""The numbers of an OSError that a full disk raises."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_NUMBER_DIGITS_MIN = 6
_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

IDENTITY = frozenset(
    {
        "event",
        "uuid",
        "parent_uuid",
        "created",
        "host",
        "playbook_uuid",
        "play_uuid",
        "task_uuid",
        "task_action",
        "resolved_action",
        "status",
    }
)
"""Keys whose values name things that are known in the open.

A short password must not break them.
"""

Default = Callable[[object], object]


class Mask:
    """Replace known secret values.

    ``variants`` are literal texts, masked longest first in one pass.
    """

    def __init__(self, variants: Iterable[str]) -> None:
        """Take the texts to mask."""
        self.variants = tuple(sorted(set(variants), key=lambda each: (-len(each), each)))
        # Searched one by one with `in`: for a few dozen literals that is far cheaper than one
        # pattern.
        self._escaped = tuple({_dumps(each)[1:-1] for each in self.variants})
        self._pattern = re.compile("|".join(map(re.escape, self.variants)) or r"(?!)")

    def text(self, text: str) -> str:
        """Return the text with every known secret masked."""
        if any(each in text for each in self.variants):
            return self._pattern.sub(MASK, text)
        return text

    def hits(self, encoded: str) -> bool:
        """Tell whether JSON text as written by ``encode`` may hold a secret."""
        return any(each in encoded for each in self._escaped)

    def value(self, value: object, key: str = "") -> object:
        """Return a JSON value with secrets masked in its texts, keys and long numbers."""
        if isinstance(value, str):
            return value if key in IDENTITY else self.text(value)
        if isinstance(value, dict):
            return {
                str(name) if str(name) in IDENTITY else self.text(str(name)): self.value(
                    each, str(name)
                )
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.value(each, key) for each in value]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and len(str(value)) >= _NUMBER_DIGITS_MIN and str(value) in self.variants:
            return MASK
        return value


def load_mask(path: str) -> Mask:
    """Read the variants (a JSON list) and remove the file.

    A secret lies about no longer than needed.
    """
    source = Path(path)
    variants = json.loads(source.read_text(encoding="utf-8"))
    source.unlink()
    return Mask(variants)


def encode(
    event: dict[str, object], mask: Mask | None = None, default: Default | None = None
) -> str:
    """Return an event as JSON text that any strict reader takes: no NaN, no NUL, secrets masked."""
    try:
        text = _encoder(default).encode(event)
    except (TypeError, ValueError):
        text = _dumps(_plain(event, default))
    if "\\u0000" in text:
        text = _ESCAPED_NUL.sub(r"\g<1>" + REPLACEMENT, text)
    if mask is not None and mask.hits(text):
        text = _dumps(mask.value(json.loads(text)))
    return text


def with_output(encoded: str, output: str, mask: Mask | None = None) -> bytes:
    """Return a frame's body: an encoded event plus what was printed while it happened.

    ``stdout`` is as a terminal shows it (lines end in CR LF, none behind the last); ``_lines``
    counts the line ends before that trimming: ``start_line`` and ``end_line`` follow from it.
    """
    if mask is not None:
        output = mask.text(output)
    lines = output.count("\n")
    shown = output.replace("\0", REPLACEMENT).replace("\n", "\r\n").rstrip("\r\n")
    return to_bytes(f'{encoded[:-1]},"stdout":{encode_basestring(shown)},"_lines":{lines}}}')


def to_bytes(text: str) -> bytes:
    """Return UTF-8; lone surrogates, which no strict JSON reader takes, are replaced."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(REPLACEMENT, text).encode()


def open_journal(path: str) -> int:
    """Open a journal for appending; several processes may."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def full_mark(journal: Path) -> Path:
    """Return the file that is there while a journal is not to grow."""
    return journal.with_name(f"{journal.name}.full")


def wait_for_room(mark: Path) -> None:
    """Wait while a journal is not to grow."""
    while mark.exists():
        time.sleep(FULL_PAUSE_S)


def append(journal: int, body: bytes) -> None:
    """Append one frame with one write.

    Other writers' frames come before or after it, never within. On a full disk it waits for room:
    the play stands still, no event is left out.
    """
    frame = HEADER.pack(len(body)) + body
    written = _write(journal, frame)
    while written < len(frame):
        written += _write(journal, frame[written:])


def _write(journal: int, data: bytes) -> int:
    while True:
        try:
            return os.write(journal, data)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            time.sleep(FULL_PAUSE_S)


@functools.lru_cache(maxsize=8)
def _encoder(default: Default | None) -> json.JSONEncoder:
    """Return an encoder; making one costs as much as encoding an event."""
    return json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=default
    )


def _dumps(value: object) -> str:
    return _PLAIN.encode(value)


def _plain(value: object, default: Default | None) -> object:
    """Return what strict JSON can carry; what it cannot becomes its text."""
    if isinstance(value, dict):
        return {str(key): _plain(each, default) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, default) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        return _plain(default(value), default) if default else str(value)
    except (TypeError, ValueError):
        return str(value)
