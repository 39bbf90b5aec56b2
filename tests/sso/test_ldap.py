"""Logging in with a directory: a private slapd, asked over its own protocol."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from tests.api.stack import PASSWORD as LOCAL
from tests.api.stack import Stack
from tests.servers import free_port
from tests.sso.slapd import (
    BASE,
    PASSWORD,
    SERVICE,
    SERVICE_PASSWORD,
    Slapd,
    group,
    person,
)
from tests.sso.tools import config_end, configure, last_try, me, places, there, user

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.tier_slapd]

UNCHECKED = {"OPT_REFERRALS": 0, "OPT_NETWORK_TIMEOUT": 5, "OPT_X_TLS_REQUIRE_CERT": 0}


def settings(server: Slapd, **more: Any) -> dict[str, Any]:
    """Return the settings of a directory that finds people and nested groups."""
    return {
        "AUTH_LDAP_SERVER_URI": server.uri,
        "AUTH_LDAP_BIND_DN": SERVICE,
        "AUTH_LDAP_BIND_PASSWORD": SERVICE_PASSWORD,
        "AUTH_LDAP_START_TLS": False,
        "AUTH_LDAP_CONNECTION_OPTIONS": UNCHECKED,
        "AUTH_LDAP_USER_SEARCH": [f"ou=people,{BASE}", "SCOPE_SUBTREE", "(uid=%(user)s)"],
        "AUTH_LDAP_USER_DN_TEMPLATE": None,
        "AUTH_LDAP_USER_ATTR_MAP": {"first_name": "givenName", "last_name": "sn", "email": "mail"},
        "AUTH_LDAP_GROUP_SEARCH": [f"ou=groups,{BASE}", "SCOPE_SUBTREE", "(objectClass=*)"],
        "AUTH_LDAP_GROUP_TYPE": "NestedGroupOfNamesType",
        "AUTH_LDAP_REQUIRE_GROUP": None,
        "AUTH_LDAP_DENY_GROUP": group("out"),
        "AUTH_LDAP_USER_FLAGS_BY_GROUP": {"is_system_auditor": [group("ops")]},
        "AUTH_LDAP_ORGANIZATION_MAP": {
            "Directory": {"users": group("staff"), "admins": group("ops")},
            "Default": {"users": False, "remove_users": True},
        },
        "AUTH_LDAP_TEAM_MAP": {"Ops": {"organization": "Directory", "users": [group("ops")]}},
        **more,
    }


async def enters(stack: Stack, username: str, password: str) -> bool:
    """Return whether a name and password let somebody in."""
    async with stack.as_user(username, password) as client:
        return await me(client) is not None


async def test_a_person_of_the_directory_gets_in_and_belongs(
    stack: Stack, directory_server: Slapd
) -> None:
    """The first request makes the user with fields, flags, roles; further ones store nothing."""
    await configure(stack, **settings(directory_server))
    async with stack.as_user("Ann", PASSWORD) as client:
        mine = await me(client)
        assert mine is not None
        assert (await client.get("/api/v2/organizations/")).json()["count"] > 0
    assert (mine["username"], mine["first_name"], mine["last_name"]) == ("ann", "Ann", "Ash")
    assert (mine["email"], mine["is_system_auditor"]) == ("ann@example.com", True)
    assert (mine["ldap_dn"], mine["external_account"], mine["auth"]) == (person("ann"), "ldap", [])
    assert "password" not in mine
    assert await places(stack, "ann") == {"Directory", "@Directory", "#Ops"}
    end = await config_end(stack)
    assert await enters(stack, "ann", PASSWORD)
    assert await config_end(stack) == end


async def test_a_session_is_opened_and_recorded_under_its_back_end(
    stack: Stack, directory_server: Slapd
) -> None:
    """The login form takes the directory's password, and ACCESS names ``ldap``."""
    await configure(stack, **settings(directory_server))
    assert (await log_in(stack, "bob", PASSWORD)).status_code == 302
    assert await last_try(stack) == ("bob", "ldap", True)
    assert await places(stack, "bob") == {"Directory"}
    assert (await log_in(stack, "bob", "wrong")).status_code == 401
    assert await last_try(stack) == ("bob", "ldap", False)
    assert (await log_in(stack, "nobody", "wrong")).status_code == 401
    assert await last_try(stack) == ("nobody", "ldap", False)


