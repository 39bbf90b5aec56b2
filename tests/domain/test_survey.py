"""Surveys: which are taken, and what is wrong with an answer."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain import survey
from controlplane.domain.errors import Refused
from controlplane.domain.facts import Unsealed

GOOD: dict[str, Any] = {
    "type": "text",
    "question_name": "Q",
    "variable": "v",
    "required": True,
}


def spec(*items: Any, **more: Any) -> dict[str, Any]:
    """Return a survey."""
    return {"name": "", "description": "", "spec": list(items), **more}


def without(name: str) -> dict[str, Any]:
    """Return a good question that lacks a part."""
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "'name' missing from survey spec."),
        ({"name": ""}, "'description' missing from survey spec."),
        ({"name": "", "description": ""}, "'spec' missing from survey spec."),
        (spec(), "'spec' doesn't contain any items."),
        (
            {"name": "", "description": "", "spec": "x"},
            "Expected list of items for field 'spec', received str type.",
        ),
        (spec(7), "Survey question 0 is not a json object."),
        (spec(without("variable")), "'variable' missing from survey question 0"),
        (spec(without("type")), "'type' missing from survey question 0"),
        (spec(GOOD, GOOD), "'variable' 'v' duplicated in survey question 1."),
        (
            spec({**GOOD, "type": "zz"}),
            (
                "'zz' in survey question 0 is not one of 'text, textarea, password, multiplechoice,"
                " multiselect, integer, float' allowed question types."
            ),
        ),
        (
            spec({**GOOD, "required": "yes"}),
            "'required' in survey question 0 expected to be boolean.",
        ),
        (
            spec({**GOOD, "min": "1"}),
            "The min limit in survey question 0 expected to be integer.",
        ),
        (
            spec({**GOOD, "default": 5}),
            "Default value 5 in survey question 0 expected to be string.",
        ),
        (
            spec({**GOOD, "type": "integer", "default": "x"}),
            "Default value x in survey question 0 expected to be integer.",
        ),
        (
            spec({**GOOD, "type": "multiplechoice"}),
            "Survey question 0 of type multiplechoice must specify choices.",
        ),
        (
            spec({**GOOD, "type": "multiplechoice", "choices": "a\nb", "default": "c"}),
            "Default choice must be answered from the choices listed.",
        ),
        (
            spec({**GOOD, "type": "password", "default": "$encrypted$"}),
            "$encrypted$ is a reserved keyword, may not be used for new default in position 0.",
        ),
        (
            spec({**GOOD, "default": "$encrypted$"}),
            (
                "$encrypted$ is a reserved keyword for password question defaults,"
                " survey question 0 is type text."
            ),
        ),
    ],
)
def test_survey_that_does_not_fit_is_refused(given: dict[str, Any], error: str) -> None:
    """Each of AWX's refusals, word by word."""
    with pytest.raises(Refused) as refused:
        survey.checked(given, {})
    assert refused.value.body == {"error": error}


def test_secret_default_is_sealed_and_kept() -> None:
    """A new default is to be sealed; written back as stars it is what was stored."""
    question = {**GOOD, "type": "password", "default": "s3cret"}
    stored = survey.checked(spec(question), {})
    assert stored["spec"][0]["default"] == Unsealed("s3cret")
    before = spec({**question, "default": "c2VhbGVk"})
    again = survey.checked(spec({**question, "default": "$encrypted$"}), before)
    assert again["spec"][0]["default"] == "c2VhbGVk"
    assert survey.shown(before)["spec"][0]["default"] == "$encrypted$"


@pytest.mark.parametrize(
    ("question", "answer", "error"),
    [
        ({"min": 3}, "ab", "'v' value ab is too small (length is 2 must be at least 3)."),
        ({"max": 1}, "ab", "'v' value ab is too large (must be no more than 1)."),
        ({}, 5, "Value 5 for 'v' expected to be a string."),
        ({"type": "integer"}, "5", "Value 5 for 'v' expected to be an integer."),
        ({"type": "integer"}, True, "Value True for 'v' expected to be an integer."),
        (
            {"type": "integer", "min": 1},
            0,
            "'v' value 0 is too small (must be at least 1).",
        ),
        ({"type": "float"}, "x", "Value x for 'v' expected to be a numeric type."),
        ({"type": "multiselect", "choices": ["a"]}, "a", "'v' value is expected to be a list."),
        (
            {"type": "multiselect", "choices": ["a"]},
            ["b"],
            "Value b for 'v' expected to be one of ['a'].",
        ),
        (
            {"type": "multiplechoice", "choices": "a\n\nb"},
            "c",
            "Value c for 'v' expected to be one of ['a', 'b'].",
        ),
        (
            {"type": "password", "min": 9},
            "short",
            "'v' value (secret) is too small (length is 5 must be at least 9).",
        ),
    ],
)
def test_answer_that_does_not_fit_is_told(
    question: dict[str, Any], answer: Any, error: str
) -> None:
    """AWX's sentences; a secret answer is not repeated."""
    assert survey.wrong_answers([{**GOOD, **question}], {"v": answer}) == {"v": [error]}


def test_defaults_fill_what_is_not_answered() -> None:
    """An answer wins over the default; an empty one that need not be given is dropped."""
    asked = [
        {**GOOD, "variable": "a", "required": False, "default": "x"},
        {**GOOD, "variable": "b", "required": False, "default": "y"},
        {**GOOD, "variable": "c", "required": False},
        {**GOOD, "variable": "d", "required": False, "type": "integer", "default": 9, "max": 5},
    ]
    assert survey.answered(asked, {"b": "given", "c": ""}) == {"a": "x", "b": "given"}
