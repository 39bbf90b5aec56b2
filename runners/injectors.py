"""What a credential brings to a job: AWX's injectors, built in or of a custom type (pure).

A file's path is not known here: ``FILE_TOKEN`` stands for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import yaml
from jinja2 import Undefined

from runners.environment import HIDDEN
from runners.spec import FILE_TOKEN
from schemas.injector_language import BRACE, Sandbox, compiled
from schemas.work import UsedCredential


class NotInjectable(Exception):
    """A template of a credential's type does not work; the text names both, and no secret."""


@dataclass(kw_only=True)
class Injected:
    """What credentials inject, the later over the earlier."""

    env: dict[str, str] = field(default_factory=dict)
    shown_env: dict[str, str] = field(default_factory=dict)
    """How variables of custom types are shown: their secret parts hidden."""
    extra_vars: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fields:
    """The values of a credential, with the defaults of its type."""

    credential: UsedCredential

    def declared(self) -> list[Mapping[str, Any]]:
        """Return the fields of its type."""
        found: list[Mapping[str, Any]] = self.credential.schema.get("fields", [])
        return found

    def secret_names(self) -> frozenset[str]:
        """Return the names of its secret fields."""
        return frozenset(each["id"] for each in self.declared() if each.get("secret"))

    def text(self, name: str) -> str:
        """Return a field's text; empty when it has none."""
        value = self.credential.inputs.get(name, "")
        return value if isinstance(value, str) else str(value)

    def flag(self, name: str) -> bool:
        """Return a boolean field, its type's default when it has no value."""
        default = next((e.get("default") for e in self.declared() if e["id"] == name), False)
        return bool(self.credential.inputs.get(name, default))

    def missing(self) -> list[str]:
        """Return the required fields that have no value."""
        declared = {each["id"] for each in self.declared()}
        required = self.credential.schema.get("required", ())
        values = self.credential.inputs
        return sorted(e for e in required if e in declared and values.get(e) in (None, ""))


def inject(credential: UsedCredential, into: Injected, *, inventory_update: bool) -> None:
    """Add what a credential injects. Raises NotInjectable."""
    fields, names = Fields(credential), _Names(credential.id)
    if credential.injectors:
        _custom(fields, into, names, inventory_update=inventory_update)
    elif (built_in := _BUILT_IN.get(credential.namespace)) is not None:
        built_in(fields, into, names)
        if inventory_update:
            for name in _NOT_IN_INVENTORY_UPDATES.get(credential.namespace, ()):
                into.env.pop(name, None)
    elif inventory_update and credential.namespace == "satellite6":
        into.env |= {
            "FOREMAN_SERVER": fields.text("host"),
            "FOREMAN_USER": fields.text("username"),
            "FOREMAN_PASSWORD": fields.text("password"),
        }


@dataclass(frozen=True)
class _Names:
    """Names of a credential's files: no two credentials share one."""

    credential: int

    def put(self, into: Injected, label: str, content: str) -> str:
        """Add a file; return what stands for its path."""
        name = f"{self.credential}.{label}"
        into.files[name] = content
        return FILE_TOKEN % name


def _aws(fields: Fields, into: Injected, _names: _Names) -> None:
    into.env["AWS_ACCESS_KEY_ID"] = fields.text("username")
    into.env["AWS_SECRET_ACCESS_KEY"] = fields.text("password")
    if token := fields.text("security_token"):
        into.env |= {"AWS_SECURITY_TOKEN": token, "AWS_SESSION_TOKEN": token}


