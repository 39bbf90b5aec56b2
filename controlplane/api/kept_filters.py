"""Host filters are tried before an inventory keeps them, for they are asked by everybody after."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from controlplane.api import smart_hosts
from controlplane.api.call import Call
from controlplane.api.listing import REFUSED
from controlplane.domain import host_filter
from controlplane.domain.errors import Invalid
from controlplane.domain.host_filter import Every, Filter, NotAFilter, Some, Term
from controlplane.shell.read_model import View

_BACK_REFERENCE = re.compile(r"\\[1-9]")


async def check_body(call: Call, kind: str, body: Mapping[str, Any]) -> None:
    """Refuse an inventory's host filter that cannot be asked of hosts; raises Invalid.

    It is asked again whenever the inventory is shown, by whomever: its regular expressions must be
    some, and may not refer back, for those can take for ever.
    """
    text = body.get("host_filter")
    if kind != "inventory" or not isinstance(text, str) or not text.strip():
        return
    text = text.strip()
    try:
        smart_hosts.condition(text)
        for expression in _expressions(host_filter.parse(text)):
            async with call.read() as view:
                await _try(view, expression, text)
    except NotAFilter as error:
        raise Invalid({"host_filter": [str(error)]}) from error


async def _try(view: View, expression: str, text: str) -> None:
    if _BACK_REFERENCE.search(expression):
        raise NotAFilter(f"Invalid query {text}")
    try:
        await view.value("select '' ~ $1", expression)
    except REFUSED as error:
        raise NotAFilter(f"Invalid query {text}") from error


def _expressions(asked: Filter) -> Iterator[str]:
    """Yield the regular expressions of a filter."""
    match asked:
        case Term(name=name, value=value):
            if name.endswith(("__regex", "__iregex")):
                yield value
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from _expressions(part)
        case _:
            assert_never(asked)