async def log_in(stack: Stack, username: str, password: str) -> httpx.Response:
    """Send the login form."""
    async with stack.anonymous() as client:
        await client.get("/api/")
        headers = {"X-CSRFToken": client.cookies["csrftoken"], "Referer": stack.url}
        form = {"username": username, "password": password, "next": "/api/"}
        return await client.post("/api/login/", data=form, headers=headers)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ann", ""),
        ("ann", "wrong"),
        ("ann", "\x00"),
        ("ann", PASSWORD + "\x00"),
        ("cy", PASSWORD),
        ("a*", PASSWORD),
        ("ann)(uid=*", PASSWORD),
        ("*)(uid=ann", PASSWORD),
        ("ann\\", PASSWORD),
        ("", PASSWORD),
        ("x" * 151, PASSWORD),
    ],
)
async def test_refused_names_and_passwords(
    stack: Stack, directory_server: Slapd, username: str, password: str
) -> None:
    """Empty passwords, names that are filters, members of the denied group: 401, no user."""
    await configure(stack, **settings(directory_server))
    end = await config_end(stack)
    assert not await enters(stack, username, password)
    assert await config_end(stack) == end


async def test_a_name_that_is_a_distinguished_name_stays_one_value(
    stack: Stack, directory_server: Slapd
) -> None:
    """With a template the name is escaped: it cannot reach another branch."""
    template = f"uid=%(user)s,ou=people,{BASE}"
    await configure(stack, **settings(directory_server, AUTH_LDAP_USER_DN_TEMPLATE=template))
    assert await enters(stack, "bob", PASSWORD)
    assert not await enters(stack, f"bob,ou=people,{BASE}", PASSWORD)
    assert not await enters(stack, "bob", "")


async def test_what_the_directory_changes_changes_at_the_next_login(
    stack: Stack, directory_server: Slapd
) -> None:
    """New attributes and groups count; roles that are gone there are revoked here."""
    await configure(stack, **settings(directory_server))
    assert (await log_in(stack, "ann", PASSWORD)).status_code == 302
    default = (await stack.client.get("/api/v2/organizations/?name=Default")).json()["results"][0]
    joined = await stack.client.post(
        f"{default['url']}users/", json={"id": (await user(stack, "ann"))["id"]}
    )
    assert joined.status_code == 204
    directory_server.modify(group("ops"), "member", [person("cy")])
    directory_server.modify(person("ann"), "sn", ["Alder"])
    try:
        await configure(stack, **settings(directory_server, AUTH_LDAP_DENY_GROUP=None))
        await forget(stack)
        assert await enters(stack, "ann", PASSWORD)
        row = await user(stack, "ann")
        assert (row["last_name"], row["is_system_auditor"]) == ("Alder", False)
        assert await places(stack, "ann") == set()
        assert await enters(stack, "cy", PASSWORD)
        assert await places(stack, "cy") == {"Directory", "@Directory", "#Ops"}
    finally:
        directory_server.modify(group("ops"), "member", [person("ann")])
        directory_server.modify(person("ann"), "sn", ["Ash"])


async def forget(stack: Stack) -> None:
    """Have the process ask the directory again, as it does a minute later."""
    (source,) = stack.app.state.authenticator._sources
    source._proved.clear()


async def test_posix_groups_and_a_required_group(stack: Stack, directory_server: Slapd) -> None:
    """Members by uid and by primary group belong; who is not in the required group stays out."""
    by_uid = {
        "AUTH_LDAP_GROUP_TYPE": "PosixGroupType",
        "AUTH_LDAP_USER_FLAGS_BY_GROUP": {},
        "AUTH_LDAP_ORGANIZATION_MAP": {
            "Posix": {"users": [group("px")], "admins": [group("first")]},
        },
        "AUTH_LDAP_TEAM_MAP": {},
    }
    await configure(stack, **settings(directory_server, **by_uid))
    assert await enters(stack, "ann", PASSWORD)
    assert await enters(stack, "bob", PASSWORD)
    assert "Posix" in await places(stack, "ann")
    assert "@Posix" in await places(stack, "bob")
    await configure(
        stack, **settings(directory_server, **by_uid, AUTH_LDAP_REQUIRE_GROUP=group("px"))
    )
    assert await enters(stack, "ann", PASSWORD)
    assert not await enters(stack, "bob", PASSWORD)


