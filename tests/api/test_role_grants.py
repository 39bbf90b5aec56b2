"""Roles of users and teams over HTTP: legacy object roles, and assignments of definitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from controlplane.api import assignment_table, visibility
from controlplane.api.access_list import access_list
from controlplane.api.tables import table_of
from controlplane.domain.access import Principal
from controlplane.shell.read_model import Row, View
from schemas.role_definitions import MANAGED
from tests.api.grants import DENIED, Body, get, post, role_of
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = {each.name: number for number, each in enumerate(MANAGED, start=1)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Stack) -> dict[str, Any]:
    """An organization with a project, an inventory, a template and a team."""
    organization = await stack.make("organizations", name="acme")
    number = organization["id"]
    project = await stack.make(
        "projects", name="p", organization=number, scm_type="git", scm_url="https://x.example/x.git"
    )
    inventory = await stack.make("inventories", name="i", organization=number)
    template = await stack.make(
        "job_templates",
        name="t",
        project=project["id"],
        inventory=inventory["id"],
        playbook="site.yml",
    )
    return {
        "organization": organization,
        "project": project,
        "inventory": inventory,
        "template": template,
        "team": await stack.make("teams", name="ops", organization=number),
        "elsewhere": await stack.make("organizations", name="other"),
    }


async def test_members_hold_what_their_team_holds(stack: Stack, world: dict[str, Any]) -> None:
    """A member, and the admin of the team's organization, use a role of the team while it lasts."""
    member, boss = await stack.add_user("member"), await stack.add_user("boss")
    team, project = world["team"], world["project"]
    other = await stack.make("projects", name="p2", organization=world["elsewhere"]["id"])
    assert (await post(stack.client, f"{team['url']}users/", id=member))[0] == 204
    admins = f"{world['organization']['url']}admins/"
    assert (await post(stack.client, admins, id=boss))[0] == 204
    client, chief = stack.as_user("member"), stack.as_user("boss")
    assert (await client.get(other["url"])).status_code == 403
    use = {"id": role_of(other, "use")}
    roles = f"{team['url']}roles/"
    assert (await post(stack.client, roles, **use)) == (204, None)
    assert (await post(stack.client, roles, **use)) == (204, None)
    for each in (client, chief):
        shown = await get(each, other["url"])
        assert shown["summary_fields"]["user_capabilities"]["edit"] is False
        found = await get(each, f"/api/v2/projects/?id={other['id']}")
        assert [row["name"] for row in found["results"]] == ["p2"]
    assert (await client.get(project["url"])).status_code == 403
    assert (await get(stack.client, roles))["count"] == 1
    seen = await get(stack.client, f"{team['url']}projects/")
    assert [row["id"] for row in seen["results"]] == [other["id"]]
    teams = await get(stack.client, f"{other['url']}teams/")
    assert [row["name"] for row in teams["results"]] == ["ops"]
    gone = {**use, "disassociate": True}
    assert (await post(stack.client, roles, **gone)) == (204, None)
    assert (await client.get(other["url"])).status_code == 403
    assert (await get(stack.client, roles))["count"] == 0


async def test_a_team_in_a_team_passes_on_what_it_holds(
    stack: Stack, world: dict[str, Any]
) -> None:
    """Who is in a team that is a member of another holds the other's roles too."""
    user = await stack.add_user("nested")
    organization = world["elsewhere"]["id"]
    inner = await stack.make("teams", name="inner", organization=organization)
    outer = await stack.make("teams", name="outer", organization=organization)
    inventory = await stack.make("inventories", name="deep", organization=organization)
    await post(stack.client, f"{inner['url']}users/", id=user)
    await post(stack.client, f"/api/v2/roles/{role_of(outer, 'member')}/teams/", id=inner["id"])
    await post(stack.client, f"{outer['url']}roles/", id=role_of(inventory, "adhoc"))
    client = stack.as_user("nested")
    shown = await get(client, inventory["url"])
    assert shown["summary_fields"]["user_capabilities"]["adhoc"] is True
    listed = await get(stack.client, f"{inventory['url']}access_list/?username=nested")
    entry = listed["results"][0]["summary_fields"]["direct_access"][0]
    assert (entry["role"]["name"], entry["role"]["team_name"]) == ("Ad Hoc", "outer")
    assert entry["descendant_roles"] == ["adhoc_role", "use_role", "read_role"]
    assert (await stack.client.delete(outer["url"])).status_code == 204
    assert (await client.get(inventory["url"])).status_code == 403
    assert (await get(stack.client, f"{inner['url']}roles/"))["count"] == 0


