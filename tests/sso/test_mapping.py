"""Organization and team maps, and what a login makes of a user: the pure part, in tables."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.domain.errors import Denied
from controlplane.domain.external import ldap, login, saml, social
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.mapping import (
    Maps,
    Memberships,
    Place,
    by_name,
    compiled,
    evaluate,
    expression,
    in_groups,
    organization_map,
    read_maps,
    team_map,
)
from controlplane.domain.external.values import Unfit, dn, normal_dn
from controlplane.domain.facts import Facts, Find, Held, Lacking, Object
from controlplane.domain.resource import Decision
from schemas.events.access import RoleGranted, RoleRevoked
from schemas.events.resource import ResourceCreated, ResourceLinked, ResourceUpdated
from schemas.resource import RESOURCES

MEMBER = Place("Ops", "", "member")
ADMIN = Place("Ops", "", "admin")


def maps(organizations: Any = None, teams: Any = None) -> Maps:
    """Read two maps by user name."""
    return read_maps(organization_map(expression)(organizations), team_map(expression)(teams))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, None),
        ({"users": None}, None),
        ({"users": True}, True),
        ({"users": False}, False),
        ({"users": False, "remove": False}, None),
        ({"users": []}, False),
        ({"users": "ann"}, True),
        ({"users": "ann@example.com"}, True),
        ({"users": "bob"}, False),
        ({"users": "bob", "remove_users": False}, None),
        ({"users": "bob", "remove": False, "remove_users": True}, False),
        ({"users": "bob", "remove_admins": False}, False),
        ({"users": ["bob", "ann"]}, True),
        ({"users": "/^AN/"}, False),
        ({"users": "/^AN/i"}, True),
        ({"users": "/nn/"}, False),
        ({"users": ["/^[^@]+@example\\.com$/"]}, True),
        ({"users": "/ann"}, False),
    ],
)
def test_who_an_organization_map_names(entry: dict[str, Any], expected: Any) -> None:
    """True takes in, False takes out, None leaves; ``remove`` and expressions as in AWX."""
    found = evaluate(maps({"Ops": entry}), by_name("ann", "ann@example.com"))
    assert found.places.get(MEMBER) is expected
    assert ADMIN not in found.places
    assert found.organizations == ("Ops",)


def test_an_alias_names_the_organization_and_one_entry_that_takes_in_wins() -> None:
    """Two entries about one organization: who is named by either belongs there."""
    both = {"a": {"organization_alias": "Ops", "users": "ann"}, "Ops": {"users": "bob"}}
    for order in (both, dict(reversed(both.items()))):
        assert evaluate(maps(order), by_name("ann")).places == {MEMBER: True}
    assert evaluate(maps(both), by_name("eve")).places == {MEMBER: False}


def test_a_team_map_names_team_and_organization() -> None:
    """Its key is the team; its organization is to be there."""
    found = evaluate(maps(None, {"Red": {"organization": "Ops", "users": ["ann"]}}), by_name("ann"))
    assert found == Memberships(
        places={Place("Ops", "Red", "member"): True}, organizations=("Ops",)
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "Expected a dictionary of items but got type list."),
        ({"Ops": True}, "Ops: Expected a dictionary of items but got type bool."),
        ({"Ops": {"user": True}}, "Ops: user: Invalid field."),
        ({"Ops": {"users": 5}}, "Ops: users: Expected None, True, False, a string or list of"),
        ({"Ops": {"users": "/(/"}}, "Ops: users: missing ), unterminated subpattern"),
        ({"Ops": {"remove": "maybe"}}, "Ops: remove: Must be a valid boolean."),
        ({"": {}}, "This field may not be blank."),
        ({"x" * 513: {}}, "Ensure this field has no more than 512 characters."),
        ({"a\x00": {}}, "Null characters are not allowed."),
    ],
)
def test_a_wrong_organization_map_is_named(value: Any, problem: str) -> None:
    """What does not fit is said with the place where it stands."""
    with pytest.raises(Unfit) as refused:
        maps(value)
    assert problem in str(refused.value)


def test_a_team_needs_its_organization() -> None:
    """A team without one could be anywhere."""
    with pytest.raises(Unfit, match="Red: organization: This field is required"):
        maps(None, {"Red": {"users": True}})


def test_names_of_groups_compare_as_directories_do() -> None:
    """Case and spaces between parts do not matter, escaped commas do."""
    assert normal_dn("CN=Ops , dc=Example") == normal_dn("cn=ops,DC=example")
    assert normal_dn("cn=a\\,b,dc=c") != normal_dn("cn=a,cn=b,dc=c")
    assert in_groups(["CN=Ops,DC=x"])("cn=ops, dc=x")
    with pytest.raises(Unfit, match="Invalid DN: cn"):
        dn("cn")


def test_expressions_are_anchored_at_the_start_only() -> None:
    """As AWX's, and flags are i and m."""
    found = compiled("/a.c/im")
    assert found is not None
    assert found.match("ABCD")
    assert compiled("/a/x") is None


