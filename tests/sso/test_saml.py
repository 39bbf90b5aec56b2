"""Logging in with a SAML identity provider, and what of its answers is not believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controlplane.sso.attempts import Attempts, new_attempt
from tests.api.stack import Stack
from tests.sso.saml_provider import (
    AUDIENCE,
    ENTITY,
    URL,
    Asked,
    SamlProvider,
    at,
    encoded,
    wrapped,
)
from tests.sso.slapd import self_signed
from tests.sso.tools import config_end, configure, last_try, me, places, there

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/sso/login/saml/?idp=main"
COMPLETE = "/sso/complete/saml/"
ANN = {
    "uid": ["ann"],
    "first": ["Ann"],
    "last": ["Ash"],
    "mail": ["ann@example.com"],
    "org": ["Saml", "Old"],
    "adm": ["Saml"],
    "team": ["red"],
    "Role": ["boss"],
}
MALLORY = {"uid": ["mallory"], "Role": ["boss"]}
CONTACT = {"givenName": "Al", "emailAddress": "al@example.com"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(stack: Stack) -> SamlProvider:
    """An identity provider that our settings name."""
    made = SamlProvider()
    certificate, key = (each.decode() for each in self_signed("playlog.example.com"))
    names = ("user_permanent_id", "username", "first_name", "last_name", "email")
    attributes = dict(zip(names, ("uid", "uid", "first", "last", "mail"), strict=True))
    given = {
        "SP_ENTITY_ID": AUDIENCE,
        "SP_PUBLIC_CERT": certificate,
        "SP_PRIVATE_KEY": key,
        "ORG_INFO": {"en-US": {"name": "p", "displayname": "P", "url": "https://p.example.com"}},
        "TECHNICAL_CONTACT": CONTACT,
        "SUPPORT_CONTACT": CONTACT,
        "ENABLED_IDPS": {
            "main": {
                "entity_id": ENTITY,
                "url": URL,
                "x509cert": made.certificate,
                **{f"attr_{name}": value for name, value in attributes.items()},
            }
        },
        "ORGANIZATION_ATTR": {"saml_attr": "org", "saml_admin_attr": "adm"},
        "TEAM_ATTR": {
            "saml_attr": "team",
            "team_org_map": [{"team": "red", "team_alias": "Red", "organization": "Saml"}],
        },
        "USER_FLAGS_BY_ATTR": {"is_system_auditor_role": "boss"},
    }
    prefixed = {f"SOCIAL_AUTH_SAML_{name}": value for name, value in given.items()}
    await configure(stack, TOWER_URL_BASE=stack.url, **prefixed)
    return made


async def begin(client: httpx.AsyncClient, provider: SamlProvider, start: str = START) -> Asked:
    """Begin a login; return our request as the provider reads it."""
    begun = await client.get(start)
    assert begun.status_code == 302, begun.text
    return provider.read(begun.headers["location"])


async def post(client: httpx.AsyncClient, asked: Asked, xml: str) -> httpx.Response:
    """Have the browser post an answer, as from the provider's site: without our cookies."""
    async with httpx.AsyncClient(timeout=30) as elsewhere:
        form = {"SAMLResponse": encoded(xml), "RelayState": asked.state}
        return await elsewhere.post(asked.address, data=form)


def right(provider: SamlProvider, asked: Asked, attributes: Any = None, **wrong: Any) -> str:
    """Return an answer with a signed assertion."""
    signed = provider.sign(provider.assertion(asked, attributes or ANN, **wrong))
    return provider.response(asked, signed)


async def refused(stack: Stack, client: httpx.AsyncClient, asked: Asked, xml: str) -> None:
    """See an answer refused: 401, nobody made or logged in, the attempt recorded."""
    end = await config_end(stack)
    answered = await post(client, asked, xml)
    assert answered.status_code == 401, answered.headers
    assert await config_end(stack) == end
    assert await me(client) is None
    assert (await last_try(stack))[1:] == ("saml", False)
    assert not await there(stack, "mallory")