@pytest.mark.parametrize("role", ["admin", "member"])
async def test_no_team_takes_part_in_an_organization(
    stack: Stack, world: dict[str, Any], role: str
) -> None:
    """Organization admin and member are for people: 400 as in AWX, by either way."""
    text = "You cannot assign an Organization participation role as a child role for a Team."
    number = role_of(world["organization"], role)
    team = world["team"]
    assert await post(stack.client, f"{team['url']}roles/", id=number) == (400, {"msg": text})
    by_role = f"/api/v2/roles/{number}/teams/"
    assert await post(stack.client, by_role, id=team["id"]) == (400, {"msg": text})
    status, body = await post(
        stack.client,
        "/api/v2/role_team_assignments/",
        role_definition=IDS[f"Organization {role.title()}"],
        team=team["id"],
        object_id=world["organization"]["id"],
    )
    assert (status, len(body)) == (400, 1)
    assert "to teams is not allowed" in body[0] or "manage other teams" in body[0]
    assert await get(stack.client, f"{team['url']}roles/") | {"results": []} == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }


async def test_credentials_stay_in_their_organization(stack: Stack, world: dict[str, Any]) -> None:
    """A team gets a role on a credential of its own organization and on no other."""
    types = await get(stack.client, "/api/v2/credential_types/?namespace=ssh")
    common = {"credential_type": types["results"][0]["id"], "inputs": {}}
    foreign = await stack.make(
        "credentials", name="c", organization=world["elsewhere"]["id"], **common
    )
    status, body = await post(
        stack.client, f"{world['team']['url']}roles/", id=role_of(foreign, "use")
    )
    assert status == 400
    assert body["msg"].startswith("You cannot grant credential access to a team when")
    owned = await stack.make("credentials", name="of-team", team=world["team"]["id"], **common)
    owners = await get(stack.client, f"{owned['url']}owner_teams/")
    assert [row["name"] for row in owners["results"]] == ["ops"]
    held = await get(stack.client, f"{world['team']['url']}roles/")
    assert [row["name"] for row in held["results"]] == ["Admin"]
    assert (await stack.client.delete(owned["url"])).status_code == 204
    assert (await get(stack.client, f"{world['team']['url']}roles/"))["count"] == 0


async def test_only_who_administers_gives_roles(stack: Stack, world: dict[str, Any]) -> None:
    """Use of a project does not let anybody share it; its admin shares it with whom they see."""
    user = await stack.add_user("sharer")
    other = await stack.add_user("shared-with")
    project = world["project"]
    client = stack.as_user("sharer")
    path = f"/api/v2/users/{user}/roles/"
    assert await post(client, path, id=role_of(project, "admin")) == (403, DENIED)
    await post(stack.client, path, id=role_of(project, "use"))
    assert await post(client, path, id=role_of(project, "admin")) == (403, DENIED)
    assert await post(client, f"{world['team']['url']}roles/", id=role_of(project, "use")) == (
        403,
        DENIED,
    )
    await post(stack.client, path, id=role_of(project, "admin"))
    members = f"/api/v2/roles/{role_of(project, 'use')}/users/"
    assert await post(client, members, id=other) == (403, DENIED)
    await post(stack.client, f"{world['organization']['url']}users/", id=other)
    await post(stack.client, f"{world['organization']['url']}users/", id=user)
    assert await post(client, members, id=other) == (204, None)
    held = (await get(client, f"/api/v2/users/{other}/roles/"))["results"]
    assert [row["summary_fields"]["user_capabilities"]["unattach"] for row in held] == [False, True]
    assert await post(client, members, id=999_999) == (
        400,
        {"detail": "User matching query does not exist."},
    )
    assert await post(client, members, id="x") == (
        400,
        {"msg": '"id" field must be an integer.'},
    )


