"""Names are filtered by expressions that anybody may have written."""

from __future__ import annotations

import pytest

from controlplane.domain.imported import Unusable
from controlplane.shell import name_filter

pytestmark = pytest.mark.asyncio


async def test_names_match_from_their_start() -> None:
    """As in AWX: what follows the match does not matter."""
    found = await name_filter.matching("web|fe", ["web1", "db-web", "fe80::1", "w\u00e9b"])
    assert found == {"web1", "fe80::1"}


@pytest.mark.parametrize("pattern", ["(", "(" * 5000, "a{99999999999}", "(?P<a>x)(?P<a>y)"])
async def test_what_is_no_expression_says_so(pattern: str) -> None:
    """However deep it is."""
    with pytest.raises(Unusable, match=r"host_filter is no regular expression: .+"):
        await name_filter.matching(pattern, ["web1"])


async def test_an_endless_search_is_ended() -> None:
    """The process that does it is gone, and the reason names the filter."""
    with pytest.raises(Unusable, match="host_filter needs more than 1 s"):
        await name_filter.matching("(a+)+$", ["a" * 64 + "b"], within_s=1.0)
