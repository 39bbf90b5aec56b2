"""The inventory as Ansible reads it fastest, and the hosts' facts in and out.

An executable that prints JSON costs Ansible an eighth of what the same inventory costs as YAML.
Facts travel in the format of ansible-core's jsonfile cache: ``s1_<host>`` holding ``{"__payload__":
"<json>"}``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from runners import large_inventory, slicing
from runners.preparation import Preparation, Unrunnable
from runners.spec import FACTS_FILE, FACTS_OUT_FILE, INVENTORY_FILE, write_private

_SCRIPT = """#!/bin/sh
exec cat "$(dirname "$0")/hosts.json"
"""
_PREFIX = "s1_"
LARGE_BYTES = 100_000
"""An inventory of this size takes Ansible noticeably longer to read as it does."""


def prepare(job: Preparation) -> None:
    """Write the inventory script and the facts known before. Raises Unrunnable."""
    source = job.dir / INVENTORY_FILE
    directory = job.dir / "inventory"
    if not source.exists():
        raise Unrunnable("The inventory is not on this runner")
    if job.spec.slice_count > 1 and job.spec.slice_number:
        whole = source.read_bytes()
        content = slicing.one_of(whole, job.spec.slice_number, job.spec.slice_count)
        write_private(directory / "hosts.json", content)
    else:
        shutil.copyfile(source, directory / "hosts.json")
    write_index(directory)
    write_private(directory / "hosts", _SCRIPT.encode(), mode=0o700)
    job.invocation.inventory = directory / "hosts"
    if job.spec.use_fact_cache:
        job.invocation.fact_cache = job.dir / "fact_cache"
        _write_facts(job.dir / FACTS_FILE, job.invocation.fact_cache)


def write_index(directory: Path) -> None:
    """Take a large inventory apart, for Ansible to decode only what a job asks for."""
    source = directory / "hosts.json"
    if source.stat().st_size < LARGE_BYTES:
        return
    try:
        listing = msgspec.json.decode(source.read_bytes(), type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(listing.pop("_meta"), type=_Variables)
        groups = {
            name: msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            for name, raw in listing.items()
        }
        members = {
            name: msgspec.json.decode(group["hosts"], type=list[str])
            for name, group in groups.items()
            if "hosts" in group
        }
    except (msgspec.DecodeError, KeyError):
        return  # Ansible says what is wrong with it
    spans, pieces, end = {}, [], 0
    for name in dict.fromkeys(host for names in members.values() for host in names):
        piece = bytes(meta.hostvars.get(name, b"{}"))
        spans[name] = (end, end + len(piece))
        pieces.append(piece)
        end += len(piece)
    bare = {name: {**group, "hosts": msgspec.Raw(b"[]")} for name, group in groups.items()}
    index = msgspec.json.encode({"groups": bare, "members": members, "hosts": spans})
    (directory / large_inventory.VARS_FILE).write_bytes(b"".join(pieces))
    (directory / large_inventory.INDEX_FILE).write_bytes(index)


class _Variables(msgspec.Struct, frozen=True):
    hostvars: dict[str, msgspec.Raw] = {}


def cleanup(job: Preparation) -> None:
    """Collect the facts that this run gathered."""
    cache = job.invocation.fact_cache
    if cache is not None and cache.is_dir():
        content = json.dumps(read_facts(cache), ensure_ascii=True).encode()
        write_private(job.dir / FACTS_OUT_FILE, content)


def host_ids(inventory: bytes) -> dict[str, int]:
    """Return host name to host id, where the inventory's JSON says it (``remote_tower_id``)."""
    try:
        hostvars = msgspec.json.decode(inventory, type=_Inventory).meta.hostvars
    except msgspec.DecodeError:
        return {}
    found = {name: each.remote_tower_id for name, each in hostvars.items()}
    return {name: each for name, each in found.items() if each is not None}


def read_facts(cache: Path) -> dict[str, dict[str, Any]]:
    """Return facts by host from a cache directory.

    The environment of a host is left out, it holds secrets.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(cache.iterdir()):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            facts = json.loads(stored["__payload__"]) if "__payload__" in stored else stored
        except (OSError, ValueError, TypeError):
            continue
        if isinstance(facts, dict):
            facts.pop("ansible_env", None)
            found[unquote(path.name.removeprefix(_PREFIX))] = _untagged(facts)
    return found


def _untagged(value: Any) -> Any:
    """Return plain JSON: ansible-core keeps where a value came from beside it."""
    if isinstance(value, dict):
        if "__ansible_type" in value and "value" in value:
            return _untagged(value["value"])
        return {name: _untagged(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_untagged(each) for each in value]
    return value


def _write_facts(source: Path, cache: Path) -> None:
    cache.mkdir(mode=0o700, exist_ok=True)
    if not source.exists():
        return
    facts = msgspec.json.decode(source.read_bytes(), type=dict[str, dict[str, Any]])
    for host, known in facts.items():
        if host and "/" not in host and not host.startswith("."):
            payload = json.dumps({"__payload__": json.dumps(known)})
            write_private(cache / f"{_PREFIX}{quote(host, safe='[]:@.-_ ')}", payload.encode())


class _Host(msgspec.Struct, frozen=True):
    remote_tower_id: int | None = None


class _Meta(msgspec.Struct, frozen=True):
    hostvars: dict[str, _Host] = {}


class _Inventory(msgspec.Struct, frozen=True):
    meta: _Meta = msgspec.field(default=_Meta(), name="_meta")
