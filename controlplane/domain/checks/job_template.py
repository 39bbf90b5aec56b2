"""Rules of job templates (``api.md`` 3.19)."""

from __future__ import annotations

from typing import Any

from controlplane.domain.checks import webhook
from controlplane.domain.checks.draft import Draft, Relation
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Facts, Row

CREDENTIAL_KINDS = frozenset({"ssh", "vault", "net", "cloud", "kubernetes"})
NO_BRANCH = "Project does not allow overriding branch."


def check(draft: Draft, facts: Facts) -> None:
    """Check that the template can name what it runs; its organization is its project's."""
    values = draft.values
    project = facts.row("project", values["project"]) if values["project"] is not None else None
    if project is None:
        draft.error("project", "Job Templates must have a project assigned.")
        return
    values["organization"] = project["organization"]
    if values["inventory"] is None and not values["ask_inventory_on_launch"]:
        draft.error("inventory", "You must either set a default value or ask to prompt on launch.")
    _playbook(draft, project, facts)
    _branch(draft, project)
    if values["host_config_key"] and values["inventory"] is None:
        draft.error(
            "host_config_key", "Cannot enable provisioning callback without an inventory set."
        )
    webhook.check(draft, facts)
    forks_max = facts.setting("MAX_FORKS")
    if 0 < forks_max < values["forks"]:
        draft.error("forks", f"Maximum number of forks ({forks_max}) exceeded.")


def _playbook(draft: Draft, project: Row, facts: Facts) -> None:
    playbook = draft.values["playbook"]
    if not playbook:
        draft.error("playbook", "Must select playbook for project.")
        return
    if not (draft.changed("playbook") or draft.changed("project")) or project["allow_override"]:
        return
    known = facts.playbooks(draft.values["project"])
    if known is not None and playbook not in known:
        draft.error("playbook", "Playbook not found for project.")


def _branch(draft: Draft, project: Row) -> None:
    if project["allow_override"]:
        return
    for name in ("scm_branch", "ask_scm_branch_on_launch"):
        if draft.values[name] and draft.changed(name):
            draft.error(name, NO_BRANCH)


def link(relation: Relation, facts: Facts) -> None:
    """Take one credential of each kind that a playbook can use; vaults differ by their id."""
    if relation.related.name != "credentials" or relation.target_row is None:
        return
    wanted = _identity(relation.target_row, facts)
    for held in facts.targets(relation.kind, "credentials", relation.id):
        row = facts.row("credential", held)
        if row is not None and _identity(row, facts)[:2] == wanted[:2]:
            raise Refused({"error": f"Cannot assign multiple {wanted[2]} credentials."})
    kind = wanted[3]
    if kind not in CREDENTIAL_KINDS:
        raise Refused({"error": f"Cannot assign a Credential of kind `{kind}`."})


def _identity(credential: Row, facts: Facts) -> tuple[int, str, str, str]:
    """Return (type, vault id, shown name, kind): the first two may stand once on a template."""
    number: Any = credential["credential_type"]
    row = facts.row("credential_type", number) or {"kind": "", "name": ""}
    inputs = credential["inputs"]
    vault_id = str(inputs.get("vault_id") or "") if row["kind"] == "vault" else ""
    shown = f"{row['name']} (id={vault_id})" if vault_id else row["name"]
    return number, vault_id, shown, row["kind"]
