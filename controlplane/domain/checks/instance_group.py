"""Rules of instance groups (``api.md`` 3.36)."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.domain.checks.draft import Draft
from controlplane.domain.errors import Denied
from controlplane.domain.facts import Facts, Row

SYSTEM_GROUPS = frozenset({"default", "controlplane"})
CONTAINER_FIRST = (
    "is_container_group must be True when associating a credential to an Instance Group"
)
KUBERNETES_ONLY = "Only Kubernetes credentials can be associated with an Instance Group"


def check(draft: Draft, facts: Facts) -> None:
    """Keep the system's groups as they are; check the credential and the named instances."""
    before, values = draft.before, draft.values
    if before is not None and before["name"] in SYSTEM_GROUPS:
        for name in ("name", "is_container_group"):
            if draft.changed(name):
                subject = "instance group name" if name == "name" else name
                draft.error(name, f"{before['name']} {subject} may not be changed.")
    if values["credential"] is not None:
        _credential(draft, facts)
    if draft.changed("policy_instance_list"):
        for hostname in values["policy_instance_list"]:
            known = isinstance(hostname, str) and facts.find("instance", ("hostname",), (hostname,))
            if not known:
                text = f"{hostname} is not a valid hostname of an existing instance."
                draft.error("policy_instance_list", text)


def _credential(draft: Draft, facts: Facts) -> None:
    if not draft.values["is_container_group"]:
        draft.error("credential", CONTAINER_FIRST)
        return
    credential = facts.row("credential", draft.values["credential"])
    if credential is not None and not credential["kubernetes"]:
        draft.error("credential", KUBERNETES_ONLY)


def delete(_object_id: int, row: Row, _facts: Facts) -> Iterable[str]:
    """Refuse to remove the groups that the system places jobs in."""
    if row["name"] in SYSTEM_GROUPS:
        raise Denied
    return ()
