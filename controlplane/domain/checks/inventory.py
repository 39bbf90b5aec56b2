"""Rules of inventories, plain, smart and constructed (``api.md`` 3.13, 3.14)."""

from __future__ import annotations

from controlplane.domain import host_filter
from controlplane.domain.checks.draft import Companion, Draft, Relation
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts
from schemas.events.resource import ResourceCreated
from schemas.resource import RESOURCES

KIND_CHANGE = 'You cannot turn a regular inventory into a "smart" or "constructed" inventory.'
NO_FILTER = "Smart inventories must specify host_filter"
NESTED = "You cannot add a constructed inventory to another constructed inventory."
NAME_MAX = 512
COMPUTED_KINDS = ("smart", "constructed")
"""Inventories whose hosts come from others."""


def check(draft: Draft, _facts: Facts) -> None:
    """An inventory stays of its kind; a smart one has a host filter, others take and drop it."""
    if not draft.creating and draft.changed("kind"):
        raise Refused({"error": KIND_CHANGE}, 405)
    if draft.values["kind"] != "smart":
        draft.values["host_filter"] = None
        return
    text = draft.values["host_filter"]
    if not text:
        draft.error("host_filter", NO_FILTER)
        return
    try:
        host_filter.parse(text)
    except host_filter.NotAFilter as error:
        draft.error("host_filter", str(error))


def link(relation: Relation, _facts: Facts) -> None:
    """Refuse a constructed inventory among the inputs of another."""
    if relation.related.name != "input_inventories":
        return
    target = relation.target_row
    if target is not None and target["kind"] == "constructed":
        raise Refused({"error": NESTED})


def own_source(draft: Draft, companion: Companion) -> ResourceCreated:
    """Return the one source of a new constructed inventory."""
    fields = RESOURCES["inventory_source"].fields
    values = {name: field.default for name, field in fields.items()}
    own = {
        "name": f"Auto-created source for: {draft.values['name']}"[:NAME_MAX],
        "source": "constructed",
        "inventory": draft.id,
        **dict.fromkeys(("overwrite", "overwrite_vars", "update_on_launch"), True),
    }
    values |= {**own, **companion.values}
    return ResourceCreated(kind="inventory_source", id=companion.id, values=values)


def refuse_computed(draft: Draft, facts: Facts, verbose: str) -> None:
    """Note that nothing is put by hand into an inventory whose hosts come from others."""
    inventory = facts.row("inventory", draft.values["inventory"])
    if draft.creating and inventory is not None and inventory["kind"] in COMPUTED_KINDS:
        text = f"Cannot create {verbose} for Smart or Constructed Inventories"
        draft.errors["inventory"] = {"detail": text}
