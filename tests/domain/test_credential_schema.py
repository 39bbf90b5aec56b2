"""Credential types say what their fields and templates may be, in AWX's words."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain import credential_schema, ssh_keys

OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
FIELD = {"id": "a", "label": "A"}


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"fields": {}}, "{} is not of type 'array'"),
        ({"fields": [5]}, "5 is not of type 'object'"),
        ({"fields": [{"id": "a"}]}, "'label' is a required property"),
        ({"fields": [FIELD, FIELD]}, "field IDs must be unique (a)"),
        ({"fields": [{**FIELD, "id": "tower"}]}, '"tower" is a reserved field name'),
        ({"fields": [{**FIELD, "id": "a-b"}]}, "a-b is an invalid variable name"),
        ({"fields": [{**FIELD, "type": "int"}]}, "'int' is not one of ['string', 'boolean']"),
        (
            {"fields": [{**FIELD, "format": "x"}]},
            "'x' is not one of ['ssh_private_key', 'url']",
        ),
        (
            {"fields": [{**FIELD, "type": "boolean", "secret": True}]},
            "secret not allowed for boolean type (a)",
        ),
        ({"fields": [{**FIELD, "default": 1}]}, "1 is not a string"),
        ({"fields": [{**FIELD, "choices": []}]}, "[] should be non-empty"),
        ({"fields": [{**FIELD, "choices": ["x", "x"]}]}, "['x', 'x'] has non-unique elements"),
        ({"fields": [{**FIELD, "secret": "yes"}]}, "'yes' is not of type 'boolean'"),
        (
            {"fields": [{**FIELD, "zz": 1}]},
            "Additional properties are not allowed ('zz' was unexpected)",
        ),
        ({"required": "a"}, "'a' is not of type 'array'"),
        ({"dependencies": {}}, "'dependencies' is not supported for custom credentials."),
        ({"x": 1, "y": 2}, "Additional properties are not allowed ('x', 'y' were unexpected)"),
    ],
)
def test_inputs_of_a_type_are_checked(inputs: dict[str, Any], problem: str) -> None:
    """What a type says of its fields must be a schema of fields."""
    assert credential_schema.input_problems(inputs) == [problem]


def test_right_inputs_have_no_problem() -> None:
    """Every key that AWX knows is taken."""
    whole = {
        **FIELD,
        "type": "string",
        "format": "url",
        "choices": ["x", "y"],
        "help_text": "h",
        "multiline": True,
        "secret": True,
        "ask_at_runtime": True,
        "default": "x",
    }
    assert credential_schema.input_problems({"fields": [whole], "required": ["a"]}) == []


@pytest.mark.parametrize(
    ("injectors", "problem"),
    [
        ({"env": "x"}, "'x' is not of type 'object'"),
        ({"zz": {}}, "Additional properties are not allowed ('zz' was unexpected)"),
        ({"env": {"A": 5}}, "5 is not of type 'string'"),
        (
            {"env": {"a-b": "x"}},
            "'a-b' does not match any of the regexes: '^[a-zA-Z_]+[a-zA-Z0-9_]*$'",
        ),
        ({"extra_vars": {"a": 5}}, "5 is not valid under any of the given schemas"),
        (
            {"file": {"other": "x"}},
            r"'other' does not match any of the regexes: '^template(\\.[a-zA-Z_]+[a-zA-Z0-9_]*)?$'",
        ),
        (
            {"env": {"ANSIBLE_X": "1"}},
            (
                "Environment variable ANSIBLE_X may affect Ansible configuration so its use is not"
                " allowed in credentials."
            ),
        ),
        (
            {"env": {"PATH": "1"}},
            "Environment variable PATH is not allowed to be used in credentials.",
        ),
        ({"env": {"X": "{{ b }}"}}, "X uses an undefined field ('b' is undefined)"),
        (
            {"env": {"X": "{{ tower.filename.b }}"}},
            "X uses an undefined field ('tower.filename.b' is undefined)",
        ),
        (
            {"extra_vars": {"X": {"deep": ["{{ b }}"]}}},
            "X uses an undefined field ('b' is undefined)",
        ),
        (
            {"file": {"template": "1", "template.x": "2"}},
            "Must use multi-file syntax when injecting multiple files",
        ),
        (
            {"env": {"X": "{{ tower.filename }}"}},
            (
                "X uses an undefined field (Must define unnamed file injector in order to reference"
                " `tower.filename`.)"
            ),
        ),
        (
            {"env": {"X": "{{ tower }}"}},
            (
                "X uses an undefined field (Cannot directly reference reserved `tower` namespace"
                " container.)"
            ),
        ),
        (
            {"env": {"X": "{{ a.__class__.__mro__ }}"}},
            (
                "Encountered unsafe code execution: access to attribute '__class__' of 'str' object"
                " is unsafe."
            ),
        ),
        (
            {"env": {"X": "{{ 'a' * 9999999999 }}"}},
            "Encountered unsafe code execution: the operator * is not allowed",
        ),
        ({"env": {"X": "{{ 1/0 }}"}}, "X cannot be rendered (ZeroDivisionError)"),
    ],
)
def test_templates_are_tried(injectors: dict[str, Any], problem: str) -> None:
    """A template over an undefined field, or an unsafe one, is found before it is stored."""
    assert credential_schema.injector_problems(injectors, {"fields": [FIELD]}) == [problem]


@pytest.mark.parametrize(
    "template",
    [
        "{{ a.ljust(99999999999) }}",
        "{{ a|center(99999999999) }}",
        "{{ a|indent(99999999999) }}",
        "{{ a.format(1) }}",
        "{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}",
        "{% set b = 'xx' %}" + "{% set b = b ~ b %}" * 60,
        "{% macro b() %}{{ a }}{% endmacro %}{{ b() }}",
        "{{ lipsum(n=100000) }}",
        "{{ a|slice(99999999)|list }}",
        "{{ 1|round(-999999999) }}",
        "{{ a" + ".replace('', 'EEEEEEEEEEEEEEEEEEEE')" * 12 + " }}",
        "{{ a" + "|replace('', 'EEEEEEEEEEEEEEEEEEEE')" * 12 + " }}",
        "{{ a" + "|list|join('EEEEEEEEEEEEEEEEEEEE')" * 12 + " }}",
        "{{ '\"'" + "|tojson" * 60 + " }}",
        "{{ a.translate({69: a}) }}",
        "{% if a %}" * 120 + "{% endif %}" * 120,
        "{{ a" + "~a" * 10_000 + " }}",
    ],
)
def test_a_template_takes_neither_memory_nor_time(template: str) -> None:
    """What loops, grows, or takes long to read is refused and not run."""
    found = credential_schema.injector_problems({"env": {"X": template}}, {"fields": [FIELD]})
    assert len(found) == 1, found


@pytest.mark.parametrize(
    "template",
    [
        "{{ a|replace('E', 'x')|indent(4) }}",
        "{{ a.split(',')[0].replace('A', 'b')|default('c', true)|upper }}",
        "{{ [a, 'b']|join(',') }}{{ {'a': a}|tojson }}",
        "{% if a == 'x' or a is defined %}{{ a ~ '/' + a }}{% else %}{{ a[1:] }}{% endif %}",
        "x" * 100_000,
    ],
)
def test_what_injectors_are_made_of_is_allowed(template: str) -> None:
    """Filters and methods that read, cut or replace, conditions, and long texts as they are."""
    injectors = {"extra_vars": {"X": template}}
    assert credential_schema.injector_problems(injectors, {"fields": [FIELD]}) == []


def test_a_syntax_error_names_its_place() -> None:
    """A template that is none is refused with what Jinja says."""
    found = credential_schema.injector_problems({"env": {"X": "{{ a"}}, {"fields": [FIELD]})
    assert len(found) == 1
    assert found[0].startswith("Syntax error rendering template for X inside of env (")


def test_right_injectors_have_no_problem() -> None:
    """Files by name, environment and nested extra vars over the declared fields."""
    injectors = {
        "file": {"template.key": "{{ a }}", "template.cert": "x"},
        "env": {"KEY": "{{ tower.filename.key }}", "HOW": "{% if a %}b{% endif %}"},
        "extra_vars": {"v": {"{{ a }}": ["{{ tower.filename.cert }}"]}},
    }
    assert credential_schema.injector_problems(injectors, {"fields": [FIELD]}) == []


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("no key at all", None),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----", None),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----", True),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA",
            True,
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", False),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END",
            False,
        ),
        (
            f"{OPENSSH}\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI=\n-----END",
            True,
        ),
    ],
)
def test_a_key_tells_whether_it_is_locked(text: str, *, locked: bool | None) -> None:
    """The header, or the cipher that an OpenSSH key names, says whether there is a passphrase."""
    assert ssh_keys.locked(text) is locked
