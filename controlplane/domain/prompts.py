"""What a saved launch may hold: the prompts of a schedule or a workflow node.

They are held against its template (``api.md`` 3.26, 3.31). Pure.
A launch by hand ignores what its template does not ask for; one that is kept for later refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.domain import survey
from controlplane.domain.checks.draft import Draft, Relation
from controlplane.domain.errors import Refused
from controlplane.domain.facts import KIND, Facts, Row, Unsealed
from controlplane.domain.field_values import ENCRYPTED
from controlplane.domain.launch import NO_OVERRIDE, NO_PROJECT
from controlplane.domain.launch_fields import ASK
from controlplane.domain.numerals import is_count
from schemas.resource import RESOURCES
from schemas.resources.prompts import Prompts

FAMILY = "unified_job_template"
NOT_ASKED = "Field is not configured to prompt on launch."
ASKED_AT_LAUNCH = (
    "Credential that requires user input on launch cannot be used in saved launch configuration."
)
NOT_ALLOWED = "Field is not allowed on launch."
FIELDS = tuple(name for name in Prompts.__struct_fields__ if name != "survey_passwords")
ASKED_KINDS = frozenset({"job_template", "workflow_job_template"})
SYSTEM_VARIABLES = frozenset({"days", "dry_run"})
ASKS = "ASK"


def check(draft: Draft, facts: Facts, *, required: bool) -> None:
    """Check prompts against the template; ``required``: a survey's answers must be there.

    What an object has that is copied was checked when it was given.
    """
    template = _template(draft, facts)
    if draft.copied:
        _keep(draft, draft.values["extra_data"], _secret_answers(draft, template))
        return
    if template is None:
        for name in FIELDS:
            kept = draft.before[name] if draft.before is not None else _default(draft.kind, name)
            draft.values[name] = kept
        return
    touched = draft.given & frozenset(FIELDS)
    if not (draft.creating or touched or draft.changed(FAMILY)):
        return
    given = {name: draft.values[name] for name in FIELDS if draft.values[name] is not None}
    variables = given.pop("extra_data")
    if template[KIND] in ASKED_KINDS:
        _check_asked(draft, template, given)
        _check_branch(draft, template, given, facts)
        _check_variables(draft, template, variables, required=required)
        if required:
            _check_startable(draft, template, facts)
    else:
        for name in given:
            draft.error(name, NOT_ALLOWED)
        _check_plain_variables(draft, template, variables)


def link(relation: Relation, facts: Facts) -> None:
    """Take a credential that the template asks for, of a type that is not there yet."""
    if relation.related.name != "credentials" or relation.target_row is None:
        return
    number = relation.source_row[FAMILY]
    template = facts.row(FAMILY, number) if number is not None else None
    if template is None:
        raise Refused({"msg": "Cannot assign credential when related template is null."})
    if template[KIND] != "job_template":
        raise Refused({"msg": "Related template cannot accept credentials on launch."})
    if ASKS in relation.target_row["inputs"].values():
        raise Refused({"msg": ASKED_AT_LAUNCH})
    if not template["ask_credential_on_launch"]:
        raise Refused(
            {"msg": "Related template is not configured to accept credentials on launch."}
        )
    shown = facts.row("credential_type", relation.target_row["credential_type"]) or {"name": ""}
    wanted = _slot(relation.target_row)
    held = facts.targets(relation.kind, "credentials", relation.id)
    rows = (facts.row("credential", each) for each in held)
    if wanted in [_slot(row) for row in rows if row is not None]:
        text = f"This launch configuration already provides a {shown['name']} credential."
        raise Refused({"msg": text})
    if relation.target in facts.targets("job_template", "credentials", number):
        raise Refused({"msg": f"Related template already uses {shown['name']} credential."})


def _slot(credential: Row) -> tuple[int, str]:
    return credential["credential_type"], str(credential["inputs"].get("vault_id") or "")


def _template(draft: Draft, facts: Facts) -> Row | None:
    number = draft.values[FAMILY]
    return facts.row(FAMILY, number) if number is not None else None


def _default(kind: str, name: str) -> Any:
    return RESOURCES[kind].fields[name].default


def _check_asked(draft: Draft, template: Row, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        flag = ASK[name]
        if flag not in template:
            draft.error(name, NOT_ALLOWED)
        elif not template[flag] and value != template[name] and (value or template[name]):
            draft.error(name, NOT_ASKED)


def _check_branch(draft: Draft, template: Row, given: Mapping[str, Any], facts: Facts) -> None:
    """Refuse another branch than the project's where that may not be overridden."""
    branch = given.get("scm_branch")
    if not branch or template[KIND] != "job_template" or not template[ASK["scm_branch"]]:
        return
    number = template["project"]
    project = facts.row("project", number) if number is not None else None
    if project is None:
        draft.error("scm_branch", NO_PROJECT)
    elif (
        branch not in (project["scm_branch"], template["scm_branch"])
        and not (project["allow_override"])
    ):
        draft.error("scm_branch", NO_OVERRIDE)


