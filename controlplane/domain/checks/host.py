"""Rules of hosts (``api.md`` 3.15)."""

from __future__ import annotations

import msgspec

from controlplane.domain import extra_vars
from controlplane.domain.checks.draft import Draft
from controlplane.domain.checks.inventory import refuse_computed
from controlplane.domain.facts import Facts

PORT_MAX = 65535


def check(draft: Draft, facts: Facts) -> None:
    """Move an inline port into the variables; refuse the name of a group of the same inventory."""
    refuse_computed(draft, facts, "Host")
    if not draft.changed("name"):
        return
    name = draft.values["name"]
    _take_port(draft)
    if facts.find("group", ("name", "inventory"), (name, draft.values["inventory"])):
        draft.error("__all__", "A Group with that name already exists.")


def _take_port(draft: Draft) -> None:
    """``web:2222`` is the host ``web`` with the variable ``ansible_ssh_port``.

    IPv6 is left alone.
    """
    if draft.values["name"].count(":") != 1:
        return
    name, port = draft.values["name"].split(":")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= PORT_MAX):
        draft.error("name", f"Invalid port specification: {port}")
        return
    if not name:
        draft.error("name", "This field may not be blank.")
        return
    variables = extra_vars.parse(draft.values["variables"])
    variables["ansible_ssh_port"] = int(port)
    draft.values["name"] = name
    draft.values["variables"] = msgspec.json.encode(variables, enc_hook=str).decode()
