"""The projection ``config``: resources, links, grants, and what a deletion takes along."""

from __future__ import annotations

from typing import Any

import pytest

from projections.checkpoint import Connection
from projections.resources import Config
from schemas.events.access import (
    RoleAssigned,
    RoleGranted,
    RoleRevoked,
    RoleUnassigned,
    TokenCreated,
    TokenRevoked,
    TokenUpdated,
)
from schemas.events.instance import (
    InstanceAdjusted,
    InstanceAvailable,
    InstanceRegistered,
    InstanceUnavailable,
)
from schemas.events.resource import (
    ResourceCreated,
    ResourceDeleted,
    ResourceLinked,
    ResourceUnlinked,
    ResourceUpdated,
)
from schemas.role_definitions import definition_of
from tests.factories import NOW
from tests.projections.rig import USER, Room, config


@pytest.fixture
def room(connection: Connection) -> Room:
    """The projection's tables."""
    return Room(connection, Config())


def made(kind: str, number: int, **values: Any) -> ResourceCreated:
    """A resource's creation; its name is its kind and id."""
    return ResourceCreated(kind=kind, id=number, values={"name": f"{kind}-{number}", **values})


def gone(kind: str, number: int) -> ResourceDeleted:
    """A resource's deletion."""
    return ResourceDeleted(kind=kind, id=number)


def link(kind: str, number: int, relation: str, target: int) -> ResourceLinked:
    """A link."""
    return ResourceLinked(kind=kind, id=number, relation=relation, target=target)


def granted(user: int, kind: str, number: int, role: str) -> RoleGranted:
    """A grant."""
    return RoleGranted(user=user, kind=kind, object_id=number, role=role)


INVENTORY = (made("organization", 1), made("inventory", 1, organization=1))


async def test_a_resource_is_created_changed_and_deleted(room: Room) -> None:
    """Its row holds the last values, when they came and from whom."""
    changed = ResourceUpdated(kind="organization", id=1, changes={"description": "new"})
    await room.given(config(made("organization", 1), made("organization", 2), actor=USER))
    await room.when(config(changed, gone("organization", 2)))
    query = "SELECT id, name, description, created_by, modified_by, position FROM organization"
    assert await room.rows(query) == [(1, "organization-1", "new", 3, None, 3)]
    positions = "SELECT id, position FROM object_position WHERE kind = 'organization' ORDER BY 1, 2"
    assert await room.rows(positions) == [(1, 1), (1, 3), (2, 2), (2, 4)]


async def test_one_message_may_hold_thousands(room: Room) -> None:
    """Hosts and their counter come out right, with changes and deletions of them in between."""
    hosts = [made("host", number, inventory=1) for number in range(1, 5001)]
    await room.given(config(INVENTORY, [*hosts, gone("host", 7), made("host", 6000, inventory=1)]))
    assert await room.column("SELECT count(*) FROM host") == [5000]
    assert await room.column("SELECT total_hosts FROM inventory") == [5000]


async def test_an_organization_takes_everything_below_it_along(room: Room) -> None:
    """Rows, links and grants of what cascades go; another organization's stay."""
    below = (
        made("host", 1, inventory=1),
        made("group", 1, inventory=1),
        link("group", 1, "hosts", 1),
    )
    other = (made("organization", 2), made("inventory", 2, organization=2))
    await room.given(
        config(
            *(INVENTORY, below, other, made("team", 1, organization=1)),
            (granted(5, "inventory", 1, "admin"), granted(5, "inventory", 2, "admin")),
            gone("organization", 1),
        )
    )
    for table in ("host", '"group"', "group_hosts", "team"):
        assert await room.column(f"SELECT count(*) FROM {table}") == [0], table
    assert await room.column("SELECT id FROM inventory") == [2]
    assert await room.column("SELECT object_id FROM role_grant") == [2]


async def test_a_reference_that_may_be_empty_is_emptied(room: Room) -> None:
    """A job template stays when its inventory goes, and is changed at that position."""
    template = made("job_template", 1, inventory=1, organization=1, playbook="a.yml")
    await room.given(config(INVENTORY, template, gone("inventory", 1)))
    assert await room.rows("SELECT inventory, position FROM job_template") == [(None, 3)]


