"""Asking LDAP servers for a name and password, in threads of their own.

A server that could not be reached is left alone for a moment: whoever else logs in does not wait
for it. Referrals are never followed, and a password that is empty is never sent: servers take that
for somebody who does not want to be known, and agree.
"""

from __future__ import annotations

import asyncio
import ssl
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ldap3
import structlog
from ldap3.core.exceptions import LDAPCommunicationError, LDAPException, LDAPResponseTimeoutError
from ldap3.core.results import RESULT_SUCCESS
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from controlplane.domain.external.identity import Identity
from controlplane.domain.external.ldap import PROVIDER, LdapConfig, Search, admitted
from controlplane.domain.external.values import USER, normal_dn
from ops import clock

AT_ONCE = 8
AWAY_S = 15.0
"""A server that was not there is not asked for this long."""
NESTED_MAX = 500
"""Groups of groups that are followed for one person."""
ENTRIES_MAX = 1000
NAME_MAX = 150
PASSWORD_MAX = 4096
SCOPES: dict[str, Any] = {
    "SCOPE_BASE": ldap3.BASE,
    "SCOPE_ONELEVEL": ldap3.LEVEL,
    "SCOPE_SUBTREE": ldap3.SUBTREE,
}
_GONE = (LDAPCommunicationError, LDAPResponseTimeoutError, OSError)

_log = structlog.get_logger()


class Away(Exception):
    """A directory cannot say now."""


class Directory:
    """The directories of one process."""

    def __init__(self) -> None:
        """Start with nothing known to be away."""
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ldap")
        self._away: dict[str, tuple[LdapConfig, float]] = {}
        """Address to the settings it was asked with and until when it counts as away."""

    async def prove(
        self, configs: Sequence[LdapConfig], username: str, password: str
    ) -> tuple[LdapConfig, Identity] | None:
        """Return the first directory that lets somebody in, and who it is; None when none does."""
        if not _may_be_sent(username, password):
            return None
        loop = asyncio.get_running_loop()
        for config in configs:
            try:
                found = await loop.run_in_executor(
                    self._threads, self._ask, config, username, password
                )
            except Away as error:
                _log.warning("directory away", backend=config.name, error=str(error))
                continue
            if found is not None and admitted(config, found):
                return config, found
        return None

    def _ask(self, config: LdapConfig, username: str, password: str) -> Identity | None:
        reasons = []
        for uri in config.uris:
            asked_with, until = self._away.get(uri, (None, 0.0))
            if asked_with is config and until > clock.monotonic():
                reasons.append("away a moment ago")
                continue
            try:
                return _Session(config, uri).prove(username, password)
            except _GONE as error:
                self._away[uri] = (config, clock.monotonic() + AWAY_S)
                reasons.append(type(error).__name__)
            except LDAPException as error:
                reasons.append(str(error) or type(error).__name__)
        raise Away(", ".join(reasons))


