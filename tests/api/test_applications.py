"""Applications and tokens as resources: what is shown once, who sees what, what dies with what."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.tokens import BAD_SCOPE
from schemas.resources.application import HIDDEN
from tests.api.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = {
    "client_type": "confidential",
    "authorization_grant_type": "authorization-code",
    "redirect_uris": "https://app.example/callback https://app.example/other",
}


async def application(stack: Stack, name: str, **fields: Any) -> dict[str, Any]:
    """Make an application in an organization of the same name."""
    organization = await stack.make("organizations", name=name)
    body = {**BODY, "name": name, "organization": organization["id"], **fields}
    return await stack.make("applications", **body)


async def works(stack: Stack, token: str) -> bool:
    """Return whether a token lets somebody in."""
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {token}"}
        return (await client.get("/api/v2/me/", headers=headers)).status_code == 200


async def test_secret_is_shown_once(stack: Stack) -> None:
    """A confidential client's secret stands in the answer that makes it, then stars."""
    made = await application(stack, "once")
    assert len(made["client_secret"]) > 40
    assert len(made["client_id"]) > 20
    assert made["type"] == "o_auth2_application"
    assert made["related"]["named_url"] == "/api/v2/applications/once++once/"
    assert list(made["summary_fields"]) == ["organization", "user_capabilities", "tokens"]
    shown = (await stack.client.get("/api/v2/applications/once++once/")).json()
    assert shown == {**made, "client_secret": HIDDEN}
    changed = await stack.client.patch(made["url"], json={"client_id": "mine", "name": "twice"})
    assert (changed.json()["client_id"], changed.json()["name"]) == (made["client_id"], "twice")
    assert changed.json()["client_secret"] == HIDDEN


async def test_public_application_shows_no_secret(stack: Stack) -> None:
    """The key is absent, in the first answer too."""
    made = await application(stack, "public", client_type="public")
    assert "client_secret" not in made
    assert "client_secret" not in (await stack.client.get(made["url"])).json()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"organization": None}, {"organization": ["This field may not be null."]}),
        (
            {"organization": 999_999},
            {"organization": ['Invalid pk "999999" - object does not exist.']},
        ),
        (
            {"redirect_uris": ""},
            {"__all__": ["redirect_uris cannot be empty with grant_type authorization-code"]},
        ),
        ({"redirect_uris": "nonsense"}, {"__all__": ["Enter a valid URL."]}),
        ({"redirect_uris": "https://[::1"}, {"__all__": ["Enter a valid URL."]}),
        ({"redirect_uris": "https://ex.example/\u20ac"}, {"__all__": ["Enter a valid URL."]}),
        (
            {"redirect_uris": "javascript://x/"},
            {"__all__": ["Unauthorized redirect scheme: javascript"]},
        ),
        (
            {"redirect_uris": "https://a.example/#x"},
            {"__all__": ["Redirect URIs must not contain fragments"]},
        ),
        ({"client_type": "secretive"}, {"client_type": ['"secretive" is not a valid choice.']}),
        (
            {"authorization_grant_type": "implicit"},
            {"authorization_grant_type": ['"implicit" is not a valid choice.']},
        ),
        ({"name": "x" * 256}, {"name": ["Ensure this field has no more than 255 characters."]}),
        ({"name": "nul\x00"}, {"name": ["Null characters are not allowed."]}),
        (
            {"name": "taken"},
            {"__all__": ["Application with this Name and Organization already exists."]},
        ),
    ],
)
async def test_bad_application(
    stack: Stack, fields: dict[str, Any], problem: dict[str, Any]
) -> None:
    """AWX's words, at the field or under ``__all__``; nothing is made."""
    found = (await stack.client.get("/api/v2/applications/?name=taken")).json()["results"]
    taken = found[0] if found else await application(stack, "taken")
    body = {**BODY, "name": "bad", "organization": taken["organization"], **fields}
    answered = await stack.client.post("/api/v2/applications/", json=body)
    assert (answered.status_code, answered.json()) == (400, problem)
    assert (await stack.client.get("/api/v2/applications/?name=bad")).json()["count"] == 0


