"""Rules of inventory sources (``api.md`` 3.17)."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.domain import field_values
from controlplane.domain.checks.draft import Draft, Relation
from controlplane.domain.checks.inventory import refuse_computed
from controlplane.domain.errors import Refused
from controlplane.domain.extra_vars import parse
from controlplane.domain.facts import Facts, Row
from schemas.resources.inventory_source import CLOUD_SOURCES, CONSTRUCTED_FIELDS

ENV_BLOCKED = frozenset({"HOME", "USER", "_", "TERM", "PATH"})
"""Environment variables that an inventory plugin may not be given."""
SCM_FIELDS = ("source_project", "source_path", "scm_branch")
WITHOUT_CREDENTIAL = frozenset({"ec2", "openshift_virtualization"})
"""Cloud sources that may find out by themselves who they are."""
CREDENTIAL_KINDS = {"ec2": "aws", "openshift_virtualization": "kubernetes_bearer_token"}
"""Source to the kind of its credential, where they differ."""
ASSIGNED = "Source already has credential assigned."
UNDELETABLE = "The source of a constructed inventory goes with the inventory only."


def check(draft: Draft, facts: Facts) -> None:
    """Check what a source needs, by where it looks; it stays in its inventory."""
    if draft.before is not None:
        draft.values["inventory"] = draft.before["inventory"]
        if draft.before["source"] == "constructed":
            _constructed(draft)
            return
    else:
        refuse_computed(draft, facts, "Inventory Source")
    source = draft.values["source"]
    if source == "constructed":
        draft.error("error", "constructed not a valid source for inventory")
        return
    _project(draft, facts)
    _variables(draft)
    if draft.creating or "credential" in draft.given:
        number = draft.values["credential"]
        credential = None if number is None else facts.row("credential", number)
        if problem := _credential(source, credential, facts):
            draft.error("credential", problem)


def link(relation: Relation, facts: Facts) -> None:
    """A source has one credential, of the kind that it asks for."""
    if relation.related.name != "credentials" or relation.target_row is None:
        return
    if relation.source_row["credential"] is not None:
        raise Refused({"msg": ASSIGNED})
    if problem := _credential(relation.source_row["source"], relation.target_row, facts):
        raise Refused({"msg": problem})


def delete(_object_id: int, row: Row, _facts: Facts) -> Iterable[str]:
    """Refuse to take the one source of a constructed inventory away."""
    if row["source"] == "constructed":
        raise Refused({"error": UNDELETABLE})
    return ()


def _constructed(draft: Draft) -> None:
    for name in draft.given:
        if draft.changed(name) and name not in CONSTRUCTED_FIELDS:
            text = f"Cannot change field '{name}' on a constructed inventory source."
            draft.error("error", text)
    _variables(draft)


def _project(draft: Draft, facts: Facts) -> None:
    values = draft.values
    number = values["source_project"]
    project = None if number is None else facts.row("project", number)
    if values["source"] != "scm":
        redundant = [name for name in SCM_FIELDS if name in draft.given and values[name]]
        if redundant:
            draft.error("detail", f"Cannot set {' '.join(redundant)} if not SCM type.")
        return
    asked = draft.creating or bool({"source", "source_project"} & draft.given)
    if project is None:
        if asked:
            draft.error("source_project", "Project required for scm type sources.")
    elif "source_project" in draft.given and not project["scm_type"]:
        draft.error("source_project", "Cannot use manual project for SCM-based inventory.")
    if values["scm_branch"] and not (project is not None and project["allow_override"]):
        draft.error("scm_branch", "Project does not allow overriding branch.")


def _variables(draft: Draft) -> None:
    text = draft.values["source_vars"]
    if not text or not draft.changed("source_vars"):
        return
    try:
        names = parse(field_values.variables(text))
    except field_values.Unreadable as error:
        draft.error("source_vars", str(error))
        return
    for name in names:
        if name in ENV_BLOCKED:
            draft.error("source_vars", f"`{name}` is a prohibited environment variable")


def _credential(source: str, credential: Row | None, facts: Facts) -> str:
    """Return why a source cannot do with this credential, or without one."""
    if credential is None:
        needed = source in CLOUD_SOURCES - WITHOUT_CREDENTIAL
        return "Credential is required for a cloud source." if needed else ""
    if source == "scm":
        kind = facts.row("credential_type", credential["credential_type"])
        if kind is not None and kind["kind"] in ("insights", "vault"):
            return (
                "Credentials of type insights and vault are disallowed for scm inventory sources."
            )
        return ""
    if credential["kind"] != CREDENTIAL_KINDS.get(source, source):
        return (
            f"Cloud-based inventory sources (such as {source}) require credentials for the"
            " matching cloud service."
        )
    return ""