LDAP = {
    "AUTH_LDAP_SERVER_URI": "ldap://a, ldaps://b:636",
    "AUTH_LDAP_USER_SEARCH": ["ou=p,dc=x", "SCOPE_SUBTREE", "(uid=%(user)s)"],
    "AUTH_LDAP_GROUP_SEARCH": ["ou=g,dc=x", "SCOPE_ONELEVEL", "(objectClass=groupOfNames)"],
    "AUTH_LDAP_USER_ATTR_MAP": {"first_name": "givenName", "email": "mail"},
    "AUTH_LDAP_USER_FLAGS_BY_GROUP": {"is_superuser": "cn=su,dc=x", "is_system_auditor": []},
    "AUTH_LDAP_REQUIRE_GROUP": "cn=all,dc=x",
    "AUTH_LDAP_DENY_GROUP": "cn=out,dc=x",
    "AUTH_LDAP_ORGANIZATION_MAP": {"Ops": {"users": "cn=ops,dc=x", "admins": ["cn=su,dc=x"]}},
    "AUTH_LDAP_TEAM_MAP": {"Red": {"organization": "Ops", "users": True, "remove": False}},
}


@pytest.mark.parametrize(
    ("groups", "let_in"),
    [
        ([], False),
        (["cn=all,dc=x"], True),
        (["CN=All, DC=x", "cn=other,dc=x"], True),
        (["cn=all,dc=x", "cn=out,dc=x"], False),
    ],
)
def test_required_and_denied_groups(groups: list[str], let_in: Any) -> None:
    """Only members of the one get in, and no members of the other."""
    (config,) = ldap.read_all(LDAP)
    identity = Identity(provider="ldap", uid="u", username="u", groups=tuple(groups))
    assert ldap.admitted(config, identity) is let_in


def test_a_directory_makes_fields_flags_and_places() -> None:
    """Flags are given and taken by group; attributes that are not mapped are left alone."""
    (config,) = ldap.read_all(LDAP)
    assert config.uris == ("ldap://a", "ldaps://b:636")
    identity = Identity(
        provider="ldap",
        uid="u",
        username="u",
        dn="uid=u,dc=x",
        first_name="Una",
        groups=("cn=su,dc=x",),
    )
    found = ldap.wanted(config, identity)
    assert found.fields == {
        "first_name": "Una",
        "email": "",
        "is_superuser": True,
        "is_system_auditor": False,
        "ldap_dn": "uid=u,dc=x",
    }
    assert found.memberships.places == {
        ADMIN: True,
        MEMBER: False,
        Place("Ops", "Red", "member"): True,
    }


