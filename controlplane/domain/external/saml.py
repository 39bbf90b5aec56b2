"""Settings of the SAML back end (``SOCIAL_AUTH_SAML_*``), and what its assertions say of a user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.mapping import (
    Maps,
    Memberships,
    Place,
    expression,
    named_object,
    organization_map,
    read_maps,
    team_map,
)
from controlplane.domain.external.social import map_settings, of_maps, user_fields
from controlplane.domain.external.values import (
    Reader,
    Unfit,
    flag,
    mapping,
    optional,
    record,
    required_text,
    settings_of,
    strings,
    text,
    url,
    within,
)

NAME = "saml"
PREFIX = "SOCIAL_AUTH_SAML_"
NEEDED = (
    "SP_ENTITY_ID",
    "SP_PUBLIC_CERT",
    "SP_PRIVATE_KEY",
    "ORG_INFO",
    "TECHNICAL_CONTACT",
    "SUPPORT_CONTACT",
    "ENABLED_IDPS",
)
"""Settings without which there is no such back end."""
_OID = "urn:oid:"
PERMANENT_ID = f"{_OID}0.9.2342.19200300.100.1.1"
DEFAULTS = {
    "attr_user_permanent_id": PERMANENT_ID,
    "attr_username": PERMANENT_ID,
    "attr_first_name": f"{_OID}2.5.4.42",
    "attr_last_name": f"{_OID}2.5.4.4",
    "attr_email": f"{_OID}0.9.2342.19200300.100.1.3",
}
"""Attributes that are read when an identity provider's entry names no others."""
NAME_ID = "name_id"
"""Stands for the subject's NameID where an attribute is named."""
ROLE_ATTRIBUTE = "Role"
_ROLES = (
    ("member", "saml_attr", "remove"),
    ("admin", "saml_admin_attr", "remove_admins"),
    ("auditor", "saml_auditor_attr", "remove_auditors"),
)
_FLAGS = ("superuser", "system_auditor")
_LANGUAGE = re.compile(r"[A-Za-z]{2}(-[A-Za-z]{2})?")


class Provider(Struct, frozen=True, kw_only=True):
    """One identity provider."""

    name: str
    entity_id: str
    url: str
    certificate: str
    attributes: Mapping[str, str]


class SamlConfig(Struct, frozen=True, kw_only=True):
    """The service provider that we are, and the identity providers it believes."""

    entity_id: str
    certificate: str
    private_key: str
    organization: Mapping[str, Any]
    technical: Mapping[str, str]
    support: Mapping[str, str]
    security: Mapping[str, Any]
    extra: Mapping[str, Any]
    providers: Mapping[str, Provider]
    maps: Maps
    aliases: Mapping[str, str]
    """Name of an organization in attributes to its name here."""
    organization_attributes: Mapping[str, Any]
    team_attributes: Mapping[str, Any]
    flags: Mapping[str, Any]
    new_objects: bool
    user_fields: tuple[str, ...] | None


def read_all(given: Mapping[str, Any]) -> tuple[SamlConfig, ...]:
    """Return the back end when all that it needs is set; raises Invalid."""
    complete = all(given.get(f"{PREFIX}{name}") for name in NEEDED)
    return (read(given),) if complete else ()


def read(given: Mapping[str, Any]) -> SamlConfig:
    """Return the back end's settings; raises Invalid with the messages by setting."""
    maps = map_settings(given, PREFIX)
    names = {f"{PREFIX}{name}": reader for name, reader in READERS.items()}
    names |= {maps[name]: READERS[name] for name in maps}
    others = {
        "SAML_AUTO_CREATE_OBJECTS": optional(flag, default=True),
        "SOCIAL_AUTH_USER_FIELDS": user_fields,
    }
    found = settings_of(given, {**names, **others})
    own = {name: found[f"{PREFIX}{name}"] for name in READERS}
    return SamlConfig(
        entity_id=own["SP_ENTITY_ID"],
        certificate=own["SP_PUBLIC_CERT"],
        private_key=own["SP_PRIVATE_KEY"],
        organization=own["ORG_INFO"],
        technical=own["TECHNICAL_CONTACT"],
        support=own["SUPPORT_CONTACT"],
        security=own["SECURITY_CONFIG"],
        extra=own["SP_EXTRA"],
        providers=own["ENABLED_IDPS"],
        maps=read_maps(found[maps["ORGANIZATION_MAP"]], found[maps["TEAM_MAP"]]),
        aliases=_aliases(given.get(maps["ORGANIZATION_MAP"])),
        organization_attributes=own["ORGANIZATION_ATTR"],
        team_attributes=own["TEAM_ATTR"],
        flags=own["USER_FLAGS_BY_ATTR"],
        new_objects=found["SAML_AUTO_CREATE_OBJECTS"],
        user_fields=found["SOCIAL_AUTH_USER_FIELDS"],
    )