async def test_roles_have_their_place_in_the_graph(stack: Stack, world: dict[str, Any]) -> None:
    """Parents and children of a role, the system's roles and the teams that hold it included."""
    project, organization = world["project"], world["organization"]
    update = role_of(project, "update")
    await post(stack.client, f"{world['team']['url']}roles/", id=update)
    parents = await get(stack.client, f"/api/v2/roles/{update}/parents/")
    assert {row["id"] for row in parents["results"]} == {
        role_of(project, "admin"),
        role_of(world["team"], "member"),
    }
    children = await get(stack.client, f"/api/v2/roles/{role_of(project, 'admin')}/children/")
    assert [row["name"] for row in children["results"]] == ["Use", "Update"]
    below = await get(
        stack.client, f"/api/v2/roles/{role_of(organization, 'project_admin')}/children/"
    )
    assert {row["id"] for row in below["results"]} >= {
        role_of(project, "admin"),
        role_of(organization, "read"),
    }
    above = await get(stack.client, f"/api/v2/roles/{role_of(organization, 'admin')}/parents/")
    assert [row["name"] for row in above["results"]] == ["System Administrator"]
    held = await get(stack.client, f"/api/v2/roles/{role_of(world['team'], 'member')}/children/")
    assert update in {row["id"] for row in held["results"]}
    await post(stack.client, f"{world['team']['url']}roles/", id=update, disassociate=True)


async def test_the_system_roles_are_flags_of_users(stack: Stack, world: dict[str, Any]) -> None:
    """Only a superuser makes superusers, by role or by field; a team never is one."""
    user = await stack.add_user("rising")
    client = stack.as_user("rising")
    path = f"/api/v2/users/{user}/"
    for attempt in ({"is_superuser": True}, {"is_system_auditor": True}):
        assert (await client.patch(path, json=attempt)).status_code == 403
    assert await post(client, f"{path}roles/", id=1) == (403, DENIED)
    assert await post(client, "/api/v2/roles/1/users/", id=user) == (403, DENIED)
    await post(stack.client, f"{world['organization']['url']}admins/", id=user)
    assert (await client.patch(path, json={"is_superuser": True})).status_code == 403
    assert await post(client, "/api/v2/roles/1/users/", id=user) == (403, DENIED)
    team = f"{world['team']['url']}roles/"
    refused = {"msg": "You cannot grant system-level permissions to a team."}
    assert await post(stack.client, team, id=1) == (400, refused)
    assert await post(stack.client, f"{path}roles/", id=1) == (204, None)
    assert (await get(stack.client, path))["is_superuser"] is True
    held = await get(stack.client, f"{path}roles/?role_field=system_administrator")
    assert [row["name"] for row in held["results"]] == ["System Administrator"]
    assert await post(stack.client, f"{path}roles/", id=1, disassociate=True) == (204, None)
    assert (await get(stack.client, path))["is_superuser"] is False


async def test_a_custom_definition_grants_exactly_its_permissions(
    stack: Stack, world: dict[str, Any]
) -> None:
    """On an organization it reaches what is below; editing and deleting it take effect at once."""
    user = await stack.add_user("custom")
    client = stack.as_user("custom")
    definition = await stack.make(
        "role_definitions",
        name="Project mechanic",
        content_type="shared.organization",
        permissions=["awx.view_project", "awx.change_project", "awx.add_inventory"],
    )
    status, given = await post(
        stack.client,
        "/api/v2/role_user_assignments/",
        role_definition=definition["id"],
        user=user,
        object_ansible_id=world["organization"]["summary_fields"]["resource"]["ansible_id"],
    )
    assert status == 201, given
    assert (given["content_type"], given["object_id"]) == (
        "shared.organization",
        str(world["organization"]["id"]),
    )
    project = world["project"]
    rights = (await get(client, project["url"]))["summary_fields"]["user_capabilities"]
    assert (rights["edit"], rights["delete"], rights["start"]) == (True, False, False)
    assert (await client.patch(project["url"], json={"description": "d"})).status_code == 200
    assert (await client.delete(project["url"])).status_code == 403
    assert [row["id"] for row in (await get(client, "/api/v2/projects/"))["results"]] == [
        project["id"]
    ]
    assert (await client.get(world["organization"]["url"])).status_code == 403
    assert (await get(client, "/api/v2/inventories/"))["count"] == 0
    body = {"name": "by-custom", "organization": world["organization"]["id"]}
    assert (await post(client, "/api/v2/inventories/", **body))[0] == 201
    granting = {"id": role_of(project, "admin")}
    assert await post(client, f"/api/v2/users/{user}/roles/", **granting) == (403, DENIED)
    listed = await get(stack.client, f"{project['url']}access_list/?username=custom")
    entry = listed["results"][0]["summary_fields"]["indirect_access"][0]
    assert (entry["role"]["name"], entry["role"]["resource_type"]) == (
        "Project mechanic",
        "organization",
    )
    changed = await stack.client.patch(
        definition["url"], json={"permissions": ["awx.view_project"]}
    )
    assert changed.status_code == 200, changed.text
    assert (await client.patch(project["url"], json={"description": "e"})).status_code == 403
    assert (await client.get(project["url"])).status_code == 200
    assert (await stack.client.delete(definition["url"])).status_code == 204
    assert (await client.get(project["url"])).status_code == 403
    assert (await stack.client.get(given["url"])).status_code == 404


