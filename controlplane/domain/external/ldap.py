"""Settings of the LDAP back ends (``AUTH_LDAP_*``, ``AUTH_LDAP_1_*`` to ``AUTH_LDAP_5_*``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from controlplane.domain.errors import Invalid
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.mapping import (
    Maps,
    evaluate,
    in_groups,
    organization_map,
    read_maps,
    team_map,
)
from controlplane.domain.external.values import (
    USER,
    Reader,
    Unfit,
    dn,
    flag,
    mapping,
    optional,
    required_text,
    settings_of,
    strings,
    text,
    url,
    within,
)

PROVIDER = "ldap"
"""One for all servers: they are alternatives, and a user of one is the same in another."""
SERVERS = ("", "1_", "2_", "3_", "4_", "5_")
SCOPES = ("SCOPE_BASE", "SCOPE_ONELEVEL", "SCOPE_SUBTREE")
FLAGS = ("is_superuser", "is_system_auditor")
ATTRIBUTES = ("first_name", "last_name", "email")
TIMEOUT_S = 30
_ATTRIBUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]*")
_WINDOWS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*\\[A-Za-z0-9 ._-]+|[^@\s]+@[^@\s=]+")


class Search(Struct, frozen=True, kw_only=True):
    """Where and how entries are looked for."""

    base: str
    scope: str
    filter: str


class GroupType(Struct, frozen=True, kw_only=True):
    """How groups name their members: by distinguished name in ``member``, or ``posix``."""

    member: str
    nested: bool = False
    posix: bool = False
    parameter: str = ""
    """The one parameter that matters: ``member_attr`` replaces ``member``."""
    uid: str = "uid"
    """Attribute of a user that posix groups name."""


PARAMETERS = ("member_attr", "name_attr", "ldap_group_user_attr")
GROUP_TYPES: dict[str, GroupType] = {
    "MemberDNGroupType": GroupType(member="member", parameter="member_attr"),
    "NestedMemberDNGroupType": GroupType(member="member", nested=True, parameter="member_attr"),
    "GroupOfNamesType": GroupType(member="member"),
    "NestedGroupOfNamesType": GroupType(member="member", nested=True),
    "GroupOfUniqueNamesType": GroupType(member="uniqueMember"),
    "NestedGroupOfUniqueNamesType": GroupType(member="uniqueMember", nested=True),
    "ActiveDirectoryGroupType": GroupType(member="member"),
    "NestedActiveDirectoryGroupType": GroupType(member="member", nested=True),
    "OrganizationalRoleGroupType": GroupType(member="roleOccupant"),
    "NestedOrganizationalRoleGroupType": GroupType(member="roleOccupant", nested=True),
    "PosixGroupType": GroupType(member="memberUid", posix=True),
    "PosixUIDGroupType": GroupType(
        member="memberUid", posix=True, parameter="ldap_group_user_attr"
    ),
}


class LdapConfig(Struct, frozen=True, kw_only=True):
    """One directory, as the settings describe it."""

    name: str
    """``ldap``, or ``ldap1`` to ``ldap5``."""
    uris: tuple[str, ...]
    bind_dn: str
    bind_password: str
    start_tls: bool
    check_certificate: bool
    timeout_s: int
    searches: tuple[Search, ...]
    dn_template: str
    attributes: Mapping[str, str]
    group_search: Search | None
    group_type: GroupType
    require_group: str
    deny_group: str
    flags: Mapping[str, tuple[str, ...]]
    maps: Maps


def read_all(given: Mapping[str, Any]) -> tuple[LdapConfig, ...]:
    """Return the directories that have an address, in order; raises Invalid."""
    return tuple(
        read(given, number) for number in SERVERS if given.get(f"AUTH_LDAP_{number}SERVER_URI")
    )


def read(given: Mapping[str, Any], number: str = "") -> LdapConfig:
    """Return one directory's settings; raises Invalid with the messages by setting."""
    prefix = f"AUTH_LDAP_{number}"
    named = {f"{prefix}{name}": reader for name, reader in READERS.items()}
    found = {name.removeprefix(prefix): value for name, value in settings_of(given, named).items()}
    options = found["CONNECTION_OPTIONS"]
    return LdapConfig(
        name=f"ldap{number.rstrip('_')}",
        uris=found["SERVER_URI"],
        bind_dn=found["BIND_DN"],
        bind_password=found["BIND_PASSWORD"],
        start_tls=found["START_TLS"],
        check_certificate=options.get("OPT_X_TLS_REQUIRE_CERT", 1) != 0,
        timeout_s=options.get("OPT_NETWORK_TIMEOUT", TIMEOUT_S),
        searches=found["USER_SEARCH"],
        dn_template=found["USER_DN_TEMPLATE"],
        attributes=found["USER_ATTR_MAP"],
        group_search=found["GROUP_SEARCH"],
        group_type=group_type(prefix, found["GROUP_TYPE"], found["GROUP_TYPE_PARAMS"]),
        require_group=found["REQUIRE_GROUP"],
        deny_group=found["DENY_GROUP"],
        flags=found["USER_FLAGS_BY_GROUP"],
        maps=read_maps(found["ORGANIZATION_MAP"], found["TEAM_MAP"]),
    )