SAML = {
    f"SOCIAL_AUTH_SAML_{name}": value
    for name, value in {
        "SP_ENTITY_ID": "us",
        "SP_PUBLIC_CERT": "QUJD",
        "SP_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----",
        "ORG_INFO": {"en-US": {"name": "a", "displayname": "a", "url": "https://a.test"}},
        "TECHNICAL_CONTACT": {"givenName": "a", "emailAddress": "a@a.test"},
        "SUPPORT_CONTACT": {"givenName": "a", "emailAddress": "a@a.test"},
        "ENABLED_IDPS": {"idp": {"entity_id": "x", "url": "https://i.test", "x509cert": "QUJD"}},
        "ORGANIZATION_MAP": {"lots": {"organization_alias": "Many"}, "Ops": {"admins": "ann"}},
        "ORGANIZATION_ATTR": {"saml_attr": "org", "saml_admin_attr": "adm", "remove_admins": False},
        "TEAM_ATTR": {
            "saml_attr": "team",
            "team_org_map": [
                {"team": "r", "team_alias": "Red", "organization": "Ops"},
                {"team": "b", "organization": "Ops"},
            ],
        },
        "USER_FLAGS_BY_ATTR": {
            "is_superuser_attr": "su",
            "is_superuser_value": ["yes"],
            "is_system_auditor_role": "audit",
            "remove_system_auditors": False,
        },
    }.items()
}


def test_attributes_of_an_assertion_make_places_and_flags() -> None:
    """Named organizations and teams are joined, all others of the kind left, maps go before."""
    (config,) = saml.read_all(SAML)
    identity = Identity(
        provider="saml",
        uid="idp:ann",
        username="ann",
        attributes={"org": ("lots", "Ops"), "adm": ("Ops",), "team": ("r",), "su": ("yes", "no")},
    )
    found = saml.wanted(config, identity)
    assert found.memberships.places == {
        Place(saml.EVERY_OTHER, "", "member"): False,
        Place("Many", "", "member"): True,
        MEMBER: True,
        ADMIN: True,
        Place("Ops", "Red", "member"): True,
        Place("Ops", "b", "member"): False,
    }
    assert found.fields == {"is_superuser": True}
    bare = saml.wanted(config, Identity(provider="saml", uid="idp:a", username="a"))
    assert bare.fields == {"is_superuser": False}
    assert bare.memberships.places[Place(saml.EVERY_OTHER, "", "member")] is False


OIDC = {
    "SOCIAL_AUTH_OIDC_KEY": "k",
    "SOCIAL_AUTH_OIDC_SECRET": "s",
    "SOCIAL_AUTH_OIDC_OIDC_ENDPOINT": "https://op.test/",
    "SOCIAL_AUTH_ORGANIZATION_MAP": {"Ops": {"users": "ann@x.test"}},
}


@pytest.mark.parametrize(("verified", "member"), [(True, True), (False, False)])
def test_an_address_nobody_vouches_for_names_nobody(
    verified: Any,
    member: Any,
) -> None:
    """Whoever may write any address into an account must not get another's place by it."""
    (config,) = social.read_all(OIDC)
    assert config.issuer == "https://op.test"
    identity = Identity(
        provider="oidc", uid="1", username="ann", email="ann@x.test", email_verified=verified
    )
    found = social.wanted(config, identity)
    assert found.memberships.places == {MEMBER: member}
    assert found.fields == {"email": "ann@x.test"}


def test_a_providers_own_map_stands_for_that_of_all() -> None:
    """And an empty list of user fields makes no users."""
    own: dict[str, Any] = {"SOCIAL_AUTH_OIDC_ORGANIZATION_MAP": {}, "SOCIAL_AUTH_USER_FIELDS": []}
    (config,) = social.read_all({**OIDC, **own})
    found = social.wanted(config, Identity(provider="oidc", uid="1", username="ann"))
    assert (found.memberships.places, found.new_users) == ({}, False)
    assert social.read_all({**OIDC, "SOCIAL_AUTH_OIDC_SECRET": ""}) == ()


