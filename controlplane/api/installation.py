"""What tells one installation from another: the same on every node and after every rebuild."""

from __future__ import annotations

import uuid

from controlplane.shell.read_model import View
from ops import clock

_SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "installation.playlog")
_FIRST = 'select min(t."created") from "credential_type" t where t."managed"'


async def install_uuid(view: View) -> str:
    """Return INSTALL_UUID: it follows from the moment at which the first objects were made."""
    seeded = await view.value(_FIRST)
    return str(uuid.uuid5(_SPACE, clock.iso(seeded) or ""))