class _Session:
    """One login at one server."""

    def __init__(self, config: LdapConfig, uri: str) -> None:
        self._config = config
        check = ssl.CERT_REQUIRED if config.check_certificate else ssl.CERT_NONE
        self._server = ldap3.Server(
            uri,
            get_info=ldap3.NONE,
            connect_timeout=config.timeout_s,
            tls=ldap3.Tls(validate=check),
        )
        self._secure = uri.lower().startswith("ldaps:")

    def prove(self, username: str, password: str) -> Identity | None:
        """Return who a name and password belong to; None when they are refused."""
        config = self._config
        if config.dn_template:
            dn = config.dn_template.replace(USER, escape_rdn(username))
            with self._connection(dn, password) as own:
                return self._identity(own, username, dn) if own.bind() else None
        with self._connection(config.bind_dn, config.bind_password) as service:
            if not service.bind():
                raise LDAPException("the service account is refused")
            dn = self._find(service, username)
            if not dn:
                return None
            with self._connection(dn, password) as own:
                if not own.bind():
                    return None
            return self._identity(service, username, dn)

    def _connection(self, dn: str, password: str) -> _Closing:
        made = ldap3.Connection(
            self._server,
            user=dn or None,
            password=password or None,
            authentication=ldap3.SIMPLE if dn else ldap3.ANONYMOUS,
            receive_timeout=self._config.timeout_s,
            auto_referrals=False,
            auto_bind=ldap3.AUTO_BIND_NONE,
            read_only=True,
        )
        made.open(read_server_info=False)
        secure = self._config.start_tls and not self._secure
        if secure and not made.start_tls(read_server_info=False):
            made.unbind()
            raise LDAPException("the server does not start TLS")
        return _Closing(made)

    def _find(self, service: Any, username: str) -> str:
        """Return the name of the one entry that the searches find; none when there are several."""
        found: dict[str, str] = {}
        for search in self._config.searches:
            wanted = search.filter.replace(USER, escape_filter_chars(username))
            for dn, _ in _entries(service, search, wanted, []):
                found[normal_dn(dn)] = dn
        return next(iter(found.values())) if len(found) == 1 else ""

    def _identity(self, connection: Any, username: str, dn: str) -> Identity:
        config = self._config
        itself = Search(base=dn, scope="SCOPE_BASE", filter="(objectClass=*)")
        names = {*config.attributes.values(), config.group_type.uid, "gidNumber"}
        entries = list(_entries(connection, itself, itself.filter, sorted(names)))
        values = entries[0][1] if entries else {}
        fields: dict[str, Any] = {
            field: values.get(attribute.lower(), [""])[0]
            for field, attribute in config.attributes.items()
        }
        name = unicodedata.normalize("NFKC", username).strip().lower()
        return Identity(
            provider=PROVIDER,
            uid=name,
            username=name,
            dn=dn,
            groups=tuple(self._groups(connection, dn, values)),
            **fields,
        )

    def _groups(self, connection: Any, dn: str, values: dict[str, list[str]]) -> Iterator[str]:
        search, kind = self._config.group_search, self._config.group_type
        if search is None:
            return
        if kind.posix:
            wanted = _posix(kind.member, values.get(kind.uid.lower(), []), values.get("gidnumber"))
            if wanted:
                yield from self._matching(connection, search, wanted)
            return
        known = {normal_dn(dn)}
        ahead = [dn]
        while ahead and len(known) <= NESTED_MAX:
            term = f"({kind.member}={escape_filter_chars(ahead.pop())})"
            for group in self._matching(connection, search, term):
                if normal_dn(group) not in known:
                    known.add(normal_dn(group))
                    yield group
                    ahead += [group] if kind.nested else []

    def _matching(self, connection: Any, search: Search, term: str) -> list[str]:
        """Return the groups that a term finds; raises LDAPException unless it found them all.

        A group that is not seen would let in whom it denies.
        """
        wanted = f"(&{search.filter}{term})"
        found = [dn for dn, _ in _entries(connection, search, wanted, [])]
        if connection.result["result"] != RESULT_SUCCESS:
            raise LDAPException(f"group search: {connection.result['description']}")
        return found


class _Closing:
    """Ends a connection, whatever happened to it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_error: object) -> None:
        self._connection.unbind()


def _posix(member: str, uids: list[str], gids: list[str] | None) -> str:
    terms = [f"({member}={escape_filter_chars(each)})" for each in uids[:1]]
    terms += [f"(gidNumber={escape_filter_chars(each)})" for each in (gids or [])[:1]]
    return f"(|{''.join(terms)})" if terms else ""


def _may_be_sent(username: str, password: str) -> bool:
    fits = 0 < len(username) <= NAME_MAX and 0 < len(password) <= PASSWORD_MAX
    encodable = not any("\ud800" <= each <= "\udfff" for each in password)
    return fits and encodable and username.isprintable() and "\x00" not in password


def _entries(
    connection: Any, search: Search, wanted: str, attributes: list[str]
) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield (name, attributes in lower case) of what a search finds."""
    connection.search(
        search.base,
        wanted,
        search_scope=SCOPES[search.scope],
        attributes=attributes or [ldap3.NO_ATTRIBUTES],
        size_limit=ENTRIES_MAX,
        time_limit=connection.receive_timeout,
    )
    for entry in connection.response or ():
        if entry.get("type") == "searchResEntry":
            values = entry.get("raw_attributes") or {}
            yield (
                entry["dn"],
                {
                    name.lower(): [each.decode(errors="replace") for each in found]
                    for name, found in values.items()
                    if found
                },
            )
