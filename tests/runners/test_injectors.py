"""What credentials bring to a job, type by type."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from controlplane.shell.seed import builtin_types
from runners.credentials import Unusable, secrets_of
from runners.spec import FILE_TOKEN, Secrets
from schemas.work import JobSecrets, UsedCredential

TYPES = {each["namespace"]: each for each in builtin_types()}
KEY = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"


def of(namespace: str, number: int = 5, **inputs: Any) -> UsedCredential:
    """Return a credential of a built-in type."""
    kind = TYPES[namespace]
    return UsedCredential(
        id=number,
        name=f"my {namespace}",
        namespace=namespace,
        type_name=kind["name"],
        schema=kind["inputs"],
        injectors=kind["injectors"],
        inputs=inputs,
    )


def custom(injectors: dict[str, Any], *fields: dict[str, Any], **inputs: Any) -> UsedCredential:
    """Return a credential of a custom type."""
    return UsedCredential(
        id=9,
        name="mine",
        type_name="Mine",
        schema={"fields": list(fields)},
        injectors=injectors,
        inputs=inputs,
    )


def given(*credentials: UsedCredential, kind: str = "job") -> Secrets:
    """Return what a supervisor gets."""
    return secrets_of(JobSecrets(credentials=credentials), kind)


def path(label: str, number: int = 5) -> str:
    """Return what stands for a file's path."""
    return FILE_TOKEN % f"{number}.{label}"


ENVIRONMENTS: list[tuple[UsedCredential, dict[str, str]]] = [
    (
        of("aws", username="a", password="s"),
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"},
    ),
    (
        of("aws", username="a", password="s", security_token="t"),
        {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SECURITY_TOKEN": "t",
            "AWS_SESSION_TOKEN": "t",
        },
    ),
    (
        of("azure_rm", subscription="i", client="c", secret="s", tenant="t", username="u"),
        {
            "AZURE_SUBSCRIPTION_ID": "i",
            "AZURE_CLIENT_ID": "c",
            "AZURE_SECRET": "s",
            "AZURE_TENANT": "t",
        },
    ),
    (
        of("azure_rm", subscription="i", username="u", password="p", cloud_environment="e"),
        {
            "AZURE_SUBSCRIPTION_ID": "i",
            "AZURE_AD_USER": "u",
            "AZURE_PASSWORD": "p",
            "AZURE_CLOUD_ENVIRONMENT": "e",
        },
    ),
    (
        of("vmware", host="h", username="u", password="p"),
        {
            "VMWARE_HOST": "h",
            "VMWARE_USER": "u",
            "VMWARE_PASSWORD": "p",
            "VMWARE_VALIDATE_CERTS": "False",
        },
    ),
    (
        of("kubernetes_bearer_token", host="h", bearer_token="b"),
        {"K8S_AUTH_HOST": "h", "K8S_AUTH_API_KEY": "b", "K8S_AUTH_VERIFY_SSL": "False"},
    ),
    (
        of("kubernetes_bearer_token", host="h", bearer_token="b", ssl_ca_cert="c"),
        {
            "K8S_AUTH_HOST": "h",
            "K8S_AUTH_API_KEY": "b",
            "K8S_AUTH_VERIFY_SSL": "True",
            "K8S_AUTH_SSL_CA_CERT": path("ca"),
        },
    ),
    (
        of("terraform", configuration="c", gce_credentials="g"),
        {
            "TF_BACKEND_CONFIG_FILE": path("backend"),
            "GOOGLE_BACKEND_CREDENTIALS": path("gce"),
        },
    ),
    (
        of("net", username="u", password="p", ssh_key_data=KEY),
        {
            "ANSIBLE_NET_USERNAME": "u",
            "ANSIBLE_NET_PASSWORD": "p",
            "ANSIBLE_NET_SSH_KEYFILE": path("key"),
            "ANSIBLE_NET_AUTHORIZE": "0",
        },
    ),
    (
        of("net", username="u", authorize=True, authorize_password="a"),
        {
            "ANSIBLE_NET_USERNAME": "u",
            "ANSIBLE_NET_PASSWORD": "",
            "ANSIBLE_NET_AUTHORIZE": "1",
            "ANSIBLE_NET_AUTH_PASS": "a",
        },
    ),
    (
        of("insights", username="u", password="p"),
        {"INSIGHTS_USER": "u", "INSIGHTS_PASSWORD": "p"},
    ),
    (
        of("rhv", host="h", username="u", password="p"),
        {
            "OVIRT_INI_PATH": path("template"),
            "OVIRT_URL": "h",
            "OVIRT_USERNAME": "u",
            "OVIRT_PASSWORD": "p",
        },
    ),
    (
        of("controller", host="h", oauth_token="o"),
        {
            f"{prefix}_{name}": value
            for prefix in ("TOWER", "CONTROLLER")
            for name, value in {
                "HOST": "h",
                "USERNAME": "",
                "PASSWORD": "",
                "VERIFY_SSL": "False",
                "OAUTH_TOKEN": "o",
            }.items()
        },
    ),
    *((of(name, token="t"), {}) for name in ("github_token", "gitlab_token", "bitbucket_dc_token")),
    (of("registry", host="h", password="p"), {}),
    (of("galaxy_api_token", url="u", token="t"), {}),
    (of("gpg_public_key", gpg_public_key="k"), {}),
    (of("satellite6", host="h", username="u", password="p"), {}),
    (of("scm", username="u", password="p"), {}),
    (of("vault", vault_password="p"), {}),
    (of("ssh", username="u"), {}),
]