async def test_grant_type_stays(stack: Stack) -> None:
    """``authorization_grant_type`` is ignored on update, and not asked for by PUT."""
    made = await application(stack, "staying")
    for body in ({"authorization_grant_type": "password"}, {"authorization_grant_type": "junk"}):
        changed = await stack.client.patch(made["url"], json=body)
        assert changed.json()["authorization_grant_type"] == "authorization-code"
    body = {name: made[name] for name in ("name", "organization", "client_type", "redirect_uris")}
    assert (await stack.client.put(made["url"], json=body)).status_code == 200
    described = (await stack.client.options(made["url"])).json()["actions"]["PUT"]
    assert "authorization_grant_type" not in described
    assert described["client_type"]["required"]


async def test_members_see_applications_and_admins_keep_them(stack: Stack) -> None:
    """Outsiders are refused, members read, admins of the organization make, change and delete."""
    made = await application(stack, "guarded")
    organization = made["summary_fields"]["organization"]["id"]
    for username, relation in (("outsider", ""), ("belongs", "users"), ("runs", "admins")):
        number = await stack.add_user(username)
        if relation:
            path = f"/api/v2/organizations/{organization}/{relation}/"
            assert (await stack.client.post(path, json={"id": number})).status_code == 204
    outsider, member, admin = (stack.as_user(name) for name in ("outsider", "belongs", "runs"))
    assert (await outsider.get(made["url"])).status_code == 403
    assert (await outsider.get("/api/v2/applications/")).json()["count"] == 0
    seen = (await member.get(made["url"])).json()
    assert seen["summary_fields"]["user_capabilities"] == {"edit": False, "delete": False}
    assert (await member.patch(made["url"], json={"name": "no"})).status_code == 403
    path = f"/api/v2/organizations/{organization}/applications/"
    assert (await member.post(path, json={**BODY, "name": "no"})).status_code == 403
    second = await admin.post(path, json={**BODY, "name": "second"})
    assert second.status_code == 201, second.text
    assert len(second.json()["client_secret"]) > 40
    assert (await admin.get(path)).json()["count"] == 2
    assert (await member.get("/api/v2/users/belongs/applications/")).json()["count"] == 2
    assert (await admin.delete(second.json()["url"])).status_code == 204


async def test_token_of_an_application(stack: Stack) -> None:
    """It has a refresh token, both shown once, and is listed wherever it belongs."""
    made = await application(stack, "holding")
    path = made["related"]["tokens"]
    token = (await stack.client.post(path, json={"description": "d", "scope": "read"})).json()
    assert token["application"] == made["id"]
    assert token["related"]["application"] == made["url"]
    assert token["summary_fields"]["application"] == {"id": made["id"], "name": "holding"}
    assert len(token["token"]) > 20
    assert len(token["refresh_token"]) > 20
    hidden = {**token, "token": HIDDEN, "refresh_token": HIDDEN}
    assert (await stack.client.get(token["url"])).json() == hidden
    for listed in (path, "/api/v2/users/admin/tokens/", "/api/v2/users/admin/authorized_tokens/"):
        found = await stack.client.get(listed, params={"application__name": "holding"})
        assert found.json()["results"] == [hidden], listed
    assert (await stack.client.get("/api/v2/users/admin/personal_tokens/")).json()["count"] == 0
    shown = (await stack.client.get(made["url"])).json()["summary_fields"]["tokens"]
    row = {"id": token["id"], "scope": "read", "token": HIDDEN}
    assert shown == {"count": 1, "results": [row]}
    changed = await stack.client.patch(token["url"], json={"scope": "write", "application": None})
    assert (changed.json()["scope"], changed.json()["application"]) == ("write", made["id"])


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        (
            "/api/v2/tokens/",
            {"application": 999_999},
            {"application": ['Invalid pk "999999" - object does not exist.']},
        ),
        (
            "/api/v2/tokens/",
            {"application": [1]},
            {"application": ["Incorrect type. Expected pk value, received list."]},
        ),
        (
            "/api/v2/tokens/",
            {"application": 10**30},
            {"application": [f'Invalid pk "{10**30}" - object does not exist.']},
        ),
        (
            "/api/v2/users/admin/authorized_tokens/",
            {},
            {"application": ["This field is required."]},
        ),
        (
            "/api/v2/users/admin/authorized_tokens/",
            {"application": None},
            {"application": ["This field may not be null."]},
        ),
        (
            "/api/v2/tokens/",
            {"scope": "read read"},
            {"scope": [BAD_SCOPE]},
        ),
        ("/api/v2/tokens/", {"description": {}}, {"description": ["Not a valid string."]}),
    ],
)
async def test_bad_token(
    stack: Stack, path: str, body: dict[str, Any], problem: dict[str, Any]
) -> None:
    """AWX's words at the field."""
    answered = await stack.client.post(path, json=body)
    assert (answered.status_code, answered.json()) == (400, problem)