def wanted(config: SamlConfig, identity: Identity) -> Wanted:
    """Return what a login with an assertion makes of its user.

    A map says more than attributes do: where both are about a role, the map decides.
    """
    of_names = of_maps(config.maps, config.user_fields, identity)
    places = {**_by_organization(config, identity), **_by_team(config, identity)}
    return Wanted(
        fields={**of_names.fields, **_flags_of(config, identity)},
        memberships=Memberships(
            places={**places, **of_names.memberships.places},
            organizations=of_names.memberships.organizations,
        ),
        new_users=of_names.new_users,
        new_objects=config.new_objects,
    )


def _by_organization(config: SamlConfig, identity: Identity) -> dict[Place, bool]:
    """Return organizations by attribute; ``*`` stands for every other one."""
    places: dict[Place, bool] = {}
    for role, attribute, remove in _ROLES:
        named = config.organization_attributes.get(attribute)
        if not named:
            continue
        if config.organization_attributes.get(remove, True):
            places[Place(EVERY_OTHER, "", role)] = False
        for name in identity.attributes.get(named, ()):
            places[Place(config.aliases.get(name, name), "", role)] = True
    return places


EVERY_OTHER = "*"
"""Stands for the organizations that nothing else names."""


def _by_team(config: SamlConfig, identity: Identity) -> dict[Place, bool]:
    named = config.team_attributes.get("saml_attr")
    if not named:
        return {}
    teams = identity.attributes.get(named, ())
    places: dict[Place, bool] = {}
    for entry in config.team_attributes.get("team_org_map", ()):
        place = Place(entry["organization"], entry.get("team_alias") or entry["team"], "member")
        held = entry["team"] in teams
        if held or config.team_attributes.get("remove", True):
            places[place] = places.get(place, False) or held
    return places


def _flags_of(config: SamlConfig, identity: Identity) -> dict[str, bool]:
    return {
        f"is_{name}": held
        for name in _FLAGS
        if (held := _flag_of(config.flags, identity.attributes, name)) is not None
    }


def _flag_of(
    flags: Mapping[str, Any], attributes: Mapping[str, tuple[str, ...]], name: str
) -> bool | None:
    """Return whether attributes give a flag; None where it is not theirs to give or take."""
    roles, attribute = flags.get(f"is_{name}_role", ()), flags.get(f"is_{name}_attr")
    if not roles and not attribute:
        return None
    held = any(each in roles for each in attributes.get(ROLE_ATTRIBUTE, ()))
    values = attributes.get(attribute, ()) if attribute else ()
    if values:
        needed = flags.get(f"is_{name}_value", ())
        held = any(each in needed for each in values) if needed else True
    if held:
        return True
    return False if flags.get(f"remove_{name}s", True) else None


def _aliases(organization_map_: Any) -> dict[str, str]:
    found = organization_map_ if isinstance(organization_map_, Mapping) else {}
    return {
        name: entry["organization_alias"]
        for name, entry in found.items()
        if isinstance(entry, Mapping) and entry.get("organization_alias")
    }


def _providers(value: Any) -> dict[str, Provider]:
    return {name: within(name, _provider(name), entry) for name, entry in mapping(value).items()}


def _provider(name: str) -> Reader:
    fields: dict[str, Reader] = {
        "entity_id": required_text,
        "url": url,
        "x509cert": required_text,
        **dict.fromkeys(DEFAULTS, required_text),
    }

    def read_provider(value: Any) -> Provider:
        found = record(value, fields, required=("entity_id", "url", "x509cert"))
        if not found["url"]:
            raise Unfit("url: This field may not be blank.")
        return Provider(
            name=name,
            entity_id=found["entity_id"],
            url=found["url"],
            certificate=_certificate(found["x509cert"]),
            attributes={key: found.get(key, default) for key, default in DEFAULTS.items()},
        )

    return read_provider


