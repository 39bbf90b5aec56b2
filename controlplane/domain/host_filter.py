"""The language of ``host_filter``: terms joined by ``and``, ``or`` and parentheses.

``field=value``, with quotes where a name or value holds blanks or signs. ``and`` binds closer than
``or``. What the names mean is for whoever reads the hosts to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from msgspec import Struct

DEPTH_MAX = 50
TERMS_MAX = 500
VALUE_MAX = 1024
"""Characters of a value, lists of alternatives apart: each host's texts are searched for it."""
_TOKEN = re.compile(r'\s*(?:([()=])|"([^"]*)"|([^\s()="]+))')
FACTS = "ansible_facts"
_FACT_LOOKUP = re.compile(
    r"__(?:contains|contained_by|has_key|has_keys|has_any_keys|i?startswith|i?endswith|icontains"
    r"|iexact|i?regex|gte?|lte?|in|isnull|range|search)$"
)


class NotAFilter(Exception):
    """The text is no filter; the message is AWX's."""


class Term(Struct, frozen=True):
    """One comparison; ``name`` may end in a lookup."""

    name: str
    value: str


class Every(Struct, frozen=True):
    """Every part holds."""

    parts: tuple[Filter, ...]


class Some(Struct, frozen=True):
    """Some part holds."""

    parts: tuple[Filter, ...]


Filter = Term | Every | Some


class _Token(Struct, frozen=True):
    text: str
    sign: bool = False
    quoted: bool = False


def parse(text: str) -> Filter:
    """Return what a text asks for; raises NotAFilter."""
    parser = _Parser(text)
    found = parser.either(0)
    parser.end()
    return found


class _Parser:
    """One pass over the tokens of a text, one method for each level of binding."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*self._split()]
        self._at = 0
        self._terms = 0

    def either(self, depth: int) -> Filter:
        """Read alternatives."""
        parts = [self._both(depth)]
        while self._word("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def end(self) -> None:
        """Refuse anything that is left over."""
        if self._at < len(self._tokens):
            raise self._wrong()

    def _both(self, depth: int) -> Filter:
        parts = [self._operand(depth)]
        while self._word("and"):
            parts.append(self._operand(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _operand(self, depth: int) -> Filter:
        if self._sign("("):
            if depth == DEPTH_MAX:
                raise self._wrong()
            inner = self.either(depth + 1)
            if not self._sign(")"):
                raise self._wrong()
            return inner
        return self._term()

    def _term(self) -> Term:
        name = self._next()
        self._terms += 1
        if name is None or name.sign or not name.text or self._terms > TERMS_MAX:
            raise self._wrong()
        if not self._sign("="):
            raise self._wrong()
        value = self._peek()
        bare = value is not None and not value.quoted and value.text in ("and", "or")
        if value is None or value.sign or (bare and self._continues()):
            return self._checked(Term(name.text, ""))
        self._at += 1
        if len(value.text) > VALUE_MAX and not name.text.endswith("__in"):
            raise self._wrong()
        return self._checked(Term(name.text, value.text))

    def _checked(self, term: Term) -> Term:
        if term.name.partition("__")[0] == FACTS and (found := _FACT_LOOKUP.search(term.name)):
            message = f"ansible_facts does not support searching with {found.group()}"
            raise NotAFilter(message)
        return term

    def _continues(self) -> bool:
        """Return whether the word at hand joins two terms instead of being a value."""
        after = self._tokens[self._at + 1 : self._at + 3]
        opens = bool(after) and after[0].sign and after[0].text == "("
        return opens or (len(after) == 2 and after[1].sign and after[1].text == "=")  # noqa: PLR2004 - a name and a sign

    def _word(self, word: str) -> bool:
        token = self._peek()
        if token is None or token.sign or token.quoted or token.text != word:
            return False
        self._at += 1
        return True

    def _sign(self, sign: str) -> bool:
        token = self._peek()
        if token is None or not token.sign or token.text != sign:
            return False
        self._at += 1
        return True

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token | None:
        token = self._peek()
        self._at += 1
        return token

    def _split(self) -> Iterator[_Token]:
        rest = self._text.rstrip()
        at = 0
        while at < len(rest):
            found = _TOKEN.match(rest, at)
            if found is None:
                raise self._wrong()
            sign, quoted, word = found.groups()
            if sign is not None:
                yield _Token(sign, sign=True)
            elif quoted is not None:
                yield _Token(quoted, quoted=True)
            else:
                yield _Token(word)
            at = found.end()

    def _wrong(self) -> NotAFilter:
        return NotAFilter(f"Invalid query {self._text}")


def facts_holding(name: str, value: str) -> tuple[str, ...]:
    """Return what a host's facts must hold, one of these as JSON: ``ansible_facts__a__b[]=v``.

    ``a[]`` is a list that holds the value. Digits may be a number or a text.
    """
    pieces = name.split("__")[1:]
    values: list[object] = [value]
    if re.fullmatch(r"-?\d{1,18}", value):
        values.append(int(value))
    return tuple(json.dumps(_nested(pieces, each)) for each in values)


def _nested(pieces: list[str], value: object) -> object:
    if not pieces:
        return value
    inner = _nested(pieces[1:], value)
    first = pieces[0]
    return {first.removesuffix("[]"): [inner] if first.endswith("[]") else inner}
