"""From a job template, its prompts and credentials to an immutable launch record.

Or field errors (AWX 4.2).

Pure: the shell looks the facts up, this module decides. Fields without their ``ask_`` flag are
never an error: they come back as ``ignored_fields`` and are unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain import extra_vars, survey
from controlplane.domain.errors import Invalid
from controlplane.domain.facts import Unsealed, plain
from controlplane.domain.field_values import ENCRYPTED
from controlplane.domain.launch_fields import ASK, FIELD_READERS
from controlplane.domain.survey import Sealed
from controlplane.domain.task_impact import playbook_impact
from schemas.events.job import PlaybookLaunch
from schemas.status import LaunchType

NO_OVERRIDE = "Project does not allow override of branch."
NO_PROJECT = "Project is missing."
LAUNCHED_WITH = ("ssh", "vault", "cloud", "net", "kubernetes")
"""Kinds of credentials that a job runs with."""
SIMPLE = (
    "limit",
    "scm_branch",
    "job_tags",
    "skip_tags",
    "job_type",
    "verbosity",
    "diff_mode",
    "forks",
)


class CredentialFact(Struct, frozen=True, kw_only=True):
    """A credential that may go with the job; ``asks`` names the passwords it wants at launch."""

    id: int
    name: str
    type_id: int
    type_name: str
    kind: str
    """``ssh``, ``vault``, ``net``, ``cloud`` ...: the credential type's kind."""
    vault_id: str = ""
    asks: tuple[str, ...] = ()


class TemplateFacts(Struct, frozen=True, kw_only=True):
    """What a launch starts from, as the read model gives it at one position."""

    template: Mapping[str, Any]
    """The job template's row."""
    credentials: tuple[CredentialFact, ...]
    """The template's own credentials."""
    labels: tuple[int, ...]
    project_ready: bool
    """The project has content to run, or an update that will bring it."""
    project_allows_branch: bool
    project_branch: str = ""


class PromptFacts(Struct, frozen=True, kw_only=True):
    """What the body's ids stand for; ids that are not there do not exist or may not be used."""

    inventories: frozenset[int] = frozenset()
    credentials: tuple[CredentialFact, ...] = ()
    labels: frozenset[int] = frozenset()
    instance_groups: Mapping[int, str] = {}
    execution_environments: frozenset[int] = frozenset()


class Resolved(Struct, frozen=True, kw_only=True):
    """A launch that may happen: the record and what was ignored of the body."""

    record: PlaybookLaunch
    timeout_s: int
    instance_groups: tuple[str, ...]
    """Names of prompted groups; empty when the template's own order holds."""
    ignored_fields: dict[str, Any]
    passwords: dict[str, str]
    secret_vars: dict[str, Unsealed | Sealed] = {}
    """Variables that the record shows as encrypted: secret answers of a survey."""


class Choice(Struct, frozen=True, kw_only=True):
    """What a launch makes of its prompts, before the template is looked at as a whole."""

    accepted: Mapping[str, Any]
    """Prompt field to its value; variables of the survey are not among them."""
    answers: Mapping[str, Any] = {}
    """Variables that the survey makes of given answers and of defaults."""
    given: Mapping[str, Any] = {}
    """Those of the answers that were given."""
    ignored: Mapping[str, Any] = {}


def resolve(facts: TemplateFacts, body: Mapping[str, Any], prompts: PromptFacts) -> Resolved:
    """Resolve a launch body; raises Invalid with AWX's field messages."""
    choice, errors = _choice(facts, body)
    errors.update(_removed(facts, body, prompts))
    return settle(facts, choice, prompts, body, errors)


def settle(
    facts: TemplateFacts,
    choice: Choice,
    prompts: PromptFacts,
    body: Mapping[str, Any],
    errors: dict[str, Any],
) -> Resolved:
    """Lay a choice over its template; raises Invalid with these errors and those found here.

    ``body`` holds the passwords.
    """
    template, accepted = facts.template, choice.accepted
    secret = {n: v for n, v in choice.answers.items() if isinstance(v, Unsealed | Sealed)}
    inventory = accepted.get("inventory", template["inventory"])
    errors.update(_resource_errors(facts, accepted, inventory))
    credentials = _credentials(facts, accepted, prompts, errors)
    errors.update(_reference_errors(accepted, prompts))
    told = {**choice.answers, **dict.fromkeys(secret, ENCRYPTED)}
    variables = _variables(template, told, accepted, errors)
    passwords, missing = passwords_given(credentials, body)
    if missing:
        errors["passwords_needed_to_start"] = missing
    if errors:
        raise Invalid(errors)
    chosen = {name: accepted.get(name, template[name]) for name in SIMPLE}
    record = PlaybookLaunch(
        job_template=template["id"],
        inventory=inventory,
        project=template["project"],
        playbook=template["playbook"],
        extra_vars=extra_vars.as_text(variables),
        template_vars=_unchanged(template, variables),
        start_at_task=template["start_at_task"],
        force_handlers=template["force_handlers"],
        become_enabled=template["become_enabled"],
        use_fact_cache=template["use_fact_cache"],
        allow_simultaneous=template["allow_simultaneous"],
        credentials=tuple(credential.id for credential in credentials),
        labels=_labels(facts, accepted),
        job_slice_count=accepted.get("job_slice_count", template["job_slice_count"]) or 1,
        execution_environment=accepted.get(
            "execution_environment", template["execution_environment"]
        ),
        prompted=_prompted(choice),
        **chosen,
    )
    return Resolved(
        record=record,
        timeout_s=accepted.get("timeout", template["timeout"]),
        instance_groups=tuple(
            prompts.instance_groups[each] for each in accepted.get("instance_groups", ())
        ),
        ignored_fields=dict(choice.ignored),
        passwords=passwords,
        secret_vars=secret,
    )