def _certificate(value: Any) -> str:
    """Return a certificate's base64 text, without its first and last line."""
    found = re.sub(r"-----[A-Z ]+-----", "", text(value))
    bare = "".join(found.split())
    if bare and not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", bare):
        raise Unfit("Invalid certificate.")
    return bare


def _private_key(value: Any) -> str:
    found = text(value)
    if found.strip() and "PRIVATE KEY-----" not in found:
        raise Unfit("Invalid private key.")
    return found


def _organization(value: Any) -> dict[str, Any]:
    words = ("name", "displayname", "url")
    fields = {"name": required_text, "displayname": required_text, "url": url}
    found = mapping(value)
    for language in found:
        if not _LANGUAGE.fullmatch(language):
            raise Unfit(f'Invalid language code(s) for org info: "{language}".')
    return {
        language: within(language, lambda each: record(each, fields, required=words), entry)
        for language, entry in found.items()
    }


def _contact(value: Any) -> dict[str, Any]:
    words = ("givenName", "emailAddress")
    found = mapping(value)
    return record(found, dict.fromkeys(words, required_text), required=words if found else ())


def _security(value: Any) -> dict[str, Any]:
    words = ("metadataValidUntil", "metadataCacheDuration", "requestedAuthnContextComparison")
    algorithms = ("signatureAlgorithm", "digestAlgorithm")
    flags = (
        *("nameIdEncrypted", "authnRequestsSigned", "logoutRequestSigned"),
        *("logoutResponseSigned", "signMetadata", "wantMessagesSigned", "wantAssertionsSigned"),
        *("wantAssertionsEncrypted", "wantNameId", "wantNameIdEncrypted"),
        "wantAttributeStatement",
    )
    fields: dict[str, Reader] = {
        **dict.fromkeys((*words, *algorithms), text),
        **dict.fromkeys(flags, flag),
        "requestedAuthnContext": _authentication_context,
    }
    found = record(value, fields)
    for name in algorithms:
        if "sha1" in found.get(name, ""):
            raise Unfit(f"{name}: SHA-1 is not safe any more.")
    if found.get("wantAssertionsSigned") is False:
        raise Unfit("wantAssertionsSigned: assertions must be signed.")
    return found


def _authentication_context(value: Any) -> Any:
    return value if isinstance(value, bool) else list(strings(value))


def _team_attributes(value: Any) -> dict[str, Any]:
    words = ("team", "organization")
    entry: dict[str, Reader] = {
        "team": required_text,
        "team_alias": text,
        "organization": named_object,
    }

    def entries(given: Any) -> tuple[dict[str, Any], ...]:
        if given is not None and not isinstance(given, list | tuple):
            raise Unfit(f"Expected a list of items but got type {type(given).__name__}.")
        return tuple(record(each, entry, required=words) for each in given or ())

    return record(value, {"team_org_map": entries, "remove": flag, "saml_attr": text})


def _organization_attributes(value: Any) -> dict[str, Any]:
    fields: dict[str, Reader] = {}
    for _, attribute, remove in _ROLES:
        fields |= {attribute: text, remove: flag}
    return record(value, fields)


def _user_flags(value: Any) -> dict[str, Any]:
    fields: dict[str, Reader] = {}
    for name in _FLAGS:
        fields |= {
            f"is_{name}_attr": text,
            f"is_{name}_value": strings,
            f"is_{name}_role": strings,
            f"remove_{name}s": optional(flag, default=True),
        }
    return record(value, fields)


READERS: dict[str, Reader] = {
    "SP_ENTITY_ID": text,
    "SP_PUBLIC_CERT": _certificate,
    "SP_PRIVATE_KEY": _private_key,
    "ORG_INFO": _organization,
    "TECHNICAL_CONTACT": _contact,
    "SUPPORT_CONTACT": _contact,
    "ENABLED_IDPS": _providers,
    "SECURITY_CONFIG": _security,
    "SP_EXTRA": mapping,
    "ORGANIZATION_MAP": organization_map(expression),
    "TEAM_MAP": team_map(expression),
    "ORGANIZATION_ATTR": _organization_attributes,
    "TEAM_ATTR": _team_attributes,
    "USER_FLAGS_BY_ATTR": _user_flags,
}
"""Setting, without its prefix, to what reads it."""