def admitted(config: LdapConfig, identity: Identity) -> bool:
    """Return whether the required and the denied group let somebody in.

    Where no groups are searched, nobody is known not to be denied.
    """
    if config.deny_group and config.group_search is None:
        return False
    named = in_groups(identity.groups)
    if config.require_group and not named(config.require_group):
        return False
    return not (config.deny_group and named(config.deny_group))


def wanted(config: LdapConfig, identity: Identity) -> Wanted:
    """Return what a login from a directory makes of its user."""
    named = in_groups(identity.groups)
    fields: dict[str, Any] = {name: getattr(identity, name) for name in config.attributes}
    fields |= {name: any(map(named, groups)) for name, groups in config.flags.items()}
    return Wanted(
        fields={**fields, "ldap_dn": identity.dn}, memberships=evaluate(config.maps, named)
    )


def group_type(prefix: str, name: str, params: Mapping[str, str]) -> GroupType:
    """Return a group type with its parameter; those of other types do not matter."""
    kind = GROUP_TYPES[name]
    if not kind.parameter:
        return kind
    if kind.parameter not in params:
        missing = f"Missing required parameters in {prefix}GROUP_TYPE_PARAMS."
        raise Invalid({f"{prefix}GROUP_TYPE": [missing]})
    if kind.posix:
        return structs.replace(kind, uid=params[kind.parameter])
    return structs.replace(kind, member=params[kind.parameter])


def _uris(value: Any) -> tuple[str, ...]:
    each = filter(None, re.split(r"[, ]+", text(value)))
    return tuple(url(one, ("ldap", "ldaps")) for one in each)


def _bind_dn(value: Any) -> str:
    found = text(value).strip()
    return found if _WINDOWS_NAME.fullmatch(found) else dn(found)


def _template(value: Any) -> str:
    found = text(value).strip()
    if found and USER not in found:
        raise Unfit(f'DN must include "{USER}" placeholder for username: {found}')
    dn(found.replace(USER, "user"))
    return found


def _filter(value: Any) -> str:
    found = text(value).strip()
    depth = 0
    bare = re.sub(r"\\[0-9A-Fa-f]{2}", "", found)
    for place, each in enumerate(bare):
        depth += {"(": 1, ")": -1}.get(each, 0)
        if depth < 0 or (depth == 0 and place < len(bare) - 1):
            raise Unfit(f"Invalid filter: {found}")
    if not found or depth or not found.startswith("("):
        raise Unfit(f"Invalid filter: {found}")
    return found


def _user_filter(value: Any) -> str:
    found = text(value).strip()
    if USER not in found:
        raise Unfit(f'Filter must include "{USER}" placeholder for username: {found}')
    _filter(found.replace(USER, "user"))
    return found