async def test_a_group_takes_along_what_is_in_no_other_group(room: Room) -> None:
    """Descendants and hosts that are also below a group that stays stay, and counts follow."""
    groups = [made("group", number, inventory=1) for number in (1, 2, 3, 4, 5)]
    nesting = [(1, 2), (2, 3), (1, 4), (5, 4), (4, 3)]
    children = [link("group", parent, "children", child) for parent, child in nesting]
    hosts = [made("host", number, inventory=1) for number in (1, 2, 3, 4)]
    members = [(1, 1), (2, 2), (3, 3), (1, 3)]
    held = [link("group", group, "hosts", host) for group, host in members]
    await room.given(config(INVENTORY, groups, children, hosts, held, gone("group", 1)))
    assert await room.column('SELECT id FROM "group" ORDER BY 1') == [3, 4, 5]
    assert await room.rows("SELECT id, target FROM group_children ORDER BY 1") == [(4, 3), (5, 4)]
    assert await room.column("SELECT id FROM host ORDER BY 1") == [3, 4]
    assert await room.rows("SELECT id, target FROM group_hosts") == [(3, 3)]
    assert await room.rows("SELECT total_hosts, total_groups FROM inventory") == [(2, 3)]


async def test_links_are_made_once_and_undone(room: Room) -> None:
    """A repeated link changes nothing; the order of links is the order of the log."""
    label = [made("label", number, organization=1) for number in (1, 2)]
    on = [link("inventory", 1, "labels", number) for number in (2, 1)]
    await room.given(config(INVENTORY, label, on, on[:1]))
    query = "SELECT target, position FROM inventory_labels ORDER BY position, target"
    assert await room.rows(query) == [(1, 3), (2, 3)]
    await room.when(config(ResourceUnlinked(kind="inventory", id=1, relation="labels", target=2)))
    assert await room.column("SELECT target FROM inventory_labels") == [1]


async def test_who_creates_administers(room: Room) -> None:
    """Unless a superuser: who needs no grant for that."""
    alice = ResourceCreated(kind="user", id=3, values={"username": "alice"})
    await room.given(config(alice))
    await room.when(config(made("organization", 1), actor=USER))
    promoted = ResourceUpdated(kind="user", id=3, changes={"is_superuser": True})
    await room.when(config(promoted, made("organization", 2), actor=USER))
    assert await room.rows("SELECT user_id, object_id, role FROM role_grant") == [(3, 1, "admin")]


async def test_grants_are_links_of_relations_kept_as_roles(room: Room) -> None:
    """Members of an organization read as links; a revoked grant and a deleted user are gone."""
    users = [
        ResourceCreated(kind="user", id=each, values={"username": f"u{each}"}) for each in (3, 4)
    ]
    grants = [
        granted(user, "organization", 1, role) for user in (3, 4) for role in ("member", "admin")
    ]
    await room.given(config(users, made("organization", 1), grants, grants[0]))
    assert await room.column("SELECT target FROM organization_users ORDER BY 1") == [3, 4]
    revoked = RoleRevoked(user=3, kind="organization", object_id=1, role="member")
    await room.when(config(revoked, gone("user", 4)))
    assert await room.column("SELECT target FROM organization_users") == []
    assert await room.rows("SELECT user_id, role FROM role_grant") == [(3, "admin")]