async def test_legacy_roles_and_assignments_are_one(stack: Stack, world: dict[str, Any]) -> None:
    """A role granted either way is seen, and taken away, the other way."""
    user = await stack.add_user("both")
    inventory, team = world["inventory"], world["team"]
    legacy = f"/api/v2/users/{user}/roles/"
    assignments = f"/api/v2/role_user_assignments/?user={user}"
    await post(stack.client, legacy, id=role_of(inventory, "adhoc"))
    (shown,) = (await get(stack.client, assignments))["results"]
    assert shown["summary_fields"]["role_definition"]["name"] == "Inventory Adhoc"
    assert shown["summary_fields"]["content_object"]["name"] == "i"
    assert shown["object_id"] == str(inventory["id"])
    assert (await get(stack.client, shown["url"])) == shown
    assert (await stack.client.put(shown["url"], json={})).status_code == 405
    assert (await stack.client.delete(shown["url"])).status_code == 204
    assert (await get(stack.client, legacy))["count"] == 0
    wanted = {
        "role_definition": IDS["Inventory Use"],
        "team": team["id"],
        "object_id": str(inventory["id"]),
    }
    path = "/api/v2/role_team_assignments/"
    first = await post(stack.client, path, **wanted)
    assert (first[0], await post(stack.client, path, **wanted)) == (201, first)
    held = await get(stack.client, f"{team['url']}roles/")
    assert [row["name"] for row in held["results"]] == ["Use"]
    below = f"/api/v2/role_definitions/{IDS['Inventory Use']}/team_assignments/"
    assert (await get(stack.client, below))["results"] == [first[1]]
    filtered = f"{path}?object_id={inventory['id']}&content_type__model=inventory&team__name=ops"
    assert (await get(stack.client, filtered))["results"] == [first[1]]
    gone = {"id": role_of(inventory, "use"), "disassociate": True}
    assert (await post(stack.client, f"{team['url']}roles/", **gone))[0] == 204
    assert (await get(stack.client, path))["count"] == 0
    controller = {**wanted, "role_definition": IDS["Controller Team Member"], "user": user}
    controller |= {"object_id": team["id"]}
    status, made = await post(stack.client, "/api/v2/role_user_assignments/", **controller)
    assert (status, made["role_definition"]) == (201, IDS["Controller Team Member"])
    members = f"{team['url']}users/"
    assert user in {row["id"] for row in (await get(stack.client, members))["results"]}
    await post(stack.client, members, id=user, disassociate=True)
    assert (await stack.client.get(made["url"])).status_code == 404


