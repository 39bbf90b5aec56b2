"""What ``ansible-inventory --list`` printed, as an inventory source wants it. Pure.

Hosts below ``all`` and ``ungrouped`` are in no group, as in AWX. A name or a variable that cannot
be stored makes the whole result unusable, and the error says which one it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from controlplane.domain import extra_vars

NAME_MAX = 512
INSTANCE_ID_MAX = 1024
ROOTS = frozenset({"all", "ungrouped"})
"""Ansible's own groups: AWX keeps neither."""
_META = "_meta"
_TEMPLATE = re.compile(r"\{\{|\{%")
_PORT = re.compile(r"(?P<name>\[[^\[\]]+\]|[^:\[\]]+):(?P<port>[0-9]{1,5})")
INSTANCE_ID_VARS: Mapping[str, tuple[str, ...]] = {
    "ec2": ("instance_id",),
    "vmware": ("config.instanceUuid", "config.instanceuuid"),
    "gce": ("gce_id",),
    "azure_rm": ("id",),
    "openstack": ("openstack.id",),
    "rhv": ("id",),
    "controller": ("remote_tower_id",),
    "satellite6": ("foreman_id", "foreman.id"),
    "insights": ("insights_id",),
    "constructed": ("remote_tower_id",),
}
"""The variables that tell which machine a host is, by source; the first that is there counts."""
ENABLED_VARS: Mapping[str, tuple[str, str]] = {
    "vmware": ("guest.gueststate", "running"),
    "gce": ("status", "running"),
    "azure_rm": ("powerstate", "running"),
    "openstack": ("status", "ACTIVE"),
    "rhv": ("status", "up"),
    "controller": ("remote_tower_enabled", "true"),
    "satellite6": ("foreman_enabled,foreman.enabled", "True"),
    "constructed": ("remote_tower_enabled", "true"),
}
"""The variable and value that tell whether a host is enabled, where a source sets none itself."""


class Unusable(Exception):
    """The result cannot be imported; the text says why."""


class Rules(Struct, frozen=True, kw_only=True):
    """How a source wants its result to be taken."""

    overwrite: bool = False
    overwrite_vars: bool = False
    enabled_vars: tuple[str, ...] = ()
    enabled_value: str | None = None
    wanted: frozenset[str] | None = None
    """Names of the only hosts to take; None for all."""
    instance_id_vars: tuple[str, ...] = ()


class Host(Struct, frozen=True, kw_only=True):
    """One host of the result."""

    name: str
    variables: dict[str, Any]
    instance_id: str = ""
    enabled: bool | None = None
    """None where the source does not say."""


class Group(Struct, kw_only=True):
    """One group of the result, its members by name."""

    name: str
    variables: dict[str, Any] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)


class Imported(Struct, frozen=True, kw_only=True):
    """A whole result; ``variables`` are those of ``all``."""

    variables: dict[str, Any]
    hosts: dict[str, Host]
    groups: dict[str, Group]


def rules_of(
    source: str,
    *,
    overwrite: bool,
    overwrite_vars: bool,
    enabled_var: str,
    enabled_value: str,
    wanted: frozenset[str] | None = None,
) -> Rules:
    """Return a source's rules, with AWX's own for its kind where it sets none."""
    enabled, value = (enabled_var, enabled_value or None) if enabled_var else ("", None)
    if not enabled and source in ENABLED_VARS:
        enabled, value = ENABLED_VARS[source]
    return Rules(
        overwrite=overwrite,
        overwrite_vars=overwrite_vars,
        enabled_vars=tuple(part for part in enabled.split(",") if part),
        enabled_value=value,
        wanted=wanted,
        instance_id_vars=INSTANCE_ID_VARS.get(source, ()),
    )


def host_names(content: bytes) -> frozenset[str]:
    """Return the names that a result's hosts are kept by. Raises Unusable."""
    data = _decoded(content)
    meta = data.pop(_META, None)
    members = [meta.get("hostvars") if isinstance(meta, dict) else None]
    members += [each.get("hosts") if isinstance(each, dict) else each for each in data.values()]
    return frozenset(_without_port(name)[0] for each in members for name, _ in _entries(each))


def read(content: bytes, rules: Rules) -> Imported:
    """Return what a result says. Raises Unusable."""
    return _Reading(rules).take(_decoded(content))


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"The inventory is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise Unusable(f"The inventory must be an object, it is a {type(data).__name__}")
    return data


