"""Lists: filters, order, search and pages in AWX's grammar."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from controlplane.api import listing, render, visibility
from controlplane.api.error_answers import answer_error
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def inventory(stack: Stack) -> dict[str, Any]:
    """An inventory of three hosts; alpha and beta are in group web."""
    organization = await stack.make("organizations", name="lists")
    made = await stack.make("inventories", name="listed", organization=organization["id"])
    number = made["id"]
    for name, enabled in (("alpha", True), ("beta", False), ("gamma+x", True)):
        await stack.make("hosts", name=name, inventory=number, enabled=enabled, description="d_1")
    group = await stack.make("groups", name="web", inventory=number, description="front")
    other = await stack.make("groups", name="other", inventory=number, description="back")
    for name, target in (("alpha", group), ("beta", group), ("alpha", other)):
        host = (await stack.client.get(f"/api/v2/hosts/?name={name}")).json()["results"][0]
        await stack.client.post(f"{target['url']}hosts/", json={"id": host["id"]})
    return made


async def names(stack: Stack, query: str) -> list[str]:
    """Return the names of the hosts that a query finds."""
    answered = await stack.client.get(f"/api/v2/hosts/?{query}")
    assert answered.status_code == 200, answered.text
    return [row["name"] for row in answered.json()["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["alpha", "beta", "gamma+x"]),
        ("order_by=-name", ["gamma+x", "beta", "alpha"]),
        ("name=alpha", ["alpha"]),
        ("name__iexact=ALPHA", ["alpha"]),
        ("name__startswith=al", ["alpha"]),
        ("name__iendswith=TA", ["beta"]),
        ("name__contains=_", []),
        ("description__contains=d_", ["alpha", "beta", "gamma+x"]),
        ("name__in=alpha,beta", ["alpha", "beta"]),
        ("name__regex=^a", ["alpha"]),
        ("name__gt=alpha", ["beta", "gamma+x"]),
        ("enabled=true", ["alpha", "gamma+x"]),
        ("enabled=0", ["beta"]),
        ("not__name=alpha", ["beta", "gamma+x"]),
        ("or__name=alpha&or__name=beta", ["alpha", "beta"]),
        ("or__name=alpha&or__not__enabled=true", ["alpha", "beta"]),
        ("name=alpha&name=beta", []),
        ("search=BET", ["beta"]),
        ("search=d_1+bet", ["beta"]),
        ("groups__name=web", ["alpha", "beta"]),
        ("groups__name=web&groups__description=back", []),
        ("chain__groups__name=web&chain__groups__description=back", ["alpha"]),
        ("groups__isnull=true", ["gamma+x"]),
        ("not__groups__name=web", ["gamma+x"]),
        ("groups__search=front", ["alpha", "beta"]),
        ("inventory__organization__name=lists&name=beta", ["beta"]),
        ("inventory__name__icontains=LIST", ["alpha", "beta", "gamma+x"]),
        ("created_by__username=admin&name=alpha", ["alpha"]),
        ("created_by__isnull=true", []),
        ("id__gte=1&name=alpha", ["alpha"]),
        ("order_by=enabled,-name", ["beta", "gamma+x", "alpha"]),
        ("order_by=-inventory__name,name", ["alpha", "beta", "gamma+x"]),
        ("created__gt=2020-01-01T00:00:00Z&name=alpha", ["alpha"]),
    ],
)
async def test_filters(
    stack: Stack, inventory: dict[str, Any], query: str, expected: list[str]
) -> None:
    """Each form of the grammar finds what AWX finds."""
    assert await names(stack, query) == expected


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("hosts/?zz=1", 400, "Host has no field named 'zz'"),
        ("hosts/?order_by=zz", 400, "Host has no field named 'zz'"),
        ("hosts/?name__foo=1", 400, "No related model for field name."),
        ("hosts/?inventory=abc", 400, "Invalid inventory id: abc"),
        ("hosts/?enabled=yes", 400, 'Unable to convert "yes" to boolean'),
        ("hosts/?id__in=", 400, "cannot provide empty value for __in"),
        ("users/?password=x", 403, "Filtering on password is not allowed."),
        ("users/?password__regex=x", 403, "Filtering on password is not allowed."),
        ("hosts/?created_by__password__startswith=x", 403, None),
        ("users/?page=99", 404, "Invalid page."),
        ("users/?page=0", 404, "Invalid page."),
        ("users/?page=x", 404, "Invalid page."),
        ("hosts/?name__regex=(", 400, None),
        ("hosts/?name__regex=%5B%5Ba", 400, None),
        ("hosts/?id=99999999999999999999", 400, None),
        ("hosts/?inventory__hosts__inventory__hosts__name=x", 400, None),
    ],
)
async def test_refused_filters(
    stack: Stack, inventory: dict[str, Any], query: str, status: int, detail: str | None
) -> None:
    """What makes no sense is named; what is secret is not filtered on."""
    answered = await stack.client.get(f"/api/v2/{query}")
    assert answered.status_code == status, answered.text
    if detail is not None:
        assert answered.json() == {"detail": detail}


async def test_pages_link_to_one_another(stack: Stack, inventory: dict[str, Any]) -> None:
    """The links to both neighbours are relative and keep every parameter."""
    first = (await stack.client.get("/api/v2/hosts/?page_size=2&enabled__isnull=false")).json()
    assert (first["count"], first["previous"]) == (3, None)
    assert first["next"] == "/api/v2/hosts/?enabled__isnull=false&page=2&page_size=2"
    second = (await stack.client.get(first["next"])).json()
    assert [row["name"] for row in second["results"]] == ["gamma+x"]
    assert second["next"] is None
    assert second["previous"] == "/api/v2/hosts/?enabled__isnull=false&page_size=2"


async def test_page_size_is_capped_silently(stack: Stack, inventory: dict[str, Any]) -> None:
    """A page size of nonsense is the default, one too large is 200."""
    for size in ("0", "x", "-3", "100000"):
        answered = await stack.client.get(f"/api/v2/hosts/?page_size={size}")
        assert answered.json()["count"] == 3


async def test_count_can_be_left_out(stack: Stack, inventory: dict[str, Any]) -> None:
    """count_disabled answers results alone."""
    answered = await stack.client.get("/api/v2/hosts/?count_disabled=1")
    assert list(answered.json()) == ["results"]


@pytest.mark.parametrize(
    "path",
    [
        "hosts/alpha++listed++lists/",
        "hosts/gamma[+]x++listed++lists/",
        "inventories/listed++lists/",
        "inventories/listed++lists/hosts/",
        "organizations/lists/",
        "organizations/lists/inventories/",
        "users/admin/",
        "groups/web++listed++lists/hosts/",
    ],
)
async def test_names_stand_for_ids(stack: Stack, inventory: dict[str, Any], path: str) -> None:
    """A named URL works wherever an id does, with the escapes of its parts."""
    assert (await stack.client.get(f"/api/v2/{path}")).status_code == 200


async def test_detail_shows_its_named_url(stack: Stack, inventory: dict[str, Any]) -> None:
    """related.named_url leads back to the object."""
    found = (await stack.client.get("/api/v2/hosts/?name=gamma%2Bx")).json()["results"][0]
    assert "named_url" not in found["related"]
    detail = (await stack.client.get(found["url"])).json()
    assert detail["related"]["named_url"] == "/api/v2/hosts/gamma[+]x++listed++lists/"
    assert (await stack.client.get(detail["related"]["named_url"])).json() == detail


class Counted(View):
    """A view that counts what is asked through another."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.asked = 0

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Pass a query on and count it."""
        self.asked += 1
        return await self._view.fetch(sql, *args)

    async def row(self, sql: str, *args: Any) -> Row | None:
        """Pass a query on and count it."""
        self.asked += 1
        return await self._view.row(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        """Pass a query on and count it."""
        self.asked += 1
        return await self._view.value(sql, *args)


@pytest.mark.parametrize("kind", ["host", "inventory", "job_template", "user", "organization"])
async def test_a_page_costs_a_fixed_number_of_queries(
    stack: Stack, inventory: dict[str, Any], kind: str
) -> None:
    """Rendering a page of many rows asks no more than rendering one row."""
    who = Principal(id=1, username="admin", superuser=True)
    columns = visibility.fact_columns(kind)
    async with stack.services.read.view() as view:
        rows = await view.fetch(f'select t.*{columns} from "{kind}" t order by t."id" desc')
        asked = []
        for part in (rows[:1], rows, [*rows] * 3):
            counted = Counted(view)
            await render.page(counted, who, kind, part)
            asked.append(counted.asked)
    assert len(set(asked)) == 1


async def test_an_expression_that_takes_for_ever_is_cut_off(
    stack: Stack, inventory: dict[str, Any]
) -> None:
    """Backtracking without end is a 400, and the connection answers the next request."""
    number = inventory["id"]
    await stack.make("hosts", name="slow", inventory=number, description="ab" * 2000 + "c")
    query = {"description__regex": r"(?:(.+)\1)+$", "name": "slow"}
    answered = await stack.client.get("/api/v2/hosts/", params=query)
    assert answered.status_code == 400, answered.text
    assert answered.json() == {"detail": listing.TOO_LONG}
    assert await names(stack, "name=slow") == ["slow"]


async def test_a_slow_query_is_given_up_and_said_so(
    stack: Stack, inventory: dict[str, Any]
) -> None:
    """What the database does not answer in time is 503 with Retry-After, in words."""
    async with stack.services.read.view() as view:
        await view.limit(1)
        with pytest.raises(asyncpg.QueryCanceledError) as canceled:
            await view.fetch("select count(*) from generate_series(1, 100000000)")
    request: Any = SimpleNamespace(url=SimpleNamespace(path="/"))
    answered = answer_error(request, canceled.value)
    assert (answered.status_code, answered.headers["Retry-After"]) == (503, "2")
    assert b"The query took longer than 15 seconds and was given up." in answered.content
    assert len(await names(stack, "name=alpha")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "&".join(["or__name=a"] * 1000),
        "name__in=" + ",".join("x" * 20_000),
        "search=" + "a+" * 3000,
    ],
)
async def test_long_queries_are_answered(
    stack: Stack, inventory: dict[str, Any], query: str
) -> None:
    """A query of thousands of terms finds something or is refused, and breaks nothing."""
    answered = await stack.client.get(f"/api/v2/hosts/?{query}")
    assert answered.status_code in (200, 400), answered.text
    assert len(await names(stack, "name=alpha")) == 1


@pytest.mark.parametrize("page", ["99", "0", "x", "9" * 5000])
async def test_the_list_of_hosts_says_it_in_its_own_way(
    stack: Stack, inventory: dict[str, Any], page: str
) -> None:
    """AWX's list of hosts answers a page that is not there with 400 and ``error``."""
    answered = await stack.client.get(f"/api/v2/hosts/?page={page}")
    assert (answered.status_code, answered.json()) == (400, {"error": "Invalid page."})


@pytest.mark.parametrize("order", ["", "name", "-name", "-created", "description,-id"])
async def test_pages_behind_the_middle_follow_those_before(stack: Stack, order: str) -> None:
    """All pages one after another are the list, though the later half is read from its end."""
    word = f"paged-{order.replace(',', '')}"
    for number in range(7):
        await stack.make("organizations", name=f"{word} {number}", description="ab"[number % 2])
    asked = f"/api/v2/organizations/?name__startswith={word} &order_by={order}"
    whole = (await stack.client.get(f"{asked}&page_size=200")).json()
    pages = [(await stack.client.get(f"{asked}&page_size=2&page={n}")).json() for n in range(1, 5)]
    listed = [each["id"] for page in pages for each in page["results"]]
    assert listed == [each["id"] for each in whole["results"]]
    assert len(listed) == 7
    assert {page["count"] for page in pages} == {7}