async def test_a_login_makes_user_flags_and_places(stack: Stack, provider: SamlProvider) -> None:
    """The answer is checked, then the browser comes for its session; again stores nothing."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider, f"{START}&next=/api/v2/me/")
        assert asked.address == f"{stack.url}{COMPLETE}"
        answered = await post(client, asked, right(provider, asked))
        assert answered.status_code == 303, answered.text
        assert await me(client) is None
        opened = await client.get(answered.headers["location"])
        assert (opened.status_code, opened.headers["location"]) == (302, "/api/v2/me/")
        mine = await me(client)
    assert mine is not None
    assert (mine["username"], mine["first_name"], mine["last_name"]) == ("ann", "Ann", "Ash")
    assert (mine["email"], mine["is_system_auditor"]) == ("ann@example.com", True)
    assert mine["external_account"] == "enterprise"
    assert mine["auth"] == [{"provider": "saml", "uid": "main:ann"}]
    assert await places(stack, "ann") == {"Saml", "Old", "@Saml", "#Red"}
    assert await last_try(stack) == ("ann", "saml", True)
    end = await config_end(stack)
    await log_in(stack, provider, ANN)
    assert await config_end(stack) == end
    await log_in(stack, provider, {"uid": ["ann"], "org": ["Saml"]})
    assert await places(stack, "ann") == {"Saml"}


async def log_in(stack: Stack, provider: SamlProvider, attributes: dict[str, list[str]]) -> None:
    """Log somebody in."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        answered = await post(client, asked, right(provider, asked, attributes))
        assert answered.status_code == 303, answered.text
        assert (await client.get(answered.headers["location"])).status_code == 302


async def test_ways_and_metadata(stack: Stack, provider: SamlProvider) -> None:
    """Each identity provider is listed; the metadata name us and where answers go."""
    async with stack.anonymous() as client:
        listed = (await client.get("/api/v2/auth/")).json()
        assert listed == {
            "saml:main": {
                "login_url": "/sso/login/saml/?idp=main",
                "complete_url": COMPLETE,
                "metadata_url": "/sso/metadata/saml/",
            }
        }
        page = (await client.get("/api/login/?next=//evil.test")).text
        assert '<a href="/sso/login/saml/?idp=main&amp;next=%2Fapi%2F">' in page
        told = await client.get("/sso/metadata/saml/")
        assert told.headers["content-type"].startswith("text/xml")
        assert f'entityID="{AUDIENCE}"' in told.text
        assert f'Location="{stack.url}{COMPLETE}"' in told.text
        assert "PRIVATE" not in told.text
        assert (await client.get("/sso/login/saml/?idp=other")).status_code == 503
        assert (await client.get("/sso/login/saml/")).status_code == 302


WRONG: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "another audience": lambda _: {"audiences": ["https://other.example.com"]},
    "no audience": lambda _: {"audiences": []},
    "expired": lambda _: {"ends": at(-400)},
    "not yet": lambda _: {"begins": at(400)},
    "confirmation expired": lambda _: {"confirmed_until": at(-1)},
    "confirmation without end": lambda _: {"confirmed_until": None},
    "another request": lambda _: {"confirms": "ID_other"},
    "no request": lambda _: {"confirms": None},
    "another address": lambda asked: {"recipient": f"{asked.address}x"},
    "no address": lambda _: {"recipient": None},
    "another issuer": lambda _: {"issuer": "https://other.example.com"},
    "another method": lambda _: {"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"},
}


@pytest.mark.parametrize("what", WRONG)
async def test_an_assertion_that_is_not_for_this_login_is_refused(
    stack: Stack, provider: SamlProvider, what: str
) -> None:
    """Signed as it is: every condition has to be there and hold."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        xml = right(provider, asked, MALLORY, **WRONG[what](asked))
        await refused(stack, client, asked, xml)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "urn:oasis:names:tc:SAML:2.0:status:Requester"},
        {"in_response_to": "ID_other"},
        {"destination": "https://other.example.com/"},
        {"issuer": "https://other.example.com"},
    ],
    ids=str,
)
async def test_a_response_that_is_not_for_this_login_is_refused(
    stack: Stack, provider: SamlProvider, wrong: dict[str, str]
) -> None:
    """Also where its assertion would do."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        signed = provider.sign(provider.assertion(asked, MALLORY))
        await refused(stack, client, asked, provider.response(asked, signed, **wrong))


async def test_signatures(stack: Stack, provider: SamlProvider) -> None:
    """None, another's, one of the message alone, a weak one, a changed text: refused."""
    another = SamlProvider()
    async with stack.anonymous() as client:
        for build in (
            lambda bare: bare,
            another.sign,
            lambda bare: provider.sign(bare, another.key),
            lambda bare: provider.sign(bare, weak=True),
            lambda bare: provider.sign(bare.replace("mallory", "nobody")).replace(
                "nobody", "mallory"
            ),
        ):
            asked = await begin(client, provider)
            bare = provider.assertion(asked, MALLORY)
            await refused(stack, client, asked, provider.response(asked, build(bare)))
        asked = await begin(client, provider)
        message = provider.response(asked, provider.assertion(asked, MALLORY))
        await refused(stack, client, asked, provider.sign(message))


WRAPS = (
    "before",
    "behind",
    "around",
    "with its signature",
    "in its signature",
    "in extensions",
    "in extensions, signed",
    "same id",
)