async def test_lists_of_tokens_filter_and_order(stack: Stack) -> None:
    """By their own fields and those of what they refer to; never by the secret."""
    for name in ("sorted-a", "sorted-b"):
        await stack.client.post("/api/v2/tokens/", json={"description": name})
    path = "/api/v2/tokens/"
    asked = {"description__startswith": "sorted", "order_by": "-description"}
    found = (await stack.client.get(path, params=asked)).json()["results"]
    assert [row["description"] for row in found] == ["sorted-b", "sorted-a"]
    asked = {"user__username": "admin", "application__isnull": "true", "search": "sorted-a"}
    assert (await stack.client.get(path, params=asked)).json()["count"] == 1
    for name in ("token", "refresh_token__startswith"):
        assert (await stack.client.get(path, params={name: "x"})).status_code == 403
    assert (await stack.client.get(path, params={"nothing": "x"})).status_code == 400


async def test_tokens_of_an_application_are_looked_after(stack: Stack) -> None:
    """The organization's admin sees and ends them, its auditor sees them, a member does neither."""
    made = await application(stack, "watched")
    organization = made["organization"]
    for username, role in (("w-admin", "admin"), ("w-auditor", "auditor"), ("w-member", "member")):
        number = await stack.add_user(username)
        roles = (await stack.client.get(f"/api/v2/organizations/{organization}/")).json()
        granted = {"id": roles["summary_fields"]["object_roles"][f"{role}_role"]["id"]}
        await stack.client.post(f"/api/v2/users/{number}/roles/", json=granted)
    member = stack.as_user("w-member")
    token = (await member.post(made["related"]["tokens"], json={})).json()
    other = (await stack.client.post(made["related"]["tokens"], json={})).json()
    admin, auditor = stack.as_user("w-admin"), stack.as_user("w-auditor")
    for client, count in ((admin, 2), (auditor, 2), (member, 1)):
        assert (await client.get("/api/v2/tokens/")).json()["count"] == count
    assert (await member.get(other["url"])).status_code == 403
    assert (await auditor.get(token["url"])).status_code == 200
    assert (await auditor.delete(token["url"])).status_code == 403
    assert (await admin.delete(token["url"])).status_code == 204
    assert not await works(stack, token["token"])
    reader = (await admin.post("/api/v2/tokens/", json={"scope": "read"})).json()["token"]
    async with stack.anonymous() as client:
        headers = {"Authorization": f"Bearer {reader}"}
        assert (await client.get(token["url"], headers=headers)).status_code == 404
        assert (await client.get(other["url"], headers=headers)).status_code == 200
        assert (await client.delete(other["url"], headers=headers)).status_code == 403
    personal = (await member.post("/api/v2/tokens/", json={})).json()
    assert (await admin.get(personal["url"])).status_code == 403