async def test_the_auditor_definition_is_a_flag(stack: Stack) -> None:
    """Controller System Auditor needs no object and is the user's own field."""
    user = await stack.add_user("auditing")
    path = "/api/v2/role_user_assignments/"
    body = {"role_definition": 37, "user": user}
    status, made = await post(stack.client, path, **body)
    assert (status, made["object_id"], made["content_type"]) == (201, None, None)
    client = stack.as_user("auditing")
    assert (await get(client, "/api/v2/projects/"))["count"] >= 2
    assert (await post(client, "/api/v2/organizations/", name="no"))[0] == 403
    assert (await get(client, f"/api/v2/users/{user}/"))["is_system_auditor"] is True
    assert (await client.delete(made["url"])).status_code == 403
    assert (await stack.client.delete(made["url"])).status_code == 204
    assert (await get(client, "/api/v2/projects/"))["count"] == 0


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, {"role_definition": ["This field is required."]}),
        (
            {"role_definition": 9999},
            {"role_definition": ['Invalid pk "9999" - object does not exist.']},
        ),
        (
            {"role_definition": "x"},
            {"role_definition": ["Incorrect type. Expected pk value, received str."]},
        ),
        (
            {"role_definition": 28},
            dict.fromkeys(
                ("user", "user_ansible_id"), "Provide exactly one of user or user_ansible_id"
            ),
        ),
        (
            {"role_definition": 28, "user": 2**70},
            {"user": [f'Invalid pk "{2**70}" - object does not exist.']},
        ),
        (
            {"role_definition": 28, "user": 1},
            {"object_id": "Object must be specified for this role assignment"},
        ),
        (
            {"role_definition": 28, "user": 1, "object_id": "99999"},
            {"object_id": ['Invalid pk "99999" - object does not exist.']},
        ),
        (
            {"role_definition": 28, "user": 1, "object_ansible_id": "no"},
            {"object_ansible_id": ["Must be a valid UUID."]},
        ),
        (
            {"role_definition": 37, "user": 1, "object_id": "1"},
            {"object_id": "System role does not allow for object assignment"},
        ),
    ],
)
async def test_what_cannot_be_assigned(stack: Stack, body: Body, answer: Body) -> None:
    """Each mistake names its field in AWX's words."""
    assert await post(stack.client, "/api/v2/role_user_assignments/", **body) == (400, answer)


async def test_an_ansible_id_of_another_kind_is_refused(
    stack: Stack, world: dict[str, Any]
) -> None:
    """A team is no project; what names nothing does not exist."""
    team = world["team"]["summary_fields"]["resource"]["ansible_id"]
    body = {"role_definition": IDS["Project Use"], "user": 1, "object_ansible_id": team}
    path = "/api/v2/role_user_assignments/"
    text = "Object type of team does not match role type of project"
    assert await post(stack.client, path, **body) == (400, {"object_ansible_id": text})
    nothing = "00000000-0000-4000-8000-000000000000"
    unknown = {"object_ansible_id": [f'Invalid pk "{nothing}" - object does not exist.']}
    assert await post(stack.client, path, **{**body, "object_ansible_id": nothing}) == (
        400,
        unknown,
    )


async def test_others_assign_what_they_administer(stack: Stack, world: dict[str, Any]) -> None:
    """An invisible object does not exist; a visible one needs its admin role."""
    user = await stack.add_user("assigner")
    client = stack.as_user("assigner")
    project = world["project"]
    body = {
        "role_definition": IDS["Project Use"],
        "user": user,
        "object_id": str(project["id"]),
    }
    path = "/api/v2/role_user_assignments/"
    unseen = {"object_id": [f'Invalid pk "{project["id"]}" - object does not exist.']}
    assert await post(client, path, **body) == (400, unseen)
    await post(stack.client, f"/api/v2/users/{user}/roles/", id=role_of(project, "use"))
    admin = {**body, "role_definition": IDS["Project Admin"]}
    assert await post(client, path, **admin) == (403, DENIED)
    mine = (await get(client, path))["results"]
    assert [row["role_definition"] for row in mine] == [IDS["Project Use"]]
    assert (await client.delete(mine[0]["url"])).status_code == 403
    await post(stack.client, f"/api/v2/users/{user}/roles/", id=role_of(project, "admin"))
    assert (await client.delete(mine[0]["url"])).status_code == 204


async def test_what_goes_takes_its_grants_along(stack: Stack, world: dict[str, Any]) -> None:
    """Deleting a user, a team or an object leaves no assignment behind."""
    user = await stack.add_user("leaving")
    organization = world["elsewhere"]["id"]
    team = await stack.make("teams", name="leaving", organization=organization)
    inventory = await stack.make("inventories", name="leaving", organization=organization)
    for holder in (f"/api/v2/users/{user}/", team["url"]):
        await post(stack.client, f"{holder}roles/", id=role_of(inventory, "use"))
        await post(stack.client, f"{holder}roles/", id=role_of(world["inventory"], "use"))
    counts = ("/api/v2/role_user_assignments/", "/api/v2/role_team_assignments/")

    async def held() -> list[int]:
        return [
            (await get(stack.client, f"{path}?{column}={number}"))["count"]
            for path, column, number in (
                (counts[0], "user", user),
                (counts[1], "team", team["id"]),
            )
        ]

    assert await held() == [2, 2]
    assert (await stack.client.delete(inventory["url"])).status_code == 202
    assert await held() == [1, 1]
    assert (await stack.client.delete(team["url"])).status_code == 204
    assert (await stack.client.delete(f"/api/v2/users/{user}/")).status_code == 204
    assert await held() == [0, 0]