@pytest.mark.parametrize(
    ("credential", "expected"),
    ENVIRONMENTS,
    ids=[each.namespace for each, _ in ENVIRONMENTS],
)
def test_environments_are_awxs(credential: UsedCredential, expected: dict[str, str]) -> None:
    """A job of AWX has these variables and no other from the credential; its secrets are masked."""
    made = given(credential)
    assert made.env == expected
    schema = credential.schema["fields"]
    secret = {each["id"] for each in schema if each.get("secret")}
    assert set(made.mask) == {v for n, v in credential.inputs.items() if n in secret}


def test_every_type_of_a_job_is_known() -> None:
    """No built-in type that is not external was forgotten above."""
    tried = {each.namespace for each, _ in ENVIRONMENTS} | {"gce", "openstack"}
    assert tried == {name for name, kind in TYPES.items() if kind["kind"] != "external"}


def test_google_and_openstack_get_files() -> None:
    """The key file of a service account, and a ``clouds.yaml`` with one cloud."""
    made = given(
        of("gce", username="a@b", project="p", ssh_key_data=KEY),
        of(
            "openstack",
            6,
            username="u",
            password="p",
            host="h",
            project="j",
            domain="d",
            region="r",
            project_domain_name="n",
            verify_ssl=False,
        ),
    )
    account = json.loads(made.files["5.gce"])
    assert (account["client_email"], account["private_key"]) == ("a@b", KEY)
    assert account["token_uri"] == "https://oauth2.googleapis.com/token"
    assert yaml.safe_load(made.files["6.clouds.yaml"])["clouds"]["devstack"] == {
        "auth": {
            "auth_url": "h",
            "username": "u",
            "password": "p",
            "project_name": "j",
            "project_domain_name": "n",
            "domain_name": "d",
        },
        "verify": False,
        "region_name": "r",
    }
    assert made.env["OS_CLIENT_CONFIG_FILE"] == path("clouds.yaml", 6)
    assert made.env["GOOGLE_APPLICATION_CREDENTIALS"] == path("gce")
    assert (made.env["GCE_PROJECT"], made.env["GCP_AUTH_KIND"]) == ("p", "serviceaccount")


