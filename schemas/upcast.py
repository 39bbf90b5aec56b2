"""Old event shapes to the newest one, applied while decoding.

``UPCASTERS`` maps an old tag to its next tag and a pure function over the decoded JSON object. An
entry is added when a tag's shape changes and is never removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

type_object = dict[str, Any]
Upcaster = tuple[str, Callable[[type_object], type_object]]

UPCASTERS: dict[str, Upcaster] = {}


def newest(tag: str, data: msgspec.Raw) -> tuple[str, msgspec.Raw]:
    """Follow the chain of upcasters from a stored tag to its newest one."""
    while (step := UPCASTERS.get(tag)) is not None:
        tag, change = step
        data = msgspec.Raw(msgspec.json.encode(change(msgspec.json.decode(data))))
    return tag, data