def _search(of_filter: Reader) -> Reader:
    def read_search(value: Any) -> Search | None:
        if value is None or value == []:
            return None
        if not isinstance(value, list | tuple):
            raise Unfit(f"Expected a list of items but got type {type(value).__name__}.")
        if len(value) != 3:  # noqa: PLR2004 - base, scope and filter
            raise Unfit(f"Expected a list of three items but got {len(value)} instead.")
        if value[1] not in SCOPES:
            raise Unfit(f'"{value[1]}" is not a valid choice.')
        return Search(base=dn(required_text(value[0])), scope=value[1], filter=of_filter(value[2]))

    return read_search


def _searches(value: Any) -> tuple[Search, ...]:
    """Return one search, or a union of several."""
    if isinstance(value, list | tuple) and value and not isinstance(value[0], str):
        found = [
            within(f"Error parsing LDAP Union element No. {number}", _search(_user_filter), each)
            for number, each in enumerate(value, 1)
        ]
    else:
        found = [_search(_user_filter)(value)]
    return tuple(each for each in found if each is not None)


def _attributes(value: Any) -> dict[str, str]:
    found = {name: required_text(each) for name, each in mapping(value).items()}
    wrong = sorted(set(found) - set(ATTRIBUTES))
    if wrong:
        raise Unfit(f"Invalid user attribute(s): {_quoted(wrong)}.")
    return found


def _flags(value: Any) -> dict[str, tuple[str, ...]]:
    found = mapping(value)
    for name in found:
        if name not in FLAGS:
            raise Unfit(f'Invalid user flag: "{name}".')
    return {
        name: tuple(dn(one) for one in within(name, strings, each)) for name, each in found.items()
    }


def _type_name(value: Any) -> str:
    if not isinstance(value, str) or value not in GROUP_TYPES:
        raise Unfit(f'"{value}" is not a valid choice.')
    return value


def _options(value: Any) -> dict[str, int]:
    """Return the options that have a meaning here; referrals are never followed."""
    known = {"OPT_REFERRALS", "OPT_NETWORK_TIMEOUT", "OPT_X_TLS_REQUIRE_CERT"}
    found = mapping(value)
    wrong = sorted(set(found) - known)
    if wrong:
        raise Unfit(f"Invalid connection option(s): {_quoted(wrong)}.")
    for name, each in found.items():
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= 600:  # noqa: PLR2004 - ten minutes
            raise Unfit(f"{name}: A valid integer is required.")
    if found.get("OPT_REFERRALS", 0) != 0:
        raise Unfit("OPT_REFERRALS: referrals are not followed; it must be 0.")
    if found.get("OPT_NETWORK_TIMEOUT", 1) == 0:
        raise Unfit("OPT_NETWORK_TIMEOUT: Ensure this value is greater than or equal to 1.")
    return found


def _params(value: Any) -> dict[str, str]:
    found = {name: required_text(each) for name, each in mapping(value).items()}
    wrong = sorted(set(found) - set(PARAMETERS))
    if wrong:
        raise Unfit(f"Invalid key(s): {_quoted(wrong)}.")
    for name in ("member_attr", "ldap_group_user_attr"):
        if not _ATTRIBUTE.fullmatch(found.get(name, "cn")):
            raise Unfit(f"{name}: not the name of an attribute.")
    return found


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _group_dn(value: Any) -> str:
    return dn(required_text(value))


READERS: dict[str, Reader] = {
    "SERVER_URI": _uris,
    "BIND_DN": _bind_dn,
    "BIND_PASSWORD": text,
    "START_TLS": optional(flag, default=False),
    "CONNECTION_OPTIONS": _options,
    "USER_SEARCH": _searches,
    "USER_DN_TEMPLATE": _template,
    "USER_ATTR_MAP": _attributes,
    "GROUP_SEARCH": _search(_filter),
    "GROUP_TYPE": optional(_type_name, "MemberDNGroupType"),
    "GROUP_TYPE_PARAMS": optional(_params, {"member_attr": "member", "name_attr": "cn"}),
    "REQUIRE_GROUP": dn,
    "DENY_GROUP": dn,
    "USER_FLAGS_BY_GROUP": _flags,
    "ORGANIZATION_MAP": organization_map(_group_dn),
    "TEAM_MAP": team_map(_group_dn),
}
"""Setting, without its prefix, to what reads it."""
