"""Launching a job template: prompts, ignored fields and refusals."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controlplane.domain import launch, relaunch
from controlplane.domain.errors import Invalid
from controlplane.domain.facts import Unsealed
from controlplane.domain.launch import CredentialFact, PromptFacts, TemplateFacts
from controlplane.domain.launch_fields import ASK

MACHINE = CredentialFact(id=5, name="key", type_id=1, type_name="Machine", kind="ssh")
VAULT = CredentialFact(
    id=6, name="v", type_id=3, type_name="Vault", kind="vault", asks=("vault_password",)
)


def template(**changes: Any) -> dict[str, Any]:
    """A template's row with everything at its default."""
    row: dict[str, Any] = {
        **dict.fromkeys(ASK.values(), False),
        "id": 7,
        "project": 2,
        "inventory": 3,
        "playbook": "site.yml",
        "extra_vars": "a: 1",
        "limit": "",
        "scm_branch": "",
        "job_tags": "",
        "skip_tags": "",
        "job_type": "run",
        "verbosity": 0,
        "diff_mode": False,
        "forks": 0,
        "job_slice_count": 1,
        "timeout": 0,
        "start_at_task": "",
        "force_handlers": False,
        "become_enabled": False,
        "use_fact_cache": False,
        "allow_simultaneous": False,
        "execution_environment": None,
    }
    return row | changes


def facts(*credentials: CredentialFact, **changes: Any) -> TemplateFacts:
    """A template whose project is ready."""
    return TemplateFacts(
        template=template(**changes),
        credentials=credentials,
        labels=(),
        project_ready=True,
        project_allows_branch=False,
    )


def refused(given: TemplateFacts, body: dict[str, Any], prompts: PromptFacts) -> dict[str, Any]:
    """The field errors of a launch that must not happen."""
    with pytest.raises(Invalid) as caught:
        launch.resolve(given, body, prompts)
    return caught.value.errors


def test_an_empty_body_runs_the_template_as_it_stands() -> None:
    """Without prompts the record is the template's own values."""
    resolved = launch.resolve(facts(MACHINE), {}, PromptFacts())
    assert (resolved.record.playbook, resolved.record.inventory) == ("site.yml", 3)
    assert resolved.record.extra_vars == '{"a":1}'
    assert resolved.record.credentials == (5,)
    assert resolved.ignored_fields == {}


def test_fields_without_their_prompt_are_ignored_and_named() -> None:
    """A field that the template does not ask for is unused and comes back as sent."""
    resolved = launch.resolve(
        facts(), {"limit": "zz", "extra_vars": {"q": 1}, "unknown": 3}, PromptFacts()
    )
    assert resolved.ignored_fields == {"limit": "zz", "extra_vars": {"q": 1}}
    assert resolved.record.limit == ""


def test_prompted_variables_win_over_the_templates() -> None:
    """Given variables are laid over the template's."""
    resolved = launch.resolve(
        facts(ask_variables_on_launch=True), {"extra_vars": "a: 2\nb: 3"}, PromptFacts()
    )
    assert resolved.record.extra_vars == '{"a":2,"b":3}'


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("extra_vars", [1], "Input type `list` is not a dictionary"),
        ("extra_vars", 7, "Input type `int` is not a dictionary"),
        ("limit", {}, "Not a valid string."),
        ("forks", "many", "A valid integer is required."),
        ("verbosity", 9, '"9" is not a valid choice.'),
        ("diff_mode", "perhaps", "Must be a valid boolean."),
        ("credentials", 4, 'Expected a list of items but got type "int".'),
        ("inventory", "x", "Incorrect type. Expected pk value, received str."),
        ("limit", None, "This field may not be null."),
        ("verbosity", None, "This field may not be null."),
        ("labels", None, "This field may not be null."),
        ("labels", [None], "This field may not be null."),
        ("timeout", 2**31, "A valid integer is required."),
        ("forks", -1, "Ensure this value is greater than or equal to 0."),
    ],
)
def test_a_value_of_the_wrong_type_names_its_field(field: str, value: Any, message: str) -> None:
    """A prompt that does not fit its type is refused under its own name."""
    given = facts(**{ASK[field]: True})
    assert refused(given, {field: value}, PromptFacts()) == {field: [message]}


def test_credentials_replace_but_must_cover_every_type() -> None:
    """Leaving out a type that the template has is refused with its name."""
    other = CredentialFact(id=9, name="o", type_id=8, type_name="Cloud", kind="cloud")
    errors = refused(
        facts(MACHINE, ask_credential_on_launch=True),
        {"credentials": [9]},
        PromptFacts(credentials=(other,)),
    )
    assert errors == {
        "credentials": [
            (
                "Removing Machine credential at launch time without replacement is not supported."
                " Provided list lacked credential(s): key-5."
            )
        ]
    }