class _Reading:
    """One result while it is read."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._variables: dict[str, Any] = {}
        self._hosts: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, Group] = {}

    def take(self, data: dict[str, Any]) -> Imported:
        meta = data.pop(_META, None)
        for name, value in data.items():
            self._group(name, value)
        hostvars = meta.get("hostvars") if isinstance(meta, dict) else None
        for name, values in (hostvars if isinstance(hostvars, dict) else {}).items():
            known = self._host(name)
            if known is not None and isinstance(values, dict):
                self._hosts[known].update(values)
        hosts = {name: self._made(name, values) for name, values in self._hosts.items()}
        for group in self._groups.values():
            checked(f"group {group.name!r}", group.variables)
        checked("group 'all'", self._variables)
        return Imported(variables=self._variables, hosts=hosts, groups=self._groups)

    def _group(self, name: str, value: Any) -> None:
        root = name in ROOTS
        group = None if root else self._known_group(name)
        if not isinstance(value, dict):
            value = {"hosts": value}
        for host, variables in _entries(value.get("hosts")):
            known = self._host(host)
            if known is None:
                continue
            self._hosts[known].update(variables)
            if group is not None:
                group.hosts.add(known)
        variables = value.get("vars")
        if isinstance(variables, dict):
            (self._variables if group is None else group.variables).update(variables)
        for child, _ in _entries(value.get("children")):
            if child not in ROOTS:
                found = self._known_group(child)
                if group is not None and found is not group:
                    group.children.add(child)

    def _known_group(self, name: str) -> Group:
        if name not in self._groups:
            _check_name("group", name)
            self._groups[name] = Group(name=name)
        return self._groups[name]

    def _host(self, given: str) -> str | None:
        """Return the name that a host is kept by; None for one that the filter leaves out."""
        name, port = _without_port(given)
        if name in self._hosts:
            return name
        if self._rules.wanted is not None and name not in self._rules.wanted:
            return None
        _check_name("host", name)
        self._hosts[name] = {} if port is None else {"ansible_port": port}
        return name

    def _made(self, name: str, variables: dict[str, Any]) -> Host:
        checked(f"host {name!r}", variables)
        instance_id = _first(variables, self._rules.instance_id_vars, "")
        if not isinstance(instance_id, str | int) or len(str(instance_id)) > INSTANCE_ID_MAX:
            raise Unusable(f"The instance id of host {name!r} cannot be stored")
        return Host(
            name=name,
            variables=variables,
            instance_id=str(instance_id),
            enabled=self._enabled(variables),
        )

    def _enabled(self, variables: dict[str, Any]) -> bool | None:
        found = _first(variables, self._rules.enabled_vars, None)
        if found is None:
            return None
        wanted = self._rules.enabled_value
        return bool(found) if wanted is None else str(found).lower() == wanted.lower()


def checked(of: str, variables: dict[str, Any]) -> None:
    """Raise Unusable for variables that cannot be stored."""
    try:
        text = extra_vars.as_text(variables)
        extra_vars.parse(text)
    except (TypeError, ValueError, OverflowError, RecursionError, extra_vars.NotVariables) as error:
        raise Unusable(f"The variables of {of} cannot be stored: {error}") from error
    if "\\u0000" in text:
        raise Unusable(f"The variables of {of} hold a NUL character")


def _without_port(given: str) -> tuple[str, int | None]:
    found = _PORT.fullmatch(given)
    return (found["name"].strip("[]"), int(found["port"])) if found else (given, None)


def _entries(value: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """Return the names in a list or object of members, with the variables that stand there."""
    if isinstance(value, dict):
        return [(name, each if isinstance(each, dict) else {}) for name, each in value.items()]
    if isinstance(value, list):
        return [(each, {}) for each in value if isinstance(each, str)]
    return []


def _first(variables: dict[str, Any], paths: Iterable[str], default: Any) -> Any:
    """Return the value at the first dotted path that leads to one."""
    for path in paths:
        found: Any = variables
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return found
    return default


def _check_name(kind: str, name: str) -> None:
    if not name or len(name) > NAME_MAX or "\0" in name:
        raise Unusable(f"The {kind} name {name[:80]!r} cannot be stored")
    if kind == "host" and _TEMPLATE.search(name):
        raise Unusable(f"The host name {name[:80]!r} holds a template")