async def test_a_team_s_grants_end_with_team_object_and_definition(room: Room) -> None:
    """A custom definition grants what it permits now; nothing outlives its ends."""
    custom = 100
    definition = ResourceCreated(
        kind="role_definition",
        id=custom,
        values={"name": "x", "permissions": ["awx.view_project", "awx.use_project"]},
    )
    teams = [
        ResourceCreated(kind="team", id=each, values={"name": f"t{each}", "organization": 1})
        for each in (5, 6)
    ]
    held = [
        RoleAssigned(definition=number, team=team, kind="project", object_id=7)
        for team in (5, 6)
        for number in (custom, definition_of("project", "use"))
    ]
    await room.given(config(made("organization", 1), definition, teams, held, held[0]))
    grants = "SELECT team_id, role FROM role_grant ORDER BY 1, 2"
    both = ["awx.use_project", "awx.view_project", "use"]
    assert await room.rows(grants) == [(team, role) for team in (5, 6) for role in both]
    assert len(set(await room.column("SELECT id FROM role_assignment"))) == len(held)
    fewer = ResourceUpdated(
        kind="role_definition", id=custom, changes={"permissions": ["awx.view_project"]}
    )
    await room.when(config(fewer, gone("team", 5)))
    assert await room.rows(grants) == [(6, "awx.view_project"), (6, "use")]
    await room.when(config(gone("role_definition", custom)))
    assert await room.rows(grants) == [(6, "use")]
    taken = RoleUnassigned(
        definition=definition_of("project", "use"), team=6, kind="project", object_id=7
    )
    await room.when(config(taken))
    assert await room.rows(grants) == []


async def test_tokens_end_with_their_user(room: Room) -> None:
    """A revoked token is gone at once, a changed one says so."""

    def token(number: int) -> TokenCreated:
        return TokenCreated(
            id=number,
            user=3,
            description="",
            scope="read",
            token_hash=f"h{number}",
            created=NOW,
            expires=NOW,
        )

    alice = ResourceCreated(kind="user", id=3, values={"username": "alice"})
    changed = TokenUpdated(id=2, description="ci", scope="write")
    await room.given(config(alice, token(1), token(2), TokenRevoked(id=1), changed))
    assert await room.rows("SELECT id, description, scope FROM token") == [(2, "ci", "write")]
    await room.when(config(gone("user", 3)))
    assert await room.column("SELECT count(*) FROM token") == [0]


async def test_a_token_remembers_what_was_spent_on_it(room: Room) -> None:
    """The code and each refresh token, through every replacement; all go with the application."""

    def token(number: int, *spent: str) -> TokenCreated:
        return TokenCreated(
            id=number,
            user=3,
            description="",
            scope="read",
            token_hash=f"h{number}",
            created=NOW,
            expires=NOW,
            application=4,
            refresh_hash=f"r{number}",
            replaces=number - 1 or None,
            spent=spent,
        )

    kind = {"client_type": "public", "authorization_grant_type": "password"}
    application = made("application", 4, organization=1, **kind)
    await room.given(config(made("organization", 1), application))
    await room.when(config(token(1, "code"), token(2), token(3)))
    rows = await room.rows("SELECT id, refresh_hash, spent FROM token")
    assert rows == [(3, "r3", ["code", "r1", "r2"])]
    await room.when(config(gone("organization", 1)))
    assert await room.column("SELECT count(*) FROM token") == [0]


async def test_an_instance_joins_the_groups_it_names(room: Room) -> None:
    """Capacity is AWX's; out of service it is 0; a group no longer named is left."""

    def registered(*groups: str) -> InstanceRegistered:
        return InstanceRegistered(
            id=1,
            hostname="r1",
            uuid="u",
            node_type="execution",
            groups=groups,
            cpu=4,
            memory=8 * 2**30,
            version="1",
            at=NOW,
        )

    groups = [made("instance_group", 1, name="default"), made("instance_group", 2, name="big")]
    await room.given(config(groups, registered("default", "big")))
    joined = "SELECT id FROM instance_group_instances ORDER BY 1"
    assert await room.column(joined) == [1, 2]
    [capacity] = await room.column("SELECT capacity FROM instance")
    assert capacity > 0
    await room.when(config(InstanceUnavailable(id=1, at=NOW, reason="gone")))
    assert await room.rows("SELECT capacity, errors FROM instance") == [(0, "gone")]
    await room.when(config(InstanceAvailable(id=1, at=NOW), registered("default")))
    assert await room.column("SELECT capacity FROM instance") == [capacity]
    assert await room.column(joined) == [1]
    await room.when(config(InstanceAdjusted(id=1, enabled=False, capacity_adjustment=0.5)))
    assert await room.column("SELECT capacity FROM instance") == [0]
