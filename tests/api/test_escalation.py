"""Nobody gains rights by what they may already do: owning, adopting, launching, relaunching."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.api.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def grant(stack: Stack, user: int, made: dict[str, Any], role: str) -> None:
    """Give a user an object role, as the superuser."""
    number = made["summary_fields"]["object_roles"][f"{role}_role"]["id"]
    answered = await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": number})
    assert answered.status_code == 204, answered.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(stack: Stack) -> dict[str, Any]:
    """An organization whose admin is ``boss``."""
    made = await stack.make("organizations", name="acme")
    await grant(stack, await stack.add_user("boss"), made, "admin")
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def template(stack: Stack) -> dict[str, Any]:
    """A template of another organization that prompts for everything, which ``runner`` runs."""
    organization = await stack.make("organizations", name="run")
    number = organization["id"]
    inventory = await stack.make("inventories", name="run-inv", organization=number)
    project = await stack.make(
        "projects", name="run", organization=number, scm_type="git", scm_url="https://e.com/x.git"
    )
    made = await stack.make(
        "job_templates",
        name="run",
        project=project["id"],
        inventory=inventory["id"],
        playbook="site.yml",
        ask_credential_on_launch=True,
        ask_labels_on_launch=True,
        ask_inventory_on_launch=True,
    )
    await grant(stack, await stack.add_user("runner"), made, "execute")
    return {**made, "organization": number}


async def test_no_spelling_of_an_id_passes_the_check(
    stack: Stack, template: dict[str, Any]
) -> None:
    """An id is checked for rights as it is stored, with however many zeros it is written."""
    foreign = await stack.make("organizations", name="foreign-zeros")
    inventory = await stack.make("inventories", name="zeros", organization=foreign["id"])
    await grant(stack, await stack.add_user("zeros"), template, "admin")
    client, number = stack.as_user("zeros"), inventory["id"]
    for spelling in (number, f"{number:03}", f" {number:019} "):
        refused = await client.patch(template["url"], json={"inventory": spelling})
        assert refused.status_code == 403, spelling
    for zeros in (20, 25, 400):
        answered = await client.patch(template["url"], json={"inventory": f"{number:0{zeros}}"})
        assert answered.status_code == 400, answered.text
        assert list(answered.json()) == ["inventory"]
    kept = (await client.get(template["url"])).json()
    assert kept["inventory"] == template["inventory"]


async def test_anybody_may_own_a_credential(stack: Stack, acme: dict[str, Any]) -> None:
    """A user makes credentials for itself, but not for another, a team or an organization."""
    user, other = await stack.add_user("owner"), await stack.add_user("other")
    team = await stack.make("teams", name="owners", organization=acme["id"])
    client = stack.as_user("owner")
    body = {"name": "mine", "credential_type": 1}
    made = await client.post("/api/v2/credentials/", json={**body, "user": user})
    assert made.status_code == 201, made.text
    for owner in ({"user": other}, {"team": team["id"]}, {"organization": acme["id"]}, {}):
        refused = await client.post("/api/v2/credentials/", json={**body, "name": "no", **owner})
        assert refused.status_code == 403, owner
    given_away = await client.patch(made.json()["url"], json={"organization": acme["id"]})
    assert given_away.status_code == 403


async def test_only_who_is_free_is_adopted(stack: Stack, acme: dict[str, Any]) -> None:
    """An organization's admin takes in users of no organization, never others' or superusers."""
    elsewhere = await stack.make("organizations", name="elsewhere")
    free, member = await stack.add_user("free"), await stack.add_user("member")
    admin, auditor = (
        await stack.add_user("chief"),
        await stack.add_user("a", is_system_auditor=True),
    )
    await grant(stack, member, elsewhere, "member")
    await grant(stack, admin, elsewhere, "admin")
    boss = stack.as_user("boss")
    member_role = acme["summary_fields"]["object_roles"]["member_role"]["id"]
    for user, expected in ((free, 204), (member, 403), (admin, 403), (auditor, 403), (1, 403)):
        joined = await boss.post(f"{acme['url']}users/", json={"id": user})
        assert joined.status_code == expected, user
        granted = await boss.post(f"/api/v2/roles/{member_role}/users/", json={"id": user})
        assert granted.status_code == expected, user


async def test_an_admin_of_two_houses_is_changed_by_none(
    stack: Stack, acme: dict[str, Any]
) -> None:
    """Who holds another organization cannot be changed by this one's admin, even as its member."""
    elsewhere = await stack.make("organizations", name="their-own")
    chief = await stack.add_user("two-houses")
    await grant(stack, chief, elsewhere, "admin")
    await grant(stack, chief, acme, "member")
    boss = stack.as_user("boss")
    changed = await boss.patch(f"/api/v2/users/{chief}/", json={"password": "taken"})
    assert changed.status_code == 403