@pytest.mark.parametrize("search", [[], ["ou=nowhere", "SCOPE_SUBTREE", "(objectClass=*)"]])
async def test_groups_that_cannot_be_seen_let_nobody_in(
    stack: Stack, directory_server: Slapd, search: list[str]
) -> None:
    """A denied group that is not found must not open the door to its members."""
    await configure(stack, **settings(directory_server, AUTH_LDAP_GROUP_SEARCH=search))
    assert not await enters(stack, "cy", PASSWORD)
    assert not await enters(stack, "bob", PASSWORD)


async def test_one_name_in_many_spellings_is_one_user(
    stack: Stack, directory_server: Slapd
) -> None:
    """What the directory takes for the same name makes no second user."""
    await configure(stack, **settings(directory_server))
    assert await enters(stack, "bob", PASSWORD)
    end = await config_end(stack)
    for spelling in ("BOB", "bob ", "\uff42ob"):
        async with stack.as_user(spelling, PASSWORD) as client:
            mine = await me(client)
        assert mine is None or mine["username"] == "bob"
    assert await config_end(stack) == end


async def test_local_users_are_none_of_the_directorys_business(
    stack: Stack, directory_server: Slapd
) -> None:
    """A local user of the same name keeps the local password, and only that."""
    await stack.add_user("cy2")
    directory_server.modify(person("cy"), "uid", ["cy", "cy2"])
    await configure(stack, **settings(directory_server, AUTH_LDAP_DENY_GROUP=None))
    assert not await enters(stack, "cy2", PASSWORD)
    assert await enters(stack, "cy2", LOCAL)
    row = await user(stack, "cy2")
    assert (row["external_account"], row["password"]) == (None, "$encrypted$")


async def test_a_user_who_came_without_a_password_is_the_directorys(
    stack: Stack, directory_server: Slapd
) -> None:
    """After an import people log in with what they had before, as whom they were."""
    directory_server.modify(person("bob"), "uid", ["bob", "imported"])
    number = await stack.add_user("imported", password="")
    await configure(stack, **settings(directory_server))
    assert await enters(stack, "imported", PASSWORD)
    row = await user(stack, "imported")
    assert (row["id"], row["external_account"], row["ldap_dn"]) == (number, "ldap", person("bob"))


async def test_users_of_a_directory_have_no_password_and_get_none(
    stack: Stack, directory_server: Slapd
) -> None:
    """Setting one is passed over, renaming refused: the directory alone lets them in."""
    await configure(stack, **settings(directory_server))
    assert await enters(stack, "ann", PASSWORD)
    row = await user(stack, "ann")
    kept = await stack.client.patch(row["url"], json={"password": "a local one"})
    assert kept.status_code == 200
    assert not await enters(stack, "ann", "a local one")
    renamed = await stack.client.patch(row["url"], json={"username": "other"})
    assert renamed.status_code == 400
    assert "username" in renamed.json()
    await configure(stack, AUTH_LDAP_SERVER_URI="")
    assert not await enters(stack, "ann", PASSWORD)


async def test_tls_is_started_and_certificates_are_checked(
    stack: Stack, directory_server: Slapd
) -> None:
    """StartTLS and ldaps work; a certificate that nobody vouches for is refused by default."""
    checked = {"OPT_REFERRALS": 0, "OPT_NETWORK_TIMEOUT": 5}
    ways = ({"AUTH_LDAP_START_TLS": True}, {"AUTH_LDAP_SERVER_URI": directory_server.tls_uri})
    for way in ways:
        for options, enters_ in ((UNCHECKED, True), (checked, False)):
            more = {**way, "AUTH_LDAP_CONNECTION_OPTIONS": options}
            await configure(stack, **settings(directory_server, **more))
            assert await enters(stack, "bob", PASSWORD) is enters_