async def test_nobody_widens_what_another_user_allowed(stack: Stack) -> None:
    """Who looks after an application may narrow a user's token of it, and end it, no more."""
    made = await application(stack, "narrow")
    home = (await stack.client.get(f"/api/v2/organizations/{made['organization']}/")).json()
    user = await stack.add_user("narrow-boss")
    role = home["summary_fields"]["object_roles"]["admin_role"]["id"]
    given = await stack.client.post(f"/api/v2/users/{user}/roles/", json={"id": role})
    assert given.status_code == 204, given.text
    boss, body = stack.as_user("narrow-boss"), {"scope": "read"}
    token = (await stack.client.post(made["related"]["tokens"], json=body)).json()
    for scope in ("write", "read write"):
        refused = await boss.patch(token["url"], json={"scope": scope})
        assert refused.status_code == 403, scope
    assert (await boss.patch(token["url"], json={"description": "seen"})).status_code == 200
    shown = (await stack.client.get(token["url"])).json()
    assert (shown["scope"], shown["description"]) == ("read", "seen")
    own = await stack.client.patch(token["url"], json={"scope": "read write"})
    assert own.json()["scope"] == "read write"
    narrowed = await boss.patch(token["url"], json=body)
    assert narrowed.json()["scope"] == "read"


async def test_tokens_die_with_their_application_and_its_organization(stack: Stack) -> None:
    """At once, and their details with them."""
    for name, victim in (("mortal", "applications"), ("mortal-too", "organizations")):
        made = await application(stack, name)
        token = (await stack.client.post(made["related"]["tokens"], json={})).json()
        assert await works(stack, token["token"])
        found = (await stack.client.get(f"/api/v2/{victim}/?name={name}")).json()["results"][0]
        assert (await stack.client.delete(found["url"])).status_code == 204
        assert not await works(stack, token["token"])
        assert (await stack.client.get(token["url"])).status_code == 404


async def test_tokens_and_sessions_die_with_their_user(stack: Stack) -> None:
    """Also those that an application holds."""
    user = await stack.make("users", username="leaving", password="a-password")
    made = await application(stack, "left")
    organization = f"/api/v2/organizations/{made['organization']}/users/"
    await stack.client.post(organization, json={"id": user["id"]})
    leaving = stack.as_user("leaving", "a-password")
    paths = ("/api/v2/tokens/", made["related"]["tokens"])
    tokens = [(await leaving.post(path, json={})).json()["token"] for path in paths]
    assert [await works(stack, token) for token in tokens] == [True, True]
    assert (await stack.client.delete(user["url"])).status_code == 204
    assert [await works(stack, token) for token in tokens] == [False, False]


async def test_invisible_application_gives_no_token(stack: Stack) -> None:
    """A user who cannot read an application gets no token of it."""
    made = await application(stack, "elsewhere")
    await stack.add_user("stranger")
    stranger = stack.as_user("stranger")
    body = {"application": made["id"]}
    assert (await stranger.post("/api/v2/tokens/", json=body)).status_code == 403
    assert (await stranger.post(made["related"]["tokens"], json={})).status_code == 403


async def test_history_of_applications_and_tokens(stack: Stack) -> None:
    """The audit trail tells of both by AWX's names, and nothing that is secret."""
    made = await application(stack, "audited")
    token = (await stack.client.post(made["related"]["tokens"], json={})).json()
    await stack.client.patch(token["url"], json={"description": "changed"})
    trail = await stack.client.get(made["related"]["activity_stream"])
    entry = trail.json()["results"][0]
    assert (entry["object1"], entry["operation"]) == ("o_auth2_application", "create")
    assert entry["changes"]["client_secret"] == "hidden"
    assert entry["related"]["o_auth2_application"] == [made["url"]]
    about = await stack.client.get(token["related"]["activity_stream"])
    told = [(each["object1"], each["operation"]) for each in about.json()["results"]]
    assert told == [("o_auth2_access_token", word) for word in ("create", "update")]
    for secret in (made["client_secret"], token["token"], token["refresh_token"]):
        assert secret not in trail.text + about.text
    await stack.add_user("not-an-auditor")
    assert (await stack.as_user("not-an-auditor").get(about.url.path)).status_code == 403