async def test_prompts_name_only_what_may_be_used(stack: Stack, template: dict[str, Any]) -> None:
    """With execute alone, a label, credential or inventory of others is refused in a prompt."""
    foreign = await stack.make("organizations", name="foreign")
    number = foreign["id"]
    label = await stack.make("labels", name="l", organization=number)
    inventory = await stack.make("inventories", name="i", organization=number)
    credential = await stack.make(
        "credentials", name="c", organization=number, credential_type=1, inputs={}
    )
    client = stack.as_user("runner")
    path = f"{template['url']}launch/"
    for prompt in (
        {"labels": [label["id"]]},
        {"inventory": inventory["id"]},
        {"credentials": [credential["id"]]},
    ):
        assert (await client.post(path, json=prompt)).status_code == 403, prompt
    assert (await client.get(path)).status_code == 200


async def test_who_administers_an_object_does_not_take_it_away(stack: Stack) -> None:
    """An object leaves its organization only by who may add such objects there."""
    home, away = [await stack.make("organizations", name=f"moving-{n}") for n in "12"]
    number = home["id"]
    cases: dict[str, dict[str, Any]] = {
        "credentials": {"credential_type": 1, "inputs": {}},
        "projects": {"scm_type": "git", "scm_url": "https://e.com/x.git"},
        "inventories": {},
        "workflow_job_templates": {},
    }
    user = await stack.add_user("mover")
    for role in ("credential_admin", "project_admin", "inventory_admin", "workflow_admin"):
        await grant(stack, user, away, role)
    await grant(stack, user, home, "member")
    client = stack.as_user("mover")
    for plural, more in cases.items():
        made = await stack.make(plural, name=f"moved-{plural}", organization=number, **more)
        await grant(stack, user, made, "admin")
        for body in ({"organization": away["id"]}, {"organization": None}, {"organization": ""}):
            refused = await client.patch(made["url"], json=body)
            assert refused.status_code == 403, (plural, body)
        same = await client.patch(made["url"], json={"organization": str(number)})
        assert same.status_code == 200, same.text
        whole = await client.put(made["url"], json={"name": f"put-{plural}", **more})
        assert (await stack.client.get(made["url"])).json()["organization"] == number, whole.text
    for role in ("credential_admin", "project_admin", "inventory_admin", "workflow_admin"):
        await grant(stack, user, home, role)
    moved = await client.patch(made["url"], json={"organization": away["id"]})
    assert moved.status_code == 200, moved.text


async def test_a_copy_borrows_no_credential(stack: Stack, template: dict[str, Any]) -> None:
    """A template is copied by who may use its credentials, and only by them."""
    number = template["organization"]
    credential = await stack.make(
        "credentials", name="lent", organization=number, credential_type=1, inputs={}
    )
    copied = await stack.client.post(f"{template['url']}copy/", json={"name": "lending"})
    lending = copied.json()
    lent = await stack.client.post(f"{lending['url']}credentials/", json={"id": credential["id"]})
    assert lent.status_code == 204
    user = await stack.add_user("borrower")
    await grant(stack, user, lending, "admin")
    for kind, name in (("inventories", "inventory"), ("projects", "project")):
        used = (await stack.client.get(f"/api/v2/{kind}/{template[name]}/")).json()
        await grant(stack, user, used, "use")
    home = (await stack.client.get(f"/api/v2/organizations/{number}/")).json()
    await grant(stack, user, home, "member")
    client, path = stack.as_user("borrower"), f"{lending['url']}copy/"
    assert (await client.get(path)).json()["can_copy"] is False
    assert (await client.post(path, json={"name": "borrowed"})).status_code == 403
    await grant(stack, user, credential, "use")
    assert (await client.get(path)).json()["can_copy"] is True
    assert (await client.post(path, json={"name": "borrowed"})).status_code == 201


async def test_a_relaunch_needs_what_the_job_was_given(
    stack: Stack, template: dict[str, Any]
) -> None:
    """A job that somebody launched with a credential of theirs is not run again without it."""
    credential = await stack.make(
        "credentials",
        name="borrowed",
        organization=template["organization"],
        credential_type=1,
        inputs={"username": "u", "password": PASSWORD},
    )
    path = f"{template['url']}launch/"
    prompted = {"credentials": [credential["id"]]}
    lent = (await stack.client.post(path, json=prompted)).json()
    plain = (await stack.client.post(path, json={})).json()
    client = stack.as_user("runner")
    refused = await client.post(f"/api/v2/jobs/{lent['job']}/relaunch/", json={})
    assert refused.status_code == 403, refused.text
    again = await client.post(f"/api/v2/jobs/{plain['job']}/relaunch/", json={})
    assert again.status_code == 201, again.text