async def test_nobody_without_rights_deletes_users(stack: Stack, world: dict[str, Any]) -> None:
    """A user in no organization is out of reach of everybody but superusers."""
    stray = await stack.add_user("stray")
    await stack.add_user("roleless")
    boss = await stack.add_user("org-boss")
    await post(stack.client, f"{world['elsewhere']['url']}admins/", id=boss)
    for name in ("roleless", "org-boss"):
        client = stack.as_user(name)
        assert (await client.delete(f"/api/v2/users/{stray}/")).status_code == 403, name
        assert (await client.patch(f"/api/v2/users/{stray}/", json={})).status_code == 403, name
    assert (await get(stack.client, f"/api/v2/users/{stray}/"))["username"] == "stray"


async def test_capabilities_say_what_can_be_done(stack: Stack, world: dict[str, Any]) -> None:
    """A template without a project cannot be run or copied, a project by hand not updated."""
    organization = world["organization"]["id"]
    doomed = await stack.make("projects", name="doomed", organization=organization)
    body = {"playbook": "site.yml", "ask_inventory_on_launch": True}
    bare = await stack.make("job_templates", name="bare", project=doomed["id"], **body)
    assert (await stack.client.delete(doomed["url"])).status_code == 204
    bare = await get(stack.client, bare["url"])
    manual = await stack.make("projects", name="manual", organization=organization, scm_type="")
    rights = {
        name: made["summary_fields"]["user_capabilities"]
        for name, made in (("bare", bare), ("manual", manual), ("whole", world["template"]))
    }
    assert rights["bare"] == {
        **dict.fromkeys(("edit", "delete"), True),
        **dict.fromkeys(("start", "schedule", "copy"), False),
    }
    assert (rights["manual"]["start"], rights["manual"]["schedule"]) == (False, False)
    assert set(rights["whole"].values()) == {True}
    token = await stack.client.post(
        "/api/v2/users/1/personal_tokens/", json={"description": "r", "scope": "read"}
    )
    headers = {"authorization": f"Bearer {token.json()['token']}"}
    async with stack.anonymous() as client:
        shown = await client.get(world["template"]["url"], headers=headers)
    assert set(shown.json()["summary_fields"]["user_capabilities"].values()) == {False}


class Counting(View):
    """A view that counts what it is asked."""

    asked = 0

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Count, and ask."""
        self.asked += 1
        return await super().fetch(sql, *args)


async def test_pages_ask_as_often_however_many_rows_they_have(
    stack: Stack, world: dict[str, Any]
) -> None:
    """Access lists and assignments cost the same number of queries for one row and for many."""
    project = await stack.make("projects", name="many", organization=world["elsewhere"]["id"])
    who = Principal(id=1, username="admin", superuser=True)
    asked: Any = SimpleNamespace(who=who, path="/x/", pairs=[])
    counts = []
    for size in (1, 12):
        for number in range(size):
            user = await stack.add_user(f"many-{size}-{number}")
            roles = f"/api/v2/users/{user}/roles/"
            await post(stack.client, roles, id=role_of(project, "use"))
        view = Counting(stack.services.pool)
        facts = await visibility.load(view, "project", project["id"])
        assert facts is not None
        found, shown = await access_list(asked, view, "project", project["id"], facts)
        held = await view.fetch(
            f'select t.* from {table_of("role_user_assignment").source} t where t."kind" = $1',
            "project",
        )
        rows = await assignment_table.page(view, "user", held)
        await view.close()
        assert (len(shown), len(rows)) == (found.count, len(held))
        counts.append((view.asked, len(shown)))
    assert counts[0][0] == counts[1][0]
    assert counts[0][1] < counts[1][1]