def test_two_credentials_of_one_type_are_refused() -> None:
    """Only vault credentials of different ids may stand together."""
    twin = CredentialFact(id=8, name="twin", type_id=1, type_name="Machine", kind="ssh")
    errors = refused(
        facts(ask_credential_on_launch=True),
        {"credentials": [5, 8]},
        PromptFacts(credentials=(MACHINE, twin)),
    )
    assert errors == {"credentials": ["Cannot assign multiple Machine credentials."]}


def test_a_password_asked_for_at_launch_must_come() -> None:
    """Without the password the launch names it.

    With it the launch keeps it apart from the record.
    """
    assert refused(facts(VAULT), {}, PromptFacts()) == {
        "passwords_needed_to_start": ["vault_password"]
    }
    body = {"credential_passwords": {"vault_password": "s3cret"}}
    resolved = launch.resolve(facts(VAULT), body, PromptFacts())
    assert resolved.passwords == {"vault_password": "s3cret"}
    assert "s3cret" not in str(resolved.record)


def test_a_template_without_inventory_or_project_says_which() -> None:
    """What the template lacks is named field by field."""
    errors = refused(facts(project=None, inventory=None), {}, PromptFacts())
    assert errors["project"] == ["A project is required to run a job."]
    assert errors["inventory"] == ["Job Template 'inventory' is missing or undefined."]


def test_an_inventory_that_is_not_there_is_refused() -> None:
    """A prompted id must exist and be usable."""
    errors = refused(
        facts(ask_inventory_on_launch=True), {"inventory": 99}, PromptFacts(inventories=frozenset())
    )
    assert errors == {"inventory": ['Invalid pk "99" - object does not exist.']}


def test_any_prompt_or_password_needs_a_person() -> None:
    """A template starts without input only when nothing is asked."""
    assert launch.can_start_without_input(template(), ())
    assert not launch.can_start_without_input(template(ask_limit_on_launch=True), ())
    assert not launch.can_start_without_input(template(), (VAULT,))


def test_the_templates_own_variables_are_told_apart() -> None:
    """A launch that changes one, or gives another, makes it the launcher's; the same value not."""
    own = '{"kept": "{{ a }}", "changed": "{{ b }}", "same": 1}'
    given = {"changed": "{{ c }}", "same": 1, "new": 2}
    known = facts(extra_vars=own, ask_variables_on_launch=True)
    record = launch.resolve(known, {"extra_vars": given}, PromptFacts()).record
    assert record.template_vars == ("kept", "same")
    assert launch.resolve(known, {}, PromptFacts()).record.template_vars == (
        "changed",
        "kept",
        "same",
    )


def test_what_says_nothing_new_is_neither_taken_nor_ignored() -> None:
    """The template's own values, its own credentials and labels, and the project's branch."""
    known = msgspec.structs.replace(facts(MACHINE, limit="x"), labels=(4,), project_branch="main")
    body = {
        "limit": "x",
        "credentials": [5],
        "labels": [4],
        "scm_branch": "main",
        "forks": "0",
        "execution_environment": None,
        "extra_vars": "",
        "instance_groups": [],
    }
    resolved = launch.resolve(known, body, PromptFacts())
    assert (resolved.ignored_fields, resolved.record.prompted) == ({}, {})
    emptied = launch.resolve(known, {"limit": "", "credentials": [9, 5]}, PromptFacts())
    assert emptied.ignored_fields == {"limit": "", "credentials": [9]}


def test_a_branch_needs_a_project_that_allows_it() -> None:
    """Another branch than the project's is refused unless the project lets it be overridden."""
    known = facts(ask_scm_branch_on_launch=True)
    text = "Project does not allow override of branch."
    assert refused(known, {"scm_branch": "other"}, PromptFacts()) == {"scm_branch": [text]}
    allowed = msgspec.structs.replace(known, project_allows_branch=True)
    assert launch.resolve(allowed, {"scm_branch": "other"}, PromptFacts()).record.scm_branch == (
        "other"
    )


def vault(number: int, vault_id: str) -> CredentialFact:
    """A vault credential that asks for its password."""
    return CredentialFact(
        id=number,
        name=f"v{number}",
        type_id=3,
        type_name="Vault",
        kind="vault",
        vault_id=vault_id,
        asks=(f"vault_password.{vault_id}",),
    )


