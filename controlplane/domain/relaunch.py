"""Running a job again: its prompts given to the template as it is now, or its record as it was.

Pure (AWX 4.4). What a template says today holds for what the launch did not give; a job whose
template is gone, or whose prompts were not kept, is copied whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from controlplane.domain import launch, survey
from controlplane.domain.errors import Invalid
from controlplane.domain.facts import Unsealed
from controlplane.domain.field_values import ENCRYPTED
from controlplane.domain.launch import Choice, CredentialFact, PromptFacts, Resolved, TemplateFacts
from controlplane.domain.launch_fields import ASK
from schemas.events.job import PlaybookLaunch

NEEDED = (("project", "Project"), ("inventory", "Inventory"))
VARIABLES = "extra_vars"
PASSWORDS = "passwords_needed_to_start"


def again(
    facts: TemplateFacts,
    before: PlaybookLaunch,
    prompted: Mapping[str, Any],
    secret: Mapping[str, str],
    prompts: PromptFacts,
    body: Mapping[str, Any],
) -> Resolved:
    """Resolve a relaunch with these prompts; raises Invalid.

    ``secret``: the answers that the prompts show encrypted. ``body`` holds the passwords.
    """
    given = dict(prompted)
    variables = given.pop(VARIABLES, {})
    asked = survey.questions(facts.template)
    names = {each["variable"] for each in asked} | secret.keys()
    told = {name: value for name, value in variables.items() if name in names}
    told |= {
        name: Unsealed(secret[name])
        for name, value in told.items()
        if value == ENCRYPTED and name in secret
    }
    rest = {name: value for name, value in variables.items() if name not in names}
    if rest:
        given[VARIABLES] = rest
    choice = Choice(accepted=given, answers={**survey.answered(asked, {}), **told}, given=told)
    resolved = _settled(facts, choice, prompts, body)
    if not before.job_slice_number:
        return resolved
    record = msgspec.structs.replace(
        resolved.record,
        job_slice_number=before.job_slice_number,
        job_slice_count=before.job_slice_count,
    )
    return msgspec.structs.replace(resolved, record=record)


def copied(
    before: PlaybookLaunch,
    credentials: tuple[CredentialFact, ...],
    secret: Mapping[str, str],
    body: Mapping[str, Any],
) -> Resolved:
    """Resolve a relaunch that runs a record as it was; raises Invalid."""
    passwords, missing = launch.passwords_given(credentials, body)
    if missing:
        raise _lacking(missing)
    return Resolved(
        record=msgspec.structs.replace(
            before,
            prompted=None,
            project_update=None,
            pinned=None,
            webhook_service="",
            webhook_credential=None,
            webhook_guid="",
        ),
        timeout_s=0,
        instance_groups=(),
        ignored_fields={},
        passwords=passwords,
        secret_vars={name: Unsealed(value) for name, value in secret.items()},
    )


def missing(record: PlaybookLaunch, inventories: frozenset[int]) -> list[str]:
    """Return what a job cannot run without and is gone; ``inventories`` are those still there."""
    there = {
        "project": record.project is not None,
        "inventory": record.inventory in inventories,
    }
    return [
        f"Job Template {label} is missing or undefined."
        for name, label in NEEDED
        if not there[name]
    ]


def is_secret(prompted: Mapping[str, Any]) -> bool:
    """Return whether one of the prompts is a secret answer."""
    return ENCRYPTED in prompted.get(VARIABLES, {}).values()


def no_longer_asked(template: Mapping[str, Any], prompted: Mapping[str, Any]) -> bool:
    """Return whether a template no longer asks for one of the prompts that a job was given."""
    known = {each["variable"] for each in survey.questions(template)}
    others = [name for name in prompted.get(VARIABLES, {}) if name not in known]
    fields = [name for name in prompted if name != VARIABLES] + ([VARIABLES] if others else [])
    return any(not template[ASK[name]] for name in fields)


def _settled(
    facts: TemplateFacts, choice: Choice, prompts: PromptFacts, body: Mapping[str, Any]
) -> Resolved:
    """Settle a choice whose project needs not be ready: the job itself will say that it is not."""
    ready = msgspec.structs.replace(facts, project_ready=True)
    try:
        return launch.settle(ready, choice, prompts, body, {})
    except Invalid as error:
        errors = dict(error.errors)
        if PASSWORDS in errors:
            raise _lacking(errors[PASSWORDS]) from error
        gone = [
            f"Job Template {label} is missing or undefined."
            for name, label in NEEDED
            if name in errors
        ]
        raise Invalid({"errors": gone} if gone else errors) from error


def _lacking(names: list[str]) -> Invalid:
    text = f"Missing passwords needed to start: {', '.join(names)}"
    return Invalid({"credential_passwords": [text]})
