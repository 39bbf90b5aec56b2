"""Settings of logging in elsewhere: LDAP, OpenID and OAuth2 providers, SAML.

Each value's own form is checked in ``controlplane.domain.external``, where it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from schemas.settings.setting import Setting, declare, flag, mapping, several, words

Make = Callable[..., Setting]

READER = "controlplane.domain.external.checks"
CALLBACK = "Callback URL"
ADDRESSES = {
    "CALLBACK_URL": "/sso/complete/{}/",
    "METADATA_URL": "/sso/metadata/{}/",
}
"""Last words of a setting that shows an address of ours, and its path."""
LDAP_SERVERS = ("", "1_", "2_", "3_", "4_", "5_")


def _object(name: str, label: str, text: str, **more: Any) -> Setting:
    return mapping(name, label, text, item="any", **more)


def _map(name: str, label: str, text: str) -> Setting:
    return _object(name, label, text, default=None, nullable=True)


def _list(name: str, label: str, text: str, **more: Any) -> Setting:
    return several(name, label, text, item="any", **more)


def _secret(name: str, label: str, text: str) -> Setting:
    return words(name, label, text, secret=True)


def _perhaps(name: str, label: str, text: str) -> Setting:
    return words(name, label, text, default=None, nullable=True)


def _address(name: str, label: str, text: str) -> Setting:
    return words(name, label, text, read_only=True)


def _ours(each: Setting) -> Setting:
    return msgspec.structs.replace(each, reader="" if each.read_only else READER)


_ORGANIZATIONS = "Which organizations users belong to, by user name or email address."
_TEAMS = "Which teams users belong to, by user name or email address."
_KEY = "The client's id, as the provider gave it."
_SECRET = "The client's secret, as the provider gave it."  # noqa: S105 - words about a secret
_ADDRESS = "The address that the provider sends users back to; it is registered there."

declare(
    "authentication",
    "Authentication",
    [
        _ours(each)
        for each in (
            _map("SOCIAL_AUTH_ORGANIZATION_MAP", "Social Auth Organization Map", _ORGANIZATIONS),
            _map("SOCIAL_AUTH_TEAM_MAP", "Social Auth Team Map", _TEAMS),
            several(
                "SOCIAL_AUTH_USER_FIELDS",
                "Social Auth User Fields",
                "Fields of a user that are taken from the provider; an empty list makes no users.",
                default=None,
                nullable=True,
            ),
        )
    ],
)


_LDAP: tuple[tuple[Make, str, str, str, dict[str, Any]], ...] = (
    (
        words,
        "SERVER_URI",
        "LDAP Server URI",
        (
            "Address such as ldaps://ldap.example.com:636; several, separated by spaces or commas,"
            " are tried in turn. Empty turns this directory off."
        ),
        {},
    ),
    (words, "BIND_DN", "LDAP Bind DN", "Name of the account that searches; empty for none.", {}),
    (_secret, "BIND_PASSWORD", "LDAP Bind Password", "Password of that account.", {}),
    (flag, "START_TLS", "LDAP Start TLS", "Whether a connection by ldap:// starts TLS.", {}),
    (
        _object,
        "CONNECTION_OPTIONS",
        "LDAP Connection Options",
        (
            "OPT_NETWORK_TIMEOUT (seconds), OPT_X_TLS_REQUIRE_CERT (0 does not check certificates)"
            " and OPT_REFERRALS (0)."
        ),
        {"default": {"OPT_REFERRALS": 0, "OPT_NETWORK_TIMEOUT": 30}},
    ),
    (
        _list,
        "USER_SEARCH",
        "LDAP User Search",
        "Where users are found: [base, scope, filter with %(user)s], or a list of such.",
        {},
    ),
    (
        _perhaps,
        "USER_DN_TEMPLATE",
        "LDAP User DN Template",
        "Name of every user, with %(user)s, where all have the same form; replaces the search.",
        {},
    ),
    (
        _object,
        "USER_ATTR_MAP",
        "LDAP User Attribute Map",
        "Attribute of the directory for each of first_name, last_name and email.",
        {},
    ),
    (
        _list,
        "GROUP_SEARCH",
        "LDAP Group Search",
        "Where groups are found: [base, scope, filter].",
        {},
    ),
    (
        words,
        "GROUP_TYPE",
        "LDAP Group Type",
        "How groups name their members.",
        {"default": "MemberDNGroupType", "blank": False},
    ),
    (
        _object,
        "GROUP_TYPE_PARAMS",
        "LDAP Group Type Parameters",
        "member_attr where members stand by name, ldap_group_user_attr for PosixUIDGroupType.",
        {"default": {"member_attr": "member", "name_attr": "cn"}},
    ),
    (_perhaps, "REQUIRE_GROUP", "LDAP Require Group", "Group whose members alone get in.", {}),
    (_perhaps, "DENY_GROUP", "LDAP Deny Group", "Group whose members do not get in.", {}),
    (
        _object,
        "USER_FLAGS_BY_GROUP",
        "LDAP User Flags By Group",
        "Groups whose members are is_superuser or is_system_auditor; set anew at each login.",
        {},
    ),
    (
        _object,
        "ORGANIZATION_MAP",
        "LDAP Organization Map",
        "Which organizations users belong to, by group.",
        {},
    ),
    (_object, "TEAM_MAP", "LDAP Team Map", "Which teams users belong to, by group.", {}),
)
for _number in LDAP_SERVERS:
    declare(
        "ldap",
        "LDAP",
        [
            _ours(make(f"AUTH_LDAP_{_number}{name}", label, text, **more))
            for make, name, label, text, more in _LDAP
        ],
    )


def _provider(slug: str, word: str, label: str, *more: Setting, verify: bool = False) -> None:
    """Declare the category of one OAuth2 provider."""
    prefix = f"SOCIAL_AUTH_{word}_"
    check = "Whether the provider's certificate is checked."
    verifying = [flag(f"{prefix}VERIFY_SSL", "Verify Certificates", check, default=True)]
    declare(
        slug,
        label,
        [
            _ours(each)
            for each in (
                _address(f"{prefix}CALLBACK_URL", f"{label} {CALLBACK}", _ADDRESS),
                words(f"{prefix}KEY", f"{label} Key", _KEY),
                _secret(f"{prefix}SECRET", f"{label} Secret", _SECRET),
                *more,
                *(verifying if verify else ()),
                _map(f"{prefix}ORGANIZATION_MAP", f"{label} Organization Map", _ORGANIZATIONS),
                _map(f"{prefix}TEAM_MAP", f"{label} Team Map", _TEAMS),
            )
        ],
    )


_provider(
    "google-oauth2",
    "GOOGLE_OAUTH2",
    "Google OAuth2",
    several(
        "SOCIAL_AUTH_GOOGLE_OAUTH2_WHITELISTED_DOMAINS",
        "Google OAuth2 Allowed Domains",
        "Domains of the addresses that get in; empty for all.",
    ),
)
_provider("github", "GITHUB", "GitHub OAuth2")
_provider(
    "github-org",
    "GITHUB_ORG",
    "GitHub Organization OAuth2",
    words("SOCIAL_AUTH_GITHUB_ORG_NAME", "GitHub Organization Name", "Whose members get in."),
)
_provider(
    "github-team",
    "GITHUB_TEAM",
    "GitHub Team OAuth2",
    words("SOCIAL_AUTH_GITHUB_TEAM_ID", "GitHub Team ID", "The number of the team that gets in."),
)
_provider("azuread-oauth2", "AZUREAD_OAUTH2", "Azure AD OAuth2")
_provider(
    "oidc",
    "OIDC",
    "Generic OIDC",
    words(
        "SOCIAL_AUTH_OIDC_OIDC_ENDPOINT",
        "OIDC Provider URL",
        "The provider's issuer; below it lies /.well-known/openid-configuration.",
    ),
    verify=True,
)

declare(
    "saml",
    "SAML",
    [
        _ours(each)
        for each in (
            flag(
                "SAML_AUTO_CREATE_OBJECTS",
                "Automatically Create Organizations and Teams on SAML Login",
                "Whether organizations and teams that assertions name are made.",
                default=True,
            ),
            _address("SOCIAL_AUTH_SAML_CALLBACK_URL", f"SAML {CALLBACK}", _ADDRESS),
            _address(
                "SOCIAL_AUTH_SAML_METADATA_URL",
                "SAML Service Provider Metadata URL",
                "Where identity providers read about this service.",
            ),
            words(
                "SOCIAL_AUTH_SAML_SP_ENTITY_ID",
                "SAML Service Provider Entity ID",
                "The name of this service among identity providers; assertions are for it.",
            ),
            words(
                "SOCIAL_AUTH_SAML_SP_PUBLIC_CERT",
                "SAML Service Provider Public Certificate",
                "The certificate of this service.",
            ),
            _secret(
                "SOCIAL_AUTH_SAML_SP_PRIVATE_KEY",
                "SAML Service Provider Private Key",
                "The private key that belongs to the certificate.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_ORG_INFO",
                "SAML Service Provider Organization Info",
                "name, displayname and url of whoever runs this service, by language.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_TECHNICAL_CONTACT",
                "SAML Service Provider Technical Contact",
                "givenName and emailAddress.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_SUPPORT_CONTACT",
                "SAML Service Provider Support Contact",
                "givenName and emailAddress.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_ENABLED_IDPS",
                "SAML Enabled Identity Providers",
                "entity_id, url, x509cert and names of attributes, by a name of your choice.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_SECURITY_CONFIG",
                "SAML Security Config",
                "What requests and answers have to fulfil; assertions are signed in any case.",
                default={"requestedAuthnContext": False},
            ),
            _object(
                "SOCIAL_AUTH_SAML_SP_EXTRA",
                "SAML Service Provider extra configuration data",
                "More about this service, in the words of python3-saml.",
                default=None,
                nullable=True,
            ),
            _map("SOCIAL_AUTH_SAML_ORGANIZATION_MAP", "SAML Organization Map", _ORGANIZATIONS),
            _map("SOCIAL_AUTH_SAML_TEAM_MAP", "SAML Team Map", _TEAMS),
            _object(
                "SOCIAL_AUTH_SAML_ORGANIZATION_ATTR",
                "SAML Organization Attribute Mapping",
                "Attributes that name the organizations of a user.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_TEAM_ATTR",
                "SAML Team Attribute Mapping",
                "The attribute that names the teams of a user, and where each of them is.",
            ),
            _object(
                "SOCIAL_AUTH_SAML_USER_FLAGS_BY_ATTR",
                "SAML User Flags Attribute Mapping",
                "Attributes and roles that make a superuser or system auditor.",
            ),
        )
    ],
)