class State:
    """Users, organizations, teams and roles, answering what a decision asks."""

    def __init__(self) -> None:
        """Start with a local user ``root`` (1) and the organization Ops (5)."""
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        self.held: set[tuple[int, str, int, str]] = set()
        self.linked: set[tuple[int, int]] = set()
        self.put("user", 1, username="root", password="hash")
        self.put("organization", 5, name="Ops")

    def put(self, kind: str, number: int, **values: Any) -> None:
        """Have an object."""
        defaults = {name: field.default for name, field in RESOURCES[kind].fields.items()}
        self.rows[kind, number] = {**defaults, **values}

    def decide(self, identity: Identity, wanted: Wanted) -> Decision:
        """Decide as the shell does, and take the events in."""
        facts = Facts()
        while True:
            found = login.decide(identity, wanted, lambda _kind, place: 100 + place, facts)
            if isinstance(found, Decision):
                break
            facts.learn(self.answers(found))
        for event in found.events:
            self.apply(event)
        return found

    def answers(self, lacking: Lacking) -> dict[Any, Any]:
        """Answer lookups."""
        found: dict[Any, Any] = {}
        for each in lacking.lookups:
            match each:
                case Object(kind=kind, id=number):
                    found[each] = self.rows.get((kind, number))
                case Find(kind=kind, fields=fields, values=values):
                    found[each] = tuple(
                        number
                        for (of, number), row in sorted(self.rows.items())
                        if of == kind and tuple(row[name] for name in fields) == values
                    )
                case Held(user=user):
                    found[each] = frozenset(role[1:] for role in self.held if role[0] == user)
        return found

    def apply(self, event: Any) -> None:
        """Take one event in."""
        match event:
            case ResourceCreated():
                self.rows[event.kind, event.id] = dict(event.values)
            case ResourceUpdated():
                self.rows[event.kind, event.id] |= event.changes
            case ResourceLinked():
                self.linked.add((event.id, event.target))
            case RoleGranted():
                self.held.add((event.user, event.kind, event.object_id, event.role))
            case RoleRevoked():
                self.held.remove((event.user, event.kind, event.object_id, event.role))


ANN = Identity(provider="oidc", uid="42", username="ann")
PLACES = {
    MEMBER: True,
    ADMIN: False,
    Place("New", "Red", "member"): True,
    Place("New", "Blue", "member"): False,
    Place("Nowhere", "", "admin"): False,
}


def wants(places: dict[Place, bool] | None = None, **fields: Any) -> Wanted:
    """Return what a login wants."""
    return Wanted(fields=fields, memberships=Memberships(places=places or {}))


def test_a_first_login_makes_what_is_needed_and_a_second_nothing() -> None:
    """One transaction: user, organization, team, roles; nothing is made to be left."""
    state = State()
    made = state.decide(ANN, wants(PLACES, email="a@x.test"))
    kinds = [type(event).__name__ for event in made.events]
    assert kinds == [
        "ResourceCreated",
        "RoleGranted",
        "ResourceCreated",
        "ResourceCreated",
        "RoleGranted",
    ]
    user = state.rows["user", 100]
    assert (user["username"], user["email"], user["password"]) == ("ann", "a@x.test", "")
    assert (user["external_provider"], user["external_uid"]) == ("oidc", "42")
    assert state.held == {(100, "organization", 5, "member"), (100, "team", 100, "member")}
    assert {"user/username/ann", "organization:5", "team/organization,name/100/Red"} <= made.writes
    assert state.decide(ANN, wants(PLACES, email="a@x.test")).events == ()


def test_what_changed_elsewhere_changes_here() -> None:
    """Fields are updated and roles that are not wanted any more revoked, and only these."""
    state = State()
    state.decide(ANN, wants({MEMBER: True, ADMIN: True}, is_superuser=True))
    found = state.decide(ANN, wants({ADMIN: False}, is_superuser=False))
    assert found.events == (
        ResourceUpdated(kind="user", id=100, changes={"is_superuser": False}),
        RoleRevoked(user=100, kind="organization", object_id=5, role="admin"),
    )


