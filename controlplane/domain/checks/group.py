"""Rules of groups (``api.md`` 3.16): no cycles, one inventory, and what a deletion takes along."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.domain.checks.draft import Draft, Relation
from controlplane.domain.checks.inventory import refuse_computed
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts, Object, Row

RESERVED = frozenset({"all", "_meta"})
CYCLE = "Cyclical Group association."
FOREIGN = "Cannot associate two items from different inventories."


def check(draft: Draft, facts: Facts) -> None:
    """Refuse Ansible's own names, and the name of a host of the same inventory."""
    refuse_computed(draft, facts, "Group")
    if not draft.changed("name"):
        return
    name = draft.values["name"]
    if name in RESERVED:
        draft.error("name", "Invalid group name.")
    elif facts.find("host", ("name", "inventory"), (name, draft.values["inventory"])):
        draft.error("__all__", "A Host with that name already exists.")


def link(relation: Relation, facts: Facts) -> None:
    """Refuse a member of another inventory, and a child that leads back to the group."""
    target = relation.target_row
    if target is None or target["inventory"] != relation.source_row["inventory"]:
        raise Refused({"detail": FOREIGN})
    if relation.related.name == "children" and _leads_to(relation.target, relation.id, facts):
        raise Refused({"error": CYCLE})


def delete(object_id: int, _row: Row, facts: Facts) -> Iterable[str]:
    """Return the keys of the descendants and hosts that go with a group.

    A descendant that is also below a group outside stays, with all below it; a host stays that is
    in a group which stays. ``projections/cascade.py`` says the same in SQL.
    """
    below = _below(object_id, facts)
    kept: set[int] = set()
    frontier = {
        child
        for child in below - {object_id}
        if _kept_by(facts.holders("group", "children", child), below, facts)
    }
    while frontier:
        kept |= frontier
        frontier = {
            child for each in frontier for child in facts.targets("group", "children", each)
        } - kept
    gone = below - kept
    hosts = {host for each in gone for host in facts.targets("group", "hosts", each)}
    orphans = {
        host for host in hosts if not _kept_by(facts.holders("group", "hosts", host), gone, facts)
    }
    return [
        *(Object("group", each).key for each in sorted(gone)),
        *(Object("host", each).key for each in sorted(orphans)),
    ]


def _kept_by(holders: Iterable[int], going: set[int], facts: Facts) -> bool:
    """Return whether a group that stays holds it; who deletes that one decides after this.

    Each of two deletions would leave it to the other otherwise, and neither name it as gone.
    """
    staying = set(holders) - going
    for each in staying:
        facts.row("group", each)
    return bool(staying)


def _below(group: int, facts: Facts) -> set[int]:
    """Return a group and its descendants."""
    found, frontier = {group}, [group]
    while frontier:
        for child in facts.targets("group", "children", frontier.pop()):
            if child not in found:
                found.add(child)
                frontier.append(child)
    return found


def _leads_to(start: int, goal: int, facts: Facts) -> bool:
    return goal in _below(start, facts)