def test_inventory_updates_differ() -> None:
    """They get what Satellite's plugin reads and no extra variables."""
    satellite = of("satellite6", host="h", username="u", password="p")
    assert given(satellite, kind="inventory_update").env == {
        "FOREMAN_SERVER": "h",
        "FOREMAN_USER": "u",
        "FOREMAN_PASSWORD": "p",
    }
    google = of("gce", username="a@b", project="p", ssh_key_data=KEY)
    assert "GCE_EMAIL" not in given(google, kind="inventory_update").env
    insights = of("insights", username="u", password="p")
    assert given(insights).injected_vars == {"scm_username": "u", "scm_password": "p"}
    assert given(insights, kind="inventory_update").injected_vars == {}


def test_custom_types_are_rendered() -> None:
    """Files first, their paths for the others; booleans, missing fields and nested variables."""
    token, flag = {"id": "token", "secret": True}, {"id": "flag", "type": "boolean"}
    key = {"id": "key", "format": "ssh_private_key", "secret": True}
    injectors = {
        "file": {
            "template.one": "t={{ token }}\n",
            "template.two": "{{ key }}",
            "template.raw": "x",
        },
        "env": {"ONE": "{{ tower.filename.one }}", "AUTH": "Bearer {{ token }}", "NONE": "{{ u }}"},
        "extra_vars": {
            "flag": "{{ flag }}",
            "deep": {"{{ token }}": ["{{ tower.filename.two }}", {"n": "{{ u | default('d') }}"}]},
        },
    }
    made = given(custom(injectors, token, flag, key, {"id": "u"}, token="t0k", key=KEY, u=""))
    assert made.files == {
        "9.template.one": "t=t0k",
        "9.template.two": f"{KEY}\n",
        "9.template.raw": "x",
    }
    assert made.env == {"ONE": path("template.one", 9), "AUTH": "Bearer t0k", "NONE": ""}
    assert made.shown_env["AUTH"] == "Bearer **********"
    assert made.injected_vars == {
        "flag": "False",
        "deep": {"t0k": [path("template.two", 9), {"n": "d"}]},
    }
    single = {"file": {"template": "{{ token }}"}, "env": {"PATH_OF": "{{ tower.filename }}"}}
    assert given(custom(single, token, token="t")).env == {"PATH_OF": path("template", 9)}


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{% for i in token %}{{ i }}{% endfor %}",
        "{{ token * 9999999 }}",
        "{{ token.x.y }}",
        "{{ token | nothing }}",
        "{{ cycler }}{{ 1 / 0 }}",
        "{% raw",
    ],
)
def test_what_cannot_be_rendered_ends_the_attempt(template: str) -> None:
    """Its end names template, type and credential, and never the secret."""
    bad = custom({"env": {"X": template}}, {"id": "token", "secret": True}, token="t0ken-93")
    with pytest.raises(Unusable) as raised:
        given(bad)
    assert str(raised.value).startswith(
        "The template of 'X' of credential type 'Mine' cannot be rendered for credential 'mine' ("
    )
    assert "t0ken-93" not in str(raised.value)


def test_machine_and_vault_credentials_keep_their_own_ways() -> None:
    """Keys end their last line; vaults are told apart by their ids."""
    made = given(
        of("ssh", username="u", ssh_key_data=KEY, become_method="su", ssh_public_key_data="c"),
        of("vault", 6, vault_password="a"),
        of("vault", 7, vault_password="b", vault_id="prod.x"),
    )
    assert (made.ssh_key, made.ssh_certificate, made.become_method) == (f"{KEY}\n", "c\n", "su")
    assert made.vaults == {"": "a", "prod.x": "b"}
    assert {KEY, "a", "b"} <= set(made.known())


def test_what_a_type_requires_must_be_there() -> None:
    """AWX's words, and its status: the job has failed."""
    with pytest.raises(Unusable) as raised:
        given(of("aws", password=""), kind="inventory_update")
    assert raised.value.status == "failed"
    assert str(raised.value) == (
        "Inventory Update cannot start because Credential my aws does not provide one or more"
        " required fields (password, username)."
    )