@pytest.mark.parametrize("how", WRAPS)
async def test_a_forged_assertion_beside_a_signed_one_is_refused(
    stack: Stack, provider: SamlProvider, how: str
) -> None:
    """What is read is what was signed, wherever an attacker puts it."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        signed = provider.sign(provider.assertion(asked, ANN))
        ways = wrapped(signed, provider.assertion(asked, MALLORY))
        assert set(ways) == set(WRAPS)
        await refused(stack, client, asked, provider.response(asked, **ways[how]))


async def test_an_answer_counts_once(stack: Stack, provider: SamlProvider) -> None:
    """Neither the same answer nor the same assertion in another login is believed again."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        first = right(provider, asked, id="_same")
        assert (await post(client, asked, first)).status_code == 303
        assert (await post(client, asked, first)).status_code == 401
        asked = await begin(client, provider)
        again = right(provider, asked, id="_same")
        await refused(stack, client, asked, again)


async def test_all_processes_remember_together(stack: Stack) -> None:
    """A login is taken by one of them, and what one has used up the others do not take."""
    one, other = (Attempts(stack.services.nats) for _ in range(2))
    attempt = new_attempt("saml", "main", "cookie", "/")
    await one.keep(attempt)
    assert await other.take(attempt.state) == attempt
    assert await one.take(attempt.state) is None
    assert await one.use_up("assertion", 30)
    assert not await other.use_up("assertion", 30)


async def test_only_the_browser_that_began_gets_the_session(
    stack: Stack, provider: SamlProvider
) -> None:
    """A ticket is no use elsewhere, and used up by the try."""
    async with stack.anonymous() as client, stack.anonymous() as other:
        asked = await begin(client, provider)
        await begin(other, provider)
        answered = await post(client, asked, right(provider, asked))
        assert (await other.get(answered.headers["location"])).status_code == 401
        assert await me(other) is None
        assert (await client.get(answered.headers["location"])).status_code == 401


async def test_answers_that_nobody_asked_for_are_refused(
    stack: Stack, provider: SamlProvider
) -> None:
    """Without a state of ours, with an address in its place, or by GET: nobody is sent there."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        for state in ("", "https://evil.test/", "main", "x" * 9000):
            form = {"SAMLResponse": encoded(right(provider, asked)), "RelayState": state}
            answered = await client.post(COMPLETE, data=form)
            assert (answered.status_code, answered.headers.get("location")) == (401, None)
        query = {"SAMLResponse": encoded(right(provider, asked)), "state": asked.state}
        assert (await client.get(COMPLETE, params=query)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        "",
        "!!!",
        "PHg+",
        encoded("<x/>"),
        encoded('<!DOCTYPE x [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><x>&b;</x>'),
        "A" * 600_000,
    ],
    ids=range(6),
)
async def test_junk_is_refused(stack: Stack, provider: SamlProvider, body: str) -> None:
    """Whatever is posted is answered with 401."""
    async with stack.anonymous() as client:
        asked = await begin(client, provider)
        form = {"SAMLResponse": body, "RelayState": asked.state}
        assert (await client.post(COMPLETE, data=form)).status_code == 401


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ENABLED_IDPS", {"x": {"entity_id": "e", "url": URL}}, "x: x509cert: This field is"),
        ("ENABLED_IDPS", {"x": {"entity_id": "e", "url": "u", "x509cert": "Q"}}, "x: url: Enter"),
        ("ENABLED_IDPS", {"x": {"key": 1}}, "x: key: Invalid field."),
        ("SP_PRIVATE_KEY", "key", "Invalid private key."),
        ("ORG_INFO", {"english": {}}, "Invalid language code(s)"),
        ("SUPPORT_CONTACT", {"givenName": "a"}, "emailAddress: This field is required."),
        ("SECURITY_CONFIG", {"wantAssertionsSigned": False}, "assertions must be signed"),
        ("SECURITY_CONFIG", {"signatureAlgorithm": "x#rsa-sha1"}, "SHA-1 is not safe"),
        ("TEAM_ATTR", {"team_org_map": [{"team": "a"}]}, "organization: This field is required."),
        ("ORGANIZATION_ATTR", {"attr": "a"}, "attr: Invalid field."),
        ("USER_FLAGS_BY_ATTR", {"is_staff_attr": "a"}, "is_staff_attr: Invalid field."),
    ],
)
async def test_wrong_settings_are_named(
    stack: Stack, provider: SamlProvider, name: str, value: Any, problem: str
) -> None:
    """400 under the setting's name, and nothing is stored."""
    end = await config_end(stack)
    setting = f"SOCIAL_AUTH_SAML_{name}"
    answered = await stack.client.patch("/api/v2/settings/saml/", json={setting: value})
    assert answered.status_code == 400
    assert problem in answered.json()[setting][0]
    assert await config_end(stack) == end
