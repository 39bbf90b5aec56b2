"""One slice of an inventory: every n-th host of it, and the groups with those alone (pure)."""

from __future__ import annotations

from typing import Any

import msgspec

_META = "_meta"
_ORIGINALS = "originals"
_decoder = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])
_names = msgspec.json.Decoder(list[str])
_variables = msgspec.json.Decoder(dict[str, msgspec.Raw])


def one_of(inventory: bytes, number: int, count: int) -> bytes:
    """Return slice ``number`` (1..) of ``count``: host number, number + count, ... by their order.

    Variables stay undecoded. Raises msgspec.DecodeError.
    """
    content = _decoder.decode(inventory)
    meta = content.get(_META, {})
    hostvars = _variables.decode(meta.get("hostvars", b"{}"))
    chosen = [*hostvars][number - 1 :: count]
    kept = set(chosen)
    sliced: dict[str, Any] = {
        name: _group(entry, kept) for name, entry in content.items() if name != _META
    }
    sliced[_META] = {**meta, "hostvars": {host: hostvars[host] for host in chosen}}
    if _ORIGINALS in meta:
        originals = _variables.decode(meta[_ORIGINALS])
        sliced[_META][_ORIGINALS] = {host: originals[host] for host in chosen if host in originals}
    return msgspec.json.encode(sliced)


def _group(entry: dict[str, msgspec.Raw], kept: set[str]) -> dict[str, Any]:
    if "hosts" not in entry:
        return dict(entry)
    return {**entry, "hosts": [host for host in _names.decode(entry["hosts"]) if host in kept]}
