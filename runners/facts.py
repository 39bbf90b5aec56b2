"""Facts of hosts: what is known before a run, given to Ansible's cache, and what the run changed.

ansible-core 2.19 keeps a host's facts in ``s1_<host>`` as ``{"__payload__": "<json>"}``, older ones
in ``<host>`` as they are: both are written, and whichever Ansible has changed is read. Facts travel
as content of BLOBS by digest: ``{"<host id>": {"name": ..., "facts": {...}}}``, facts null where
they were cleared. A job is given a list of such contents, with the hosts to take from each.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from runners.preparation import Preparation
from runners.spec import FACTS_DIR, FACTS_FILE, FACTS_OUT_FILE, write_private

HOST_BYTES_MAX = 16 << 20
"""More than this is not taken for the facts of one host."""
_PREFIX = "s1_"
_PAYLOAD = "__payload__"
_SAFE = "[]:@.-_ "
ENVIRONMENT = "ansible_env"
"""A host's environment holds secrets: it is kept nowhere."""


_CLEARED = msgspec.Raw(b"null")


class Kept(Struct, frozen=True):
    """One host's facts, undecoded; JSON's null where a run cleared them."""

    name: str
    facts: msgspec.Raw = _CLEARED


Manifest = dict[str, tuple[int, ...]]
"""sha256 of content to the ids of the hosts whose facts are taken from it."""
_manifest = msgspec.json.Decoder(Manifest)
_content = msgspec.json.Decoder(dict[str, Kept])


def contents(manifest: bytes) -> tuple[str, ...]:
    """Return the digests that a list of facts names. Raises msgspec.DecodeError."""
    return tuple(_manifest.decode(manifest))


def give(job: Preparation, hosts: Mapping[str, int]) -> None:
    """Write what is known of the job's hosts into its cache."""
    cache = job.dir / "fact_cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    job.invocation.fact_cache = cache
    # What is too old was left out before; Ansible's own limit would go by the files' times.
    job.invocation.env.setdefault("ANSIBLE_CACHE_PLUGIN_TIMEOUT", "0")
    path = job.dir / FACTS_FILE
    if not path.exists():
        return
    wanted = {number: name for name, number in hosts.items() if _is_file_name(name)}
    for digest, numbers in _manifest.decode(path.read_bytes()).items():
        source = job.dir / FACTS_DIR / digest
        if not source.exists():
            continue
        known = _content.decode(source.read_bytes())
        for number in numbers:
            kept = known.get(str(number))
            if number in wanted and kept is not None and kept.facts != _CLEARED:
                job.facts_given[wanted[number]] = _write(cache, wanted[number], kept.facts)


def collect(job: Preparation, hosts: Mapping[str, int]) -> None:
    """Store which hosts' facts the run has changed, or cleared; nothing where it did neither."""
    cache = job.invocation.fact_cache
    if cache is None or not cache.is_dir():
        return
    found: dict[str, dict[str, Any]] = {}
    for name, number in hosts.items():
        if not _is_file_name(name):
            continue
        changed, facts = _changed(cache, name, job.facts_given.get(name))
        if changed:
            masked = None if facts is None else job.mask.value(facts)
            found[str(number)] = {"name": name, "facts": masked}
    if found:
        content = json.dumps(found, ensure_ascii=True, sort_keys=True).encode()
        write_private(job.dir / FACTS_OUT_FILE, content)


def digest_of(job_dir: Path) -> str:
    """Return the sha256 of the facts that a run changed; empty for none."""
    try:
        return hashlib.sha256((job_dir / FACTS_OUT_FILE).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _write(cache: Path, name: str, facts: msgspec.Raw) -> str:
    """Write a host's facts in both forms; returns what tells whether they change."""
    text = bytes(facts).decode()
    payload = json.dumps({_PAYLOAD: text}).encode()
    write_private(cache / f"{_PREFIX}{quote(name, safe=_SAFE)}", payload)
    write_private(cache / name, text.encode())
    return _mark(json.loads(text))


def _changed(cache: Path, name: str, given: str | None) -> tuple[bool, Any]:
    """Return whether a host's facts are others than were given, and what they are now."""
    present = 0
    for path in (cache / f"{_PREFIX}{quote(name, safe=_SAFE)}", cache / name):
        try:
            stored = json.loads(_content_of(path))
            facts = json.loads(stored[_PAYLOAD]) if _PAYLOAD in stored else stored
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, RecursionError):
            present += 1
            continue
        present += 1
        if isinstance(facts, dict):
            facts.pop(ENVIRONMENT, None)
            plain = _plain(facts)
            if _mark(plain) != given:
                return True, plain
    return given is not None and present < 2, None  # noqa: PLR2004 - both forms were written


def _content_of(path: Path) -> bytes:
    """Return what a cache's file holds; a job may have put a link or anything else in its place.

    Raises OSError when it is no plain file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > HOST_BYTES_MAX:
            raise OSError(f"{path} holds no facts")
        return stream.read(HOST_BYTES_MAX)


def _plain(value: Any) -> Any:
    """Return what a database keeps: no tags of ansible-core, no NUL, no half of a character.

    JSON has no number that is not finite: there is null instead.
    """
    if isinstance(value, dict):
        if "__ansible_type" in value and "value" in value:
            return _plain(value["value"])
        return {_plain(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _mark(facts: Any) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_file_name(name: str) -> bool:
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".")