async def test_a_server_that_hangs_keeps_no_local_user_waiting(
    stack: Stack, directory_server: Slapd
) -> None:
    """While guesses wait for a dead directory, local users get in; another server is tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        late = {**UNCHECKED, "OPT_NETWORK_TIMEOUT": 25}
        more = {"AUTH_LDAP_SERVER_URI": uri, "AUTH_LDAP_CONNECTION_OPTIONS": late}
        await configure(stack, **settings(directory_server, **more))
        waiting = [asyncio.create_task(enters(stack, f"ghost{n}", "guess")) for n in range(10)]
        await stack.add_user("local")
        assert await enters(stack, "local", LOCAL)
        assert not await enters(stack, "local", "wrong")
        assert not any(each.done() for each in waiting)
    assert not any(await asyncio.gather(*waiting))
    dead = f"ldap://127.0.0.1:{free_port()}"
    both = f"{dead} {directory_server.uri}"
    await configure(stack, **settings(directory_server, AUTH_LDAP_SERVER_URI=both))
    assert await enters(stack, "bob", PASSWORD)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SERVER_URI", "http://x", "Enter a valid URL."),
        ("BIND_DN", "nonsense", "Invalid DN: nonsense"),
        ("USER_SEARCH", ["dc=x", "SCOPE_ALL", "(uid=%(user)s)"], '"SCOPE_ALL" is not a valid'),
        ("USER_SEARCH", ["dc=x", "SCOPE_BASE", "(uid=x)"], 'Filter must include "%(user)s"'),
        ("USER_SEARCH", ["dc=x", "SCOPE_BASE", "(uid=%(user)s"], "Invalid filter"),
        ("USER_SEARCH", ["dc=x", "SCOPE_BASE"], "Expected a list of three items"),
        ("USER_SEARCH", [["dc=x"]], "Error parsing LDAP Union element No. 1"),
        ("USER_DN_TEMPLATE", "uid=x,dc=y", 'DN must include "%(user)s"'),
        ("USER_ATTR_MAP", {"phone": "x"}, 'Invalid user attribute(s): "phone".'),
        ("USER_FLAGS_BY_GROUP", {"is_staff": "cn=x"}, 'Invalid user flag: "is_staff".'),
        ("GROUP_TYPE", "Guess", '"Guess" is not a valid choice.'),
        ("GROUP_TYPE", "PosixUIDGroupType", "Missing required parameters"),
        ("GROUP_TYPE_PARAMS", {"size": "x"}, 'Invalid key(s): "size".'),
        ("GROUP_TYPE_PARAMS", {"member_attr": "x)(y"}, "not the name of an attribute"),
        ("CONNECTION_OPTIONS", {"OPT_X": 1}, 'Invalid connection option(s): "OPT_X".'),
        ("ORGANIZATION_MAP", {"a": {"users": "ops"}}, "a: users: Invalid DN: ops"),
        ("TEAM_MAP", {"a": {}}, "a: organization: This field is required."),
    ],
)
async def test_wrong_settings_are_named(stack: Stack, name: str, value: Any, problem: str) -> None:
    """400 under the setting's name, and nothing is stored."""
    end = await config_end(stack)
    setting = f"AUTH_LDAP_{name}"
    answered = await stack.client.patch("/api/v2/settings/ldap/", json={setting: value})
    assert answered.status_code == 400
    assert problem in answered.json()[setting][0]
    assert await config_end(stack) == end


async def test_the_bind_password_is_not_shown(stack: Stack, directory_server: Slapd) -> None:
    """It reads as stars, and is kept when they are written back."""
    await configure(stack, **settings(directory_server))
    shown = (await stack.client.get("/api/v2/settings/ldap/")).json()
    assert shown["AUTH_LDAP_BIND_PASSWORD"] == "$encrypted$"
    await configure(stack, AUTH_LDAP_BIND_PASSWORD="$encrypted$")
    await forget(stack)
    assert await enters(stack, "ann", PASSWORD)
    assert not await there(stack, "reader")


async def test_what_is_shown_of_users_is_described(stack: Stack) -> None:
    """OPTIONS knows the fields that tell who vouches for a user; nobody may send them."""
    actions = (await stack.client.options("/api/v2/users/")).json()["actions"]
    assert {"ldap_dn", "external_account"} <= set(actions["GET"])
    assert not {"ldap_dn", "external_account", "external_provider"} & set(actions["POST"])
    made = await stack.make(
        "users", username="sly", password="x", ldap_dn="cn=x", external_provider="ldap"
    )
    assert (made["ldap_dn"], made["external_account"]) == ("", None)
