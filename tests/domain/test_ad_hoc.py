"""What an ad hoc command needs before it could run."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain import ad_hoc
from controlplane.domain.errors import Invalid
from controlplane.domain.launch import CredentialFact

MODULES = ("command", "shell", "ping")
KNOWN = frozenset({"inventory", "credential"})


def machine(kind: str = "ssh", *asks: str) -> CredentialFact:
    """Return a credential that asks for these passwords."""
    return CredentialFact(id=1, name="c", type_id=1, type_name="T", kind=kind, asks=asks)


BODY = {"inventory": 1, "credential": 1, "module_name": "ping"}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"inventory": None}, {"inventory": ["No valid inventory."]}),
        ({"module_name": "yum"}, {"module_name": ['"yum" is not a valid choice.']}),
        (
            {"module_name": "shell"},
            {"module_args": ["No argument passed to shell module."]},
        ),
        (
            {"extra_vars": "ansible_user: x\nansible_port: 1"},
            {
                "extra_vars": [
                    "ansible_user, ansible_port are prohibited from use in ad hoc commands."
                ]
            },
        ),
        ({"job_type": "scan"}, {"job_type": ['"scan" is not a valid choice.']}),
        ({"verbosity": 9}, {"verbosity": ['"9" is not a valid choice.']}),
        ({"forks": -1}, {"forks": ["Ensure this value is greater than or equal to 0."]}),
        ({"forks": "x"}, {"forks": ["A valid integer is required."]}),
        ({"limit": ["a"]}, {"limit": ["Not a valid string."]}),
        ({"forks": None}, {"forks": ["This field may not be null."]}),
        (
            {"execution_environment": 9},
            {"execution_environment": ['Invalid pk "9" - object does not exist.']},
        ),
        (
            {"inventory": "x"},
            {"inventory": ["Incorrect type. Expected pk value, received str."]},
        ),
    ],
)
def test_a_bad_request_is_named(body: dict[str, Any], problems: dict[str, list[str]]) -> None:
    """Each field is answered for in AWX's words."""
    with pytest.raises(Invalid) as refused:
        ad_hoc.check({**BODY, **body}, MODULES, machine(), KNOWN)
    assert refused.value.errors == problems


@pytest.mark.parametrize(
    ("credential", "text"),
    [
        (None, "This field cannot be blank."),
        (machine("vault"), "You must provide a machine / SSH credential."),
    ],
)
def test_a_machine_credential_is_needed(credential: CredentialFact | None, text: str) -> None:
    """No credential, or one of another kind, is refused."""
    body = {**BODY, "credential": None if credential is None else 1}
    with pytest.raises(Invalid) as refused:
        ad_hoc.check(body, MODULES, credential, KNOWN)
    assert refused.value.errors == {"credential": [text]}


def test_passwords_come_first() -> None:
    """What the credential asks for is demanded before anything else is looked at."""
    credential = machine("ssh", "ssh_password", "become_password")
    with pytest.raises(Invalid) as refused:
        ad_hoc.check({**BODY, "ssh_password": "x", "inventory": None}, MODULES, credential, KNOWN)
    assert refused.value.errors == {
        "passwords_needed_to_start": ["ssh_password", "become_password"]
    }


def test_a_good_request_passes() -> None:
    """With everything there, nothing is refused."""
    body = {**BODY, "ssh_password": "x", "extra_vars": "a: 1", "module_name": ""}
    ad_hoc.check({**body, "module_args": "ls"}, MODULES, machine("ssh", "ssh_password"), KNOWN)