def _check_variables(
    draft: Draft, template: Row, variables: dict[str, Any], *, required: bool
) -> None:
    """Check answers and other variables; secret answers are sealed, or kept as they are."""
    asked = survey.questions(template)
    kept = _secret_answers(draft, template)
    checkable = {name: value for name, value in variables.items() if name not in kept}
    asked_now = [each for each in asked if each["variable"] not in kept]
    wrong = survey.wrong_answers(asked_now, checkable, required=required)
    new = kept.keys() - _taken_over(draft).keys()
    opened = {n: v.text for n in new if isinstance(v := kept[n], Unsealed)}
    wrong |= survey.wrong_answers(
        [each for each in asked if each["variable"] in opened], opened, required=required
    )
    for messages in wrong.values():
        for message in messages:
            draft.error("variables_needed_to_start", message)
    if not template["ask_variables_on_launch"]:
        known = {each["variable"] for each in asked}
        _refuse(draft, template, [name for name in variables if name not in known])
    _keep(draft, variables, kept)


def _secret_answers(draft: Draft, template: Row | None) -> dict[str, Any]:
    """Return the answers that are stored sealed, those that are new to be sealed.

    One that was given as a password stays secret, whatever the survey asks for by now.
    """
    variables = draft.values["extra_data"]
    asked = survey.questions(template) if template and template[KIND] in ASKED_KINDS else []
    before = draft.before or {}
    stored, sealed = before.get("extra_data", {}), before.get("survey_passwords", {})
    kept: dict[str, Any] = {}
    for name in variables.keys() & (survey.secret_variables(asked) | set(sealed)):
        value = variables[name]
        if name in sealed and value in (ENCRYPTED, stored.get(name)):
            kept[name] = stored[name]
        elif isinstance(value, str) and value != ENCRYPTED:
            kept[name] = Unsealed(value)
    return kept | {name: Unsealed(str(variables[name])) for name in _taken_over(draft)}


def _taken_over(draft: Draft) -> Mapping[str, Any]:
    """Return the secret answers that a new object has from what it was made of.

    Its maker may not know them: they were checked when they were given, and no message says them.
    """
    names: Mapping[str, Any] = draft.values["survey_passwords"] if draft.creating else {}
    return names


def _keep(draft: Draft, variables: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    draft.values["extra_data"] = {**variables, **kept}
    draft.values["survey_passwords"] = dict.fromkeys(sorted(kept), ENCRYPTED)


def _refuse(draft: Draft, template: Row, names: list[str]) -> None:
    if names:
        verbose = RESOURCES[template[KIND]].verbose
        draft.error(
            "extra_data",
            f"Variables {', '.join(names)} are not allowed on launch. Check the Prompt on Launch"
            f" setting on the {verbose} to include Extra Variables.",
        )


def _check_startable(draft: Draft, template: Row, facts: Facts) -> None:
    """Refuse what could not start by itself: passwords to type, an inventory to choose."""
    if template[KIND] != "job_template":
        return
    if template["inventory"] is None and draft.values["inventory"] is None:
        text = "Job Template inventory is missing or undefined."
        draft.error("resources_needed_to_start", text)
    if template["ask_credential_on_launch"]:
        return
    held = facts.targets("job_template", "credentials", draft.values[FAMILY])
    rows = [facts.row("credential", each) for each in held]
    if any(row is not None and ASKS in row["inputs"].values() for row in rows):
        text = "Saved launch configurations cannot provide passwords needed to start."
        draft.error("passwords_needed_to_start", text)


def _check_plain_variables(draft: Draft, template: Row, variables: Mapping[str, Any]) -> None:
    if template[KIND] != "system_job_template":
        if variables:
            draft.error("extra_data", NOT_ALLOWED)
        return
    unknown = [name for name in variables if name not in SYSTEM_VARIABLES]
    if unknown:
        text = f"Variables {', '.join(unknown)} are not allowed for system jobs."
        draft.error("extra_data", text)
    if "days" in variables and not is_count(variables["days"]):
        draft.error("extra_data", "days must be a positive integer.")
