"""The inventory as Ansible reads it fastest, and the hosts' facts in and out.

An executable that prints JSON costs Ansible an eighth of what the same inventory costs as YAML.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runners import facts, large_inventory, slicing
from runners.preparation import Preparation, Unrunnable
from runners.spec import INVENTORY_FILE, write_private

_SCRIPT = """#!/bin/sh
exec cat "$(dirname "$0")/hosts.json"
"""
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
        job.fact_hosts = hosts_of((directory / "hosts.json").read_bytes()).counted
        facts.give(job, job.fact_hosts)


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
    """Collect the facts that this run changed, of hosts as they were given: the job writes here."""
    if job.invocation.fact_cache is not None:
        facts.collect(job, job.fact_hosts)


class Hosts(msgspec.Struct, frozen=True):
    """Host name to id, as an inventory's JSON says it."""

    ids: Mapping[str, int] = {}
    """The inventory's own hosts (``remote_tower_id``)."""
    originals: Mapping[str, int] | None = None
    """Of a constructed inventory: the hosts that its own stand for."""

    @property
    def counted(self) -> Mapping[str, int]:
        """Return the hosts that recaps count on and whose facts are kept."""
        return self.ids if self.originals is None else self.originals


def hosts_of(inventory: bytes) -> Hosts:
    """Return the hosts of an inventory's JSON; none where it cannot be read."""
    try:
        meta = msgspec.json.decode(inventory, type=_Inventory).meta
    except msgspec.DecodeError:
        return Hosts()
    found = {name: each.remote_tower_id for name, each in meta.hostvars.items()}
    known = {name: each for name, each in found.items() if each is not None}
    return Hosts(known, meta.originals)


class _Host(msgspec.Struct, frozen=True):
    remote_tower_id: int | None = None


class _Meta(msgspec.Struct, frozen=True):
    hostvars: dict[str, _Host] = {}
    originals: dict[str, int] | None = None


class _Inventory(msgspec.Struct, frozen=True):
    meta: _Meta = msgspec.field(default=_Meta(), name="_meta")
