"""Two commands of one moment that contradict each other: one of them takes effect, never both."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controlplane.api.writes import context_of
from controlplane.domain.resource import Delete, Link
from controlplane.shell import access_commands
from controlplane.shell.access_commands import Holder
from controlplane.shell.config_writer import Prepare
from controlplane.shell.resource_commands import prepare_for
from schemas.envelope import SYSTEM
from schemas.roles import ObjectRole
from tests.api.invariants import broken
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def at_once(stack: Stack, *commands: Prepare) -> list[Any]:
    """Submit commands so that one round of the writer takes them all; return their outcomes."""
    writer = stack.services.writer
    tasks = (writer.submit(each, context_of(SYSTEM)) for each in commands)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    last = max(each.position for each in outcomes if not isinstance(each, BaseException))
    assert await stack.services.catch_up.wait("config", last, 20)
    return outcomes


def gone(stack: Stack, kind: str, number: int) -> Prepare:
    """Return the command that deletes an object."""
    return prepare_for(Delete(kind=kind, id=number), stack.services)


def joined(stack: Stack, kind: str, number: int, relation: str, target: int) -> Prepare:
    """Return the command that attaches a target."""
    link = Link(kind=kind, id=number, relation=relation, target=target)
    return prepare_for(link, stack.services)


@pytest.mark.parametrize("how", ["role", "role of a team", "definition", "team's definition"])
@pytest.mark.parametrize("team_goes", [False, True])
async def test_grant_below_what_is_deleted(stack: Stack, how: str, *, team_goes: bool) -> None:
    """A role on an object, or of a team, that goes with its organization is not left over."""
    name = f"{how}-{team_goes}"
    place = await stack.make("organizations", name=f"place-{name}")
    home = await stack.make("organizations", name=f"home-{name}")
    inventory = await stack.make("inventories", name="i", organization=place["id"])
    team = await stack.make("teams", name="t", organization=home["id"])
    user = await stack.add_user(f"holder-{name}".replace(" ", "").replace("'", ""))
    holder = Holder(team=team["id"]) if "team" in how else Holder(user=user)
    role = ObjectRole(kind="inventory", object_id=inventory["id"], role="use")
    found = await stack.client.get("/api/v2/role_definitions/?name=Inventory%20Use")
    definition = found.json()["results"][0]["id"]
    given = (
        access_commands.assign(definition, holder, "inventory", inventory["id"])
        if "definition" in how
        else access_commands.grant(role, holder)
    )
    goes = home["id"] if team_goes else place["id"]
    await at_once(stack, gone(stack, "organization", goes), given)
    assert await broken(stack.services.pool) == []


async def test_member_of_a_group_whose_two_parents_go(stack: Stack) -> None:
    """A group that either parent would leave to the other goes with the second, and all in it."""
    organization = await stack.make("organizations", name="two parents")
    inventory = await stack.make("inventories", name="i", organization=organization["id"])
    groups = [
        (await stack.make("groups", name=name, inventory=inventory["id"]))["id"]
        for name in ("one", "two", "shared")
    ]
    host = await stack.make("hosts", name="h", inventory=inventory["id"])
    for parent in groups[:2]:
        await at_once(stack, joined(stack, "group", parent, "children", groups[2]))
    await at_once(
        stack,
        gone(stack, "group", groups[0]),
        gone(stack, "group", groups[1]),
        joined(stack, "group", groups[2], "hosts", host["id"]),
    )
    assert await broken(stack.services.pool) == []
    assert (await stack.client.get(f"/api/v2/groups/{groups[2]}/")).status_code == 404
