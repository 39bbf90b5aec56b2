"""Variables as text."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from controlplane.domain import extra_vars


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("  \n", {}),
        ('{"a": 1}', {"a": 1}),
        ("a: 1\nb: [x, y]", {"a": 1, "b": ["x", "y"]}),
        ("---\n", {}),
        ({"a": None}, {"a": None}),
        (None, {}),
    ],
)
def test_json_yaml_and_objects_are_variables(text: object, values: object) -> None:
    """JSON, YAML and objects all give their variables; empty text gives none."""
    assert extra_vars.parse(text) == values  # type: ignore[arg-type]  # hostile input on purpose


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "7", '["a"]'])
def test_what_is_no_object_is_refused_by_its_type(text: str) -> None:
    """A list, a string or a number is no set of variables, and the message names its type."""
    with pytest.raises(extra_vars.NotVariables, match="is not a dictionary"):
        extra_vars.parse(text)


def test_broken_text_names_both_parsers_complaints() -> None:
    """Text that is neither JSON nor YAML is refused with both reasons."""
    with pytest.raises(extra_vars.NotVariables, match=r"Cannot parse as JSON .* or YAML"):
        extra_vars.parse("{a: [}")


def test_later_layers_win_whole() -> None:
    """A later layer replaces a key's whole value; other keys stay."""
    assert extra_vars.merge({"a": {"x": 1}, "b": 2}, {"a": {"y": 3}}) == {"a": {"y": 3}, "b": 2}


def test_yaml_dates_become_text() -> None:
    """A YAML date survives as JSON text."""
    assert extra_vars.as_text(extra_vars.parse("day: 2026-11-24")) == '{"day":"2026-11-24"}'


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: &x [*x]", "nested deeper"),
        ('{"a": ' + "[" * 50_000 + "]" * 50_000 + "}", "Cannot parse"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested deeper"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "\n".join(
                f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in pairwise("abcdefghijk")
            ),
            "too large",
        ),
        ("a: {? [1, 2] : x}", "Cannot parse"),
        ("a: {2026-11-24: [&x {? !!binary aGk= : *x}]}", "nested deeper"),
    ],
    ids=["cycle", "deep text", "deep", "alias bomb", "list as key", "cycle below keys"],
)
def test_what_cannot_be_written_out_is_refused(text: str, cause: str) -> None:
    """A cycle, a bomb of aliases and a list as a key are refused in words, never a crash."""
    with pytest.raises(extra_vars.NotVariables, match=cause):
        extra_vars.parse(text)


@pytest.mark.parametrize(
    "value", ['!!int ""', "!!bool maybe", '!!float ""', "!!timestamp x", "2026-13-45", "!!int x"]
)
def test_a_value_that_is_none_of_its_type_is_refused(value: str) -> None:
    """Whatever the reader of YAML stumbles over."""
    with pytest.raises(extra_vars.NotVariables, match="Cannot parse"):
        extra_vars.parse(f"a: {value}")


def test_a_lone_surrogate_is_refused() -> None:
    """Text that no encoding can carry is refused, also in an object."""
    for variables in ({"a": ["\ud800"]}, "\ud800", '{"a": "\ud800"}', "a: \ud800"):
        with pytest.raises(extra_vars.NotVariables, match="surrogates"):
            extra_vars.parse(variables)


@pytest.mark.parametrize("text", ["a: [" + "1," * 250_000 + "]", "- " * 250_000, "a:\n" * 250_000])
def test_yaml_of_very_many_values_is_not_read(text: str) -> None:
    """Everybody would wait while it is; as JSON such variables are taken."""
    with pytest.raises(
        extra_vars.NotVariables, match="more than 200000 values are taken as JSON only"
    ):
        extra_vars.parse(text)
    many = ["1"] * 250_000
    assert extra_vars.parse(json.dumps({"a": many})) == {"a": many}


def test_long_number_in_base_60_is_not_read() -> None:
    """It would take the square of its length; what looks like a time or an address is taken."""
    with pytest.raises(extra_vars.NotVariables, match="a number in base 60 is too long"):
        extra_vars.parse("a: 1" + ":59" * 60_000)
    assert extra_vars.parse("a: 1:30\nb: '10:20:30:40:50:59'\n") == {
        "a": 90,
        "b": "10:20:30:40:50:59",
    }