def _choice(facts: TemplateFacts, body: Mapping[str, Any]) -> tuple[Choice, dict[str, Any]]:
    accepted, ignored, errors = _accept(facts, body)
    answers, given = _answers(facts.template, body, accepted, ignored, errors)
    if "extra_vars" in ignored:
        ignored["extra_vars"] = _hidden(facts.template, ignored["extra_vars"])
    return Choice(accepted=accepted, answers=answers, given=given, ignored=ignored), errors


def _hidden(template: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables without the answers to secret questions, also while the survey is off."""
    asked = survey.questions({"survey_spec": "{}", **template, "survey_enabled": True})
    secret = survey.secret_variables(asked)
    return {name: ENCRYPTED if name in secret else each for name, each in variables.items()}


def _prompted(choice: Choice) -> dict[str, Any]:
    """Return what a relaunch is to give again; no secret is in it."""
    hidden = {n: ENCRYPTED if isinstance(v, Unsealed) else v for n, v in choice.given.items()}
    variables = {**choice.accepted.get("extra_vars", {}), **hidden}
    found = {n: v for n, v in choice.accepted.items() if n != "extra_vars"}
    return {**found, **({"extra_vars": variables} if variables else {})}


def impact(record: PlaybookLaunch, launch_type: LaunchType) -> int:
    """Return the task impact of a resolved playbook launch in forks (AWX 4.11)."""
    hosts = 1 if launch_type is LaunchType.CALLBACK else record.host_count
    return playbook_impact(record.forks, hosts)


def passwords_needed(credentials: tuple[CredentialFact, ...]) -> list[str]:
    """Return the passwords that must come with the launch, in AWX's key names."""
    return [ask for credential in credentials for ask in credential.asks]


def ignored_fields(facts: TemplateFacts, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a launch body the template does not ask for."""
    return dict(_choice(facts, body)[0].ignored)


def can_start_without_input(
    template: Mapping[str, Any], credentials: tuple[CredentialFact, ...]
) -> bool:
    """Return AWX's ``can_start_without_user_input``.

    No ask flag is on, no password is missing and no question must be answered.
    """
    if survey.needed(survey.questions(template)):
        return False
    return not any(template[flag] for flag in ASK.values()) and not passwords_needed(credentials)


def _accept(
    facts: TemplateFacts, body: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    accepted: dict[str, Any] = {}
    ignored: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, flag in ASK.items():
        if name not in body:
            continue
        value, problem = FIELD_READERS[name](body[name])
        if problem:
            errors[name] = [problem]
        elif _says_something(facts, name, value):
            (accepted if facts.template[flag] else ignored)[name] = value
    if "credentials" in ignored:
        own = {each.id for each in facts.credentials}
        ignored["credentials"] = [each for each in ignored["credentials"] if each not in own]
    return accepted, ignored, errors


def _says_something(facts: TemplateFacts, name: str, value: Any) -> bool:
    """Return whether a value differs from the template's: AWX takes it as not given otherwise."""
    match name:
        case "extra_vars" | "instance_groups":
            return bool(value)
        case "credentials":
            return not set(value) <= {each.id for each in facts.credentials}
        case "labels":
            return not set(value) <= set(facts.labels)
        case "inventory" if value is None:
            return bool(facts.template[ASK[name]])
        case "execution_environment" if value is None:
            return False
        case "scm_branch" if not facts.template[name] and value == facts.project_branch:
            return False
        case _:
            return bool(facts.template[name] != value)


def _resource_errors(
    facts: TemplateFacts, accepted: Mapping[str, Any], inventory: int | None
) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    if facts.template["project"] is None:
        errors["project"] = ["A project is required to run a job."]
    elif not facts.project_ready:
        errors["playbook"] = ["Missing a revision to run due to failed project update."]
    if inventory is None:
        errors["inventory"] = [
            "This field may not be null."
            if "inventory" in accepted
            else "Job Template 'inventory' is missing or undefined."
        ]
    if "scm_branch" in accepted and not facts.project_allows_branch:
        project = facts.template["project"]
        errors["scm_branch"] = [NO_PROJECT if project is None else NO_OVERRIDE]
    return errors


def _credentials(
    facts: TemplateFacts,
    accepted: Mapping[str, Any],
    prompts: PromptFacts,
    errors: dict[str, Any],
) -> tuple[CredentialFact, ...]:
    """Return the template's credentials with those that are given in the place of their type."""
    if "credentials" not in accepted:
        return facts.credentials
    known = {each.id: each for each in (*facts.credentials, *prompts.credentials)}
    unknown = [each for each in accepted["credentials"] if each not in known]
    if unknown:
        errors["credentials"] = [f'Invalid pk "{unknown[0]}" - object does not exist.']
        return ()
    given = tuple(known[each] for each in accepted["credentials"])
    slots = [_slot(credential) for credential in given]
    problems = [
        f"Cannot assign multiple {_shown(each)} credentials."
        for index, each in enumerate(given)
        if slots[index] in slots[:index]
    ]
    problems += [
        f"Cannot assign a Credential of kind `{each.kind}`"
        for each in given
        if each.kind not in LAUNCHED_WITH
    ]
    if problems:
        errors.setdefault("credentials", []).extend(problems)
    return tuple(each for each in facts.credentials if _slot(each) not in slots) + given


def _removed(facts: TemplateFacts, body: Mapping[str, Any], prompts: PromptFacts) -> dict[str, Any]:
    """Refuse a list of credentials that leaves one of the template's out without another."""
    given, problem = FIELD_READERS["credentials"](body.get("credentials", []))
    if "credentials" not in body or problem or not facts.template[ASK["credentials"]]:
        return {}
    known = {each.id: each for each in (*facts.credentials, *prompts.credentials)}
    slots = {_slot(known[each]) for each in given if each in known}
    missing = [each for each in facts.credentials if _slot(each) not in slots]
    if not missing or not set(given) <= known.keys():
        return {}
    names = ", ".join(f"{each.name}-{each.id}" for each in missing)
    return {
        "credentials": [
            f"Removing {_shown(each)} credential at launch time without replacement is not"
            f" supported. Provided list lacked credential(s): {names}."
            for each in missing
        ]
    }


def _shown(credential: CredentialFact) -> str:
    """Return the type of a credential as messages name it."""
    if not credential.vault_id:
        return credential.type_name
    return f"{credential.type_name} (id={credential.vault_id})"


def _slot(credential: CredentialFact) -> tuple[int, str]:
    return credential.type_id, credential.vault_id


def _reference_errors(accepted: Mapping[str, Any], prompts: PromptFacts) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    known = {
        "inventory": prompts.inventories,
        "execution_environment": prompts.execution_environments,
        "labels": prompts.labels,
        "instance_groups": prompts.instance_groups.keys(),
    }
    for name, existing in known.items():
        value = accepted.get(name)
        wanted = value if isinstance(value, list) else [value]
        gone = [each for each in wanted if each is not None and each not in existing]
        if gone:
            errors[name] = [f'Invalid pk "{gone[0]}" - object does not exist.']
    return errors


def _answers(
    template: Mapping[str, Any],
    body: Mapping[str, Any],
    accepted: dict[str, Any],
    ignored: dict[str, Any],
    errors: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the survey makes of the variables given, and those of it that were given.

    They are taken out of the others.
    """
    asked = survey.questions(template)
    if not asked or "extra_vars" in errors:
        return {}, {}
    names = {each["variable"] for each in asked}
    given, _ = FIELD_READERS["extra_vars"](body.get("extra_vars"))
    mine = {name: value for name, value in given.items() if name in names}
    rest = {name: value for name, value in given.items() if name not in names}
    for fields in (accepted, ignored):
        if fields.pop("extra_vars", None) and rest:
            fields["extra_vars"] = rest
    wrong = survey.wrong_answers(asked, mine)
    if wrong:
        errors["variables_needed_to_start"] = [text for texts in wrong.values() for text in texts]
        return {}, {}
    answers = survey.answered(asked, mine)
    told = {n: v for n, v in answers.items() if n in mine and not isinstance(v, Sealed)}
    return answers, told


def _variables(
    template: Mapping[str, Any],
    answers: dict[str, Any],
    accepted: Mapping[str, Any],
    errors: dict[str, Any],
) -> dict[str, Any]:
    try:
        return extra_vars.merge(
            extra_vars.parse(template["extra_vars"]), answers, accepted.get("extra_vars", {})
        )
    except extra_vars.NotVariables as error:
        errors["extra_vars"] = [str(error)]
        return {}


def _unchanged(template: Mapping[str, Any], variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the template's own variables that a launch left as they were."""
    own = extra_vars.parse(template["extra_vars"])
    return tuple(sorted(n for n, v in own.items() if n in variables and variables[n] == v))


def passwords_given(
    credentials: tuple[CredentialFact, ...], body: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """Return the passwords of a body that credentials ask for, and the names of those lacking."""
    nested = body.get("credential_passwords")
    given = {**body, **(nested if isinstance(nested, dict) else {})}
    needed = passwords_needed(credentials)
    passwords = {
        name: given[name]
        for name in needed
        if isinstance(given.get(name), str) and given[name] and plain(given[name])
    }
    return passwords, [name for name in needed if name not in passwords]


def _labels(facts: TemplateFacts, accepted: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*facts.labels, *accepted.get("labels", ()))))