def test_every_other_organization_is_left() -> None:
    """Roles of the same name elsewhere go; named places and other roles stay."""
    state = State()
    state.put("organization", 6, name="Old")
    state.decide(ANN, wants({MEMBER: True, Place("Old", "", "member"): True}))
    state.held.add((100, "organization", 6, "admin"))
    state.decide(ANN, wants({Place(saml.EVERY_OTHER, "", "member"): False, MEMBER: True}))
    assert state.held == {(100, "organization", 5, "member"), (100, "organization", 6, "admin")}


@pytest.mark.parametrize("provider", ["github", "saml", "ldap"])
def test_a_name_belongs_to_whoever_made_it(provider: str) -> None:
    """A local user, or one of another provider, is not let in under the same name."""
    state = State()
    state.decide(ANN, wants())
    for name in ("root", "ann"):
        stranger = Identity(provider=provider, uid="7", username=name)
        with pytest.raises(Denied, match="was not made by this way"):
            state.decide(stranger, wants(is_superuser=True))
    with pytest.raises(Denied, match="was not made by this way"):
        state.decide(Identity(provider="oidc", uid="43", username="ann"), wants())
    renamed = Identity(provider="oidc", uid="42", username="root")
    assert state.decide(renamed, wants()).made == (100,)
    assert state.rows["user", 100]["username"] == "ann"


@pytest.mark.parametrize(("provider", "adopts"), [("ldap", True), ("saml", True), ("oidc", False)])
def test_a_user_without_a_password_is_taken_over_where_names_are_given(
    provider: str, adopts: Any
) -> None:
    """As after an import: roles stay. Where people choose their names themselves, it is refused."""
    state = State()
    state.put("user", 2, username="moved", is_superuser=True)
    identity = Identity(provider=provider, uid="moved", username="moved")
    if not adopts:
        with pytest.raises(Denied, match="was not made by this way"):
            state.decide(identity, wants())
        return
    assert state.decide(identity, wants(email="m@x.test")).made == (2,)
    user = state.rows["user", 2]
    assert (user["external_provider"], user["external_uid"]) == (provider, "moved")
    assert (user["is_superuser"], user["email"]) == (True, "m@x.test")
    assert state.decide(identity, wants(email="m@x.test")).events == ()


def test_a_new_organization_gets_the_managed_galaxy_credential() -> None:
    """The managed one alone; an organization that is there already keeps what it has."""
    state = State()
    state.put("credential", 8, name="Ansible Galaxy", managed=False)
    state.put("credential", 9, name="Ansible Galaxy", managed=True)
    state.decide(ANN, wants(PLACES))
    assert state.linked == {(100, 9)}


@pytest.mark.parametrize("name", ["", " ", "x" * 151, "a\nb", "a\x00b", "\ud800"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    """No user is made of it."""
    state = State()
    with pytest.raises(Denied, match="cannot be a user name"):
        state.decide(Identity(provider="oidc", uid="9", username=name), wants())
    assert ("user", 100) not in state.rows


def test_text_that_is_too_long_is_cut_and_junk_left_out() -> None:
    """A login does not fail for an odd attribute."""
    state = State()
    state.decide(ANN, wants(first_name="n" * 200, last_name="a\x00b", email="e" * 300))
    user = state.rows["user", 100]
    assert (user["first_name"], user["last_name"]) == ("n" * 150, "")
    assert len(user["email"]) == 254


def test_nobody_and_nothing_new_where_settings_say_so() -> None:
    """Users who are there still get in, and only objects that are there are joined."""
    state = State()
    few: dict[str, Any] = {"memberships": Memberships(places=PLACES), "fields": {}}
    with pytest.raises(Denied, match="may log in here"):
        state.decide(ANN, Wanted(new_users=False, **few))
    state.decide(ANN, Wanted(new_objects=False, **few))
    assert {kind for kind, _ in state.rows} == {"user", "organization"}
    assert state.held == {(100, "organization", 5, "member")}
    assert state.decide(ANN, Wanted(new_users=False, new_objects=False, **few)).events == ()