def test_vault_credentials_stand_together_by_their_ids() -> None:
    """Each asks for its password; two of one id, or a kind no job runs with, are refused."""
    dev, prod = vault(10, "dev"), vault(11, "prod")
    prompts = PromptFacts(
        credentials=(
            *(dev, prod, vault(12, "dev")),
            CredentialFact(id=13, name="s", type_id=2, type_name="Source Control", kind="scm"),
        )
    )
    known = facts(dev, ask_credential_on_launch=True)
    assert refused(known, {"credentials": [10, 11]}, prompts) == {
        "passwords_needed_to_start": ["vault_password.dev", "vault_password.prod"]
    }
    errors = refused(known, {"credentials": [12, 10, 13]}, prompts)
    assert errors["credentials"] == [
        "Cannot assign multiple Vault (id=dev) credentials.",
        "Cannot assign a Credential of kind `scm`",
    ]
    errors = refused(known, {"credentials": [11]}, prompts)
    assert errors["credentials"] == [
        (
            "Removing Vault (id=dev) credential at launch time without replacement is not"
            " supported. Provided list lacked credential(s): v10-10."
        )
    ]


def test_a_secret_is_not_echoed_among_what_is_ignored() -> None:
    """A password question that is switched off still hides what was sent for it."""
    question = {"variable": "pw", "type": "password", "required": False}
    known = facts(survey_spec={"spec": [question]}, survey_enabled=False)
    resolved = launch.resolve(known, {"extra_vars": {"pw": "hush", "x": 1}}, PromptFacts())
    assert resolved.ignored_fields == {"extra_vars": {"pw": "$encrypted$", "x": 1}}


SURVEYED: dict[str, Any] = {
    "survey_enabled": True,
    "survey_spec": {
        "spec": [
            {"variable": "word", "type": "text", "required": True},
            {"variable": "pw", "type": "password", "required": False},
            {"variable": "size", "type": "integer", "required": False, "default": 3},
        ]
    },
}


def test_a_relaunch_gives_the_same_prompts_to_the_template_of_today() -> None:
    """Answers and limit are those of the job, defaults and the rest those the template has now."""
    body = {"extra_vars": {"word": "w", "pw": "hush", "other": 1}, "limit": "a", "timeout": 9}
    asked = {"ask_limit_on_launch": True, "ask_timeout_on_launch": True}
    first = launch.resolve(facts(**SURVEYED, **asked), body, PromptFacts())
    prompted = first.record.prompted
    assert prompted == {
        "limit": "a",
        "timeout": 9,
        "extra_vars": {"word": "w", "pw": "$encrypted$"},
    }
    now = facts(**SURVEYED, playbook="new.yml", forks=9)
    before = msgspec.structs.replace(first.record, job_slice_number=2, job_slice_count=3)
    changes = {**prompted, "limit": "b"}
    again = relaunch.again(now, before, changes, {"pw": "hush"}, PromptFacts(), {})
    assert (again.record.limit, again.record.playbook, again.record.forks) == ("b", "new.yml", 9)
    assert (again.record.job_slice_number, again.record.job_slice_count) == (2, 3)
    assert again.timeout_s == 9
    assert again.secret_vars == {"pw": Unsealed("hush")}
    assert again.record.extra_vars == '{"a":1,"size":3,"word":"w","pw":"$encrypted$"}'
    assert again.record.prompted == changes


def test_a_relaunch_names_what_is_gone() -> None:
    """Project and inventory together, and passwords under the key that takes them."""
    gone = facts(project=None, inventory=None)
    before = launch.resolve(facts(), {}, PromptFacts()).record
    with pytest.raises(Invalid) as caught:
        relaunch.again(gone, before, {}, {}, PromptFacts(), {})
    assert caught.value.errors == {
        "errors": [
            "Job Template Project is missing or undefined.",
            "Job Template Inventory is missing or undefined.",
        ]
    }
    with pytest.raises(Invalid) as caught:
        relaunch.again(facts(VAULT), before, {}, {}, PromptFacts(), {})
    text = "Missing passwords needed to start: vault_password"
    assert caught.value.errors == {"credential_passwords": [text]}


def test_prompts_that_are_no_longer_asked_for_are_told_apart() -> None:
    """Variables of the survey need no flag, others do."""
    known = template(**SURVEYED)
    assert not relaunch.no_longer_asked(known, {"extra_vars": {"word": "w"}})
    assert relaunch.no_longer_asked(known, {"extra_vars": {"other": "w"}})
    assert relaunch.no_longer_asked(known, {"limit": "x"})
    assert relaunch.is_secret({"extra_vars": {"pw": "$encrypted$"}})
    assert not relaunch.is_secret({"limit": "$encrypted$"})
