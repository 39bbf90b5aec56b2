"""The language of host filters."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain.host_filter import Every, Filter, NotAFilter, Some, Term, parse

A, B, C = Term("a", "1"), Term("b", "2"), Term("c", "3")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a=1", A),
        (" a = 1 ", A),
        ('"a"="1"', A),
        ("a=", Term("a", "")),
        ('a=""', Term("a", "")),
        ('name="x y (z)=1"', Term("name", "x y (z)=1")),
        ("name=and", Term("name", "and")),
        ("name= and b=2", Every((Term("name", ""), B))),
        ("a=1 and b=2", Every((A, B))),
        ("a=1 or b=2 and c=3", Some((A, Every((B, C))))),
        ("(a=1 or b=2) and c=3", Every((Some((A, B)), C))),
        ("((a=1))", A),
        ("ansible_facts__x__y[]=1", Term("ansible_facts__x__y[]", "1")),
        ("groups__name__icontains=é", Term("groups__name__icontains", "é")),
    ],
)
def test_a_filter_means(text: str, meaning: Filter) -> None:
    """``and`` binds closer than ``or``; parentheses and quotes are as usual."""
    assert parse(text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a",
            "a=1 b=2",
            "a=1 and",
            "and a=1",
            "(a=1",
            "a=1)",
            "()",
            "=1",
            "a==1",
            '"=1',
            '""=1',
        ),
        "(" * 51 + "a=1" + ")" * 51,
        " or ".join(["a=1"] * 501),
    ],
)
def test_what_is_no_filter_is_named(text: str) -> None:
    """The whole text stands in the message, as AWX writes it."""
    with pytest.raises(NotAFilter) as refused:
        parse(text)
    assert str(refused.value) == f"Invalid query {text}"


def test_facts_are_only_compared() -> None:
    """Lookups on facts are refused in AWX's words."""
    with pytest.raises(NotAFilter, match="ansible_facts does not support searching with __icon"):
        parse("ansible_facts__a__icontains=x")


@given(st.text(alphabet='ab1=()" \t', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but NotAFilter comes of a text."""
    with contextlib.suppress(NotAFilter):
        assert isinstance(parse(text), Term | Every | Some)


def test_a_value_that_is_long_to_search_for_is_refused() -> None:
    """One such smart inventory kept whoever listed inventories waiting; lists of ids are taken."""
    with pytest.raises(NotAFilter):
        parse("search=" + "a" * 1025)
    assert parse("search=" + "a" * 1024) == Term("search", "a" * 1024)
    ids = ",".join(map(str, range(2000)))
    assert parse(f"id__in={ids}") == Term("id__in", ids)


WORDS = st.text(alphabet="abcé._-1", min_size=1, max_size=5)
TERMS = st.builds(Term, WORDS, st.text(alphabet="ab 1()=é", max_size=5))


def written(asked: Filter) -> str:
    """Return a text that means this filter."""
    match asked:
        case Term(name=name, value=value):
            return f'{name}="{value}"'
        case Every(parts=parts):
            return " and ".join(f"({written(part)})" for part in parts)
        case Some(parts=parts):
            return " or ".join(f"({written(part)})" for part in parts)


def joined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Return filters of two or three parts."""
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(parts.map(Every), parts.map(Some))


@given(st.recursive(TERMS, joined, max_leaves=8))
def test_what_is_written_is_read_back(asked: Filter) -> None:
    """Reading a written filter gives the filter."""
    assert parse(written(asked)) == asked
