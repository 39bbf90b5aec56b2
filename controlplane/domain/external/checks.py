"""What is wrong with a setting of logging in elsewhere, when it is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.domain.external import ldap, saml, social
from controlplane.domain.external.values import Reader, Unfit, flag

READERS: dict[str, Reader] = {
    "SOCIAL_AUTH_USER_FIELDS": social.user_fields,
    "SOCIAL_AUTH_ORGANIZATION_MAP": social.READERS["ORGANIZATION_MAP"],
    "SOCIAL_AUTH_TEAM_MAP": social.READERS["TEAM_MAP"],
    "SAML_AUTO_CREATE_OBJECTS": flag,
    **{
        f"AUTH_LDAP_{number}{name}": reader
        for number in ldap.SERVERS
        for name, reader in ldap.READERS.items()
    },
    **{
        f"{social.PREFIX}{kind.word}_{name}": reader
        for kind in social.KINDS
        for name, reader in social.READERS.items()
    },
    **{f"{saml.PREFIX}{name}": reader for name, reader in saml.READERS.items()},
}
"""Setting to what reads it; some name no setting, for not every provider has all."""


def problem(name: str, value: Any) -> str:
    """Return what is wrong with a setting's value, or an empty string."""
    reader = READERS.get(name)
    if reader is None or value is None:
        return ""
    try:
        reader(value)
    except Unfit as error:
        return str(error)
    return ""


def check_together(values: Mapping[str, Any]) -> None:
    """Raise Invalid when settings that are each right do not fit one another."""
    for number in ldap.SERVERS:
        prefix = f"AUTH_LDAP_{number}"
        ldap.group_type(prefix, values[f"{prefix}GROUP_TYPE"], values[f"{prefix}GROUP_TYPE_PARAMS"])