def _gce(fields: Fields, into: Injected, names: _Names) -> None:
    project, account = fields.text("project"), fields.text("username")
    key = {
        "type": "service_account",
        "private_key": fields.text("ssh_key_data"),
        "client_email": account,
        "project_id": project,
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path = names.put(into, "gce", json.dumps(key, indent=2))
    into.env |= {
        "GCE_EMAIL": account,
        "GCE_PROJECT": project,
        "GCE_CREDENTIALS_FILE_PATH": path,
        "GCP_SERVICE_ACCOUNT_FILE": path,
        "GOOGLE_APPLICATION_CREDENTIALS": path,
        "GCP_AUTH_KIND": "serviceaccount",
        "GCP_PROJECT": project,
        "GCP_ENV_TYPE": "tower",
    }


def _azure(fields: Fields, into: Injected, _names: _Names) -> None:
    client, tenant = fields.text("client"), fields.text("tenant")
    into.env["AZURE_SUBSCRIPTION_ID"] = fields.text("subscription")
    if client and tenant:
        into.env["AZURE_CLIENT_ID"] = client
        into.env["AZURE_TENANT"] = tenant
        into.env["AZURE_SECRET"] = fields.text("secret")
    else:
        into.env["AZURE_AD_USER"] = fields.text("username")
        into.env["AZURE_PASSWORD"] = fields.text("password")
    if cloud := fields.text("cloud_environment"):
        into.env["AZURE_CLOUD_ENVIRONMENT"] = cloud


def _vmware(fields: Fields, into: Injected, _names: _Names) -> None:
    into.env |= {
        "VMWARE_USER": fields.text("username"),
        "VMWARE_PASSWORD": fields.text("password"),
        "VMWARE_HOST": fields.text("host"),
        "VMWARE_VALIDATE_CERTS": "False",
    }


def _openstack(fields: Fields, into: Injected, names: _Names) -> None:
    login = {
        "auth_url": fields.text("host"),
        "username": fields.text("username"),
        "password": fields.text("password"),
        "project_name": fields.text("project"),
    }
    for name, key in (("project_domain_name", "project_domain_name"), ("domain", "domain_name")):
        if value := fields.text(name):
            login[key] = value
    cloud: dict[str, Any] = {"auth": login, "verify": fields.flag("verify_ssl")}
    if region := fields.text("region"):
        cloud["region_name"] = region
    told = yaml.safe_dump({"clouds": {"devstack": cloud}}, allow_unicode=True)
    into.env["OS_CLIENT_CONFIG_FILE"] = names.put(into, "clouds.yaml", told)


def _kubernetes(fields: Fields, into: Injected, names: _Names) -> None:
    into.env["K8S_AUTH_HOST"] = fields.text("host")
    into.env["K8S_AUTH_API_KEY"] = fields.text("bearer_token")
    authority = fields.text("ssl_ca_cert")
    verified = fields.flag("verify_ssl") and bool(authority)
    into.env["K8S_AUTH_VERIFY_SSL"] = str(verified)
    if verified:
        into.env["K8S_AUTH_SSL_CA_CERT"] = names.put(into, "ca", authority)


def _terraform(fields: Fields, into: Injected, names: _Names) -> None:
    path = names.put(into, "backend", fields.text("configuration"))
    into.env["TF_BACKEND_CONFIG_FILE"] = path
    if account := fields.text("gce_credentials"):
        into.env["GOOGLE_BACKEND_CREDENTIALS"] = names.put(into, "gce", account)


def _network(fields: Fields, into: Injected, names: _Names) -> None:
    into.env["ANSIBLE_NET_USERNAME"] = fields.text("username")
    into.env["ANSIBLE_NET_PASSWORD"] = fields.text("password")
    if key := fields.text("ssh_key_data"):
        into.env["ANSIBLE_NET_SSH_KEYFILE"] = names.put(into, "key", whole_lines(key))
    authorize = fields.flag("authorize")
    into.env["ANSIBLE_NET_AUTHORIZE"] = str(int(authorize))
    if authorize:
        into.env["ANSIBLE_NET_AUTH_PASS"] = fields.text("authorize_password")


_BUILT_IN: Mapping[str, Callable[[Fields, Injected, _Names], None]] = {
    "aws": _aws,
    "azure_rm": _azure,
    "gce": _gce,
    "kubernetes_bearer_token": _kubernetes,
    "net": _network,
    "openstack": _openstack,
    "terraform": _terraform,
    "vmware": _vmware,
}
_NOT_IN_INVENTORY_UPDATES = {"gce": ("GCE_EMAIL", "GCE_PROJECT")}


def _custom(fields: Fields, into: Injected, names: _Names, *, inventory_update: bool) -> None:
    """Render a type's templates: files first, the others name their paths."""
    render = _Renderer(fields)
    injectors = fields.credential.injectors
    for label, template in injectors.get("file", {}).items():
        _, _, part = label.partition(".")
        path = names.put(into, label, render(template, label))
        if part:
            setattr(render.files, part, path)
        else:
            render.tower.filename = path
    for name, template in injectors.get("env", {}).items():
        into.env[name] = render(template, name)
        into.shown_env[name] = render(template, name, hidden=True)
    if not inventory_update:  # ansible-inventory takes none
        for name, value in injectors.get("extra_vars", {}).items():
            into.extra_vars[name] = render.deep(value, name)


class _Renderer:
    """Renders the templates of one credential; an unknown name is an empty text, as in AWX."""

    def __init__(self, fields: Fields) -> None:
        """Names are the fields that have a value, and the booleans."""
        self._sandbox = Sandbox(Undefined)
        self._of = fields.credential
        self.files = SimpleNamespace()
        self.tower = SimpleNamespace(filename=self.files)
        self._names: dict[str, Any] = {"tower": self.tower}
        secret = fields.secret_names()
        for name, value in fields.credential.inputs.items():
            if isinstance(value, bool) or value:
                self._names[name] = value
        for each in fields.declared():
            name = each["id"]
            if each.get("type") == "boolean":
                self._names.setdefault(name, False)
            elif each.get("format") == "ssh_private_key" and name in self._names:
                self._names[name] = whole_lines(self._names[name])
        self._shown = {n: HIDDEN if n in secret else v for n, v in self._names.items()}

    def __call__(self, template: str, where: str, *, hidden: bool = False) -> str:
        """Return a rendered text; ``where`` is the injected name. Raises NotInjectable."""
        if BRACE not in template:
            return template
        try:
            made = compiled(self._sandbox, template)
            return made.render(self._shown if hidden else self._names)
        except Exception as error:  # noqa: BLE001 - its text might repeat a secret
            text = (
                f"The template of {where!r} of credential type {self._of.type_name!r} cannot be"
                f" rendered for credential {self._of.name!r} ({type(error).__name__})"
            )
            raise NotInjectable(text) from None

    def deep(self, value: Any, where: str) -> Any:
        """Render every text within a value, keys included. Raises NotInjectable."""
        if isinstance(value, dict):
            return {self(key, where): self.deep(each, where) for key, each in value.items()}
        if isinstance(value, list):
            return [self.deep(each, where) for each in value]
        return self(value, where) if isinstance(value, str) else value


def whole_lines(key: str) -> str:
    """Return a key as OpenSSH wants it: the last line ended."""
    return key if not key or key.endswith("\n") else key + "\n"
