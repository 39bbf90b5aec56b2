"""Stores beside HashiCorp Vault, held against exchanges as their documentation shows them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from msgspec import Struct

from ops.lookups import STORES, LookupFailed, aws, look_up
from schemas.work import Lookup

WORD = "f0und-w0rd-94"
SECRET = "l0gin-w0rd-95"
TOKEN = "t0ken-w0rd-96"


class Step(Struct, frozen=True, kw_only=True):
    """One request that must come, and the answer that it gets."""

    method: str
    url: str
    holds: Mapping[str, str] = {}
    """Header, query or body field to value."""
    status: int = 200
    answer: Any = {}


class Store:
    """Answers a lookup step by step."""

    def __init__(self, *steps: Step) -> None:
        self._steps: Iterator[Step] = iter(steps)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Check one request."""
        step = next(self._steps)
        assert (request.method, str(request.url.copy_with(query=None))) == (step.method, step.url)
        given = {**request.headers, **dict(request.url.params), **_body(request)}
        assert {name: given.get(name) for name in step.holds} == dict(step.holds)
        content = step.answer if isinstance(step.answer, bytes) else json.dumps(step.answer)
        return httpx.Response(step.status, content=content)


def _body(request: httpx.Request) -> dict[str, str]:
    text = request.content.decode()
    if text.startswith("{"):
        return {str(name): value for name, value in json.loads(text).items()}
    return {name: values[0] for name, values in parse_qs(text).items()} or {"body": text}


async def asked(store: str, inputs: Any, metadata: Any, *steps: Step) -> str:
    """Look up against the steps; returns what was found or what was said."""
    transport = httpx.MockTransport(Store(*steps))
    try:
        return await look_up(Lookup(store=store, inputs=inputs, metadata=metadata), transport)
    except LookupFailed as error:
        said = str(error)
    assert not any(secret in said for secret in (WORD, SECRET, TOKEN))
    return said


AWS = "https://secretsmanager.eu-west-1.amazonaws.com"
AWS_KEYS = {"aws_access_key": "AKID", "aws_secret_key": SECRET}
AWS_NAMED = {"region_name": "eu-west-1", "secret_name": "app"}


def test_requests_are_signed_as_awss_own_library_signs_them() -> None:
    """The signature of one request, as botocore 1.44.8 makes it."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    keys = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    body = json.dumps({"SecretId": "app"}).encode()
    made = aws.signed(AWS.removeprefix("https://"), "eu-west-1", body, keys, at)
    assert made["x-amz-date"] == "20260102T030405Z"
    assert made["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/secretsmanager/aws4_request,"
        " SignedHeaders=content-type;host;x-amz-date;x-amz-target,"
        " Signature=3a015ae13d94596acd9759c0aff0640d2b71bdd3c76974edf0cc5e42b4d4ba14"
    )


async def test_aws_secrets_manager() -> None:
    """Text and binary secrets, and what its error types mean."""

    async def answered(status: int, answer: Any) -> str:
        holds = {"x-amz-target": "secretsmanager.GetSecretValue", "SecretId": "app"}
        step = Step(method="POST", url=AWS, holds=holds, status=status, answer=answer)
        return await asked("aws_secretsmanager_credential", AWS_KEYS, AWS_NAMED, step)

    assert await answered(200, {"Name": "app", "SecretString": WORD}) == WORD
    binary = base64.b64encode(WORD.encode()).decode()
    assert await answered(200, {"Name": "app", "SecretBinary": binary}) == WORD
    assert await answered(200, {"Name": "app"}) == f"{AWS} answered without SecretString"
    for told, said in {
        "ResourceNotFoundException": "has no secret 'app'",
        "com.amazonaws#AccessDeniedException": "does not let this access key read it",
        "UnrecognizedClientException": "does not know the access key",
        "InvalidSignatureException": "refused the secret key",
        "ExpiredTokenException": "says that the access key has expired",
        "InternalServiceError": "answered",
    }.items():
        text = await answered(400, {"__type": told, "message": SECRET})
        assert text in {f"{AWS} {said} (HTTP 400)", f"{AWS} {said} HTTP 400"}
    bad = {**AWS_NAMED, "region_name": "evil.example.com/"}
    text = await asked("aws_secretsmanager_credential", AWS_KEYS, bad)
    assert text == "'evil.example.com/' is not a region of AWS"


KEY_VAULT = {"url": "https://v.vault.azure.net/", "client": "c", "secret": SECRET, "tenant": "t"}


async def test_azure_key_vault() -> None:
    """A login of the cloud's authority, then one version or the newest."""
    login = Step(
        method="POST",
        url="https://login.microsoftonline.com/t/oauth2/v2.0/token",
        holds={
            "grant_type": "client_credentials",
            "client_id": "c",
            "client_secret": SECRET,
            "scope": "https://vault.azure.net/.default",
        },
        answer={"token_type": "Bearer", "access_token": TOKEN},
    )
    read = Step(
        method="GET",
        url="https://v.vault.azure.net/secrets/db",
        holds={"authorization": f"Bearer {TOKEN}", "api-version": "7.4"},
        answer={"value": WORD, "id": "https://v.vault.azure.net/secrets/db/1"},
    )
    assert await asked("azure_kv", KEY_VAULT, {"secret_field": "db"}, login, read) == WORD
    older = Step(method="GET", url=f"{read.url}/v2", answer={"value": WORD})
    metadata = {"secret_field": "db", "secret_version": "v2"}
    assert await asked("azure_kv", KEY_VAULT, metadata, login, older) == WORD
    china = {**KEY_VAULT, "cloud_name": "AzureChinaCloud"}
    elsewhere = Step(
        method="POST",
        url="https://login.chinacloudapi.cn/t/oauth2/v2.0/token",
        holds={"scope": "https://vault.azure.cn/.default"},
        status=401,
        answer={"error": "invalid_client", "error_description": SECRET},
    )
    assert await asked("azure_kv", china, metadata, elsewhere) == (
        "https://login.chinacloudapi.cn refused the login of the service principal (HTTP 401)"
    )
    gone = Step(method="GET", url=older.url, status=404, answer={"error": {"code": "x"}})
    assert await asked("azure_kv", KEY_VAULT, metadata, login, gone) == (
        "https://v.vault.azure.net has no secret 'db' of version 'v2' (HTTP 404)"
    )


async def test_cyberark_central_credential_provider() -> None:
    """The whole account is asked for, one property is taken."""
    inputs = {"url": "https://ccp.example.com", "app_id": SECRET, "verify": False}
    query = "Safe=S;Object=o"
    found = Step(
        method="GET",
        url="https://ccp.example.com/AIMWebService/api/Accounts",
        holds={"AppId": SECRET, "Query": query, "QueryFormat": "Exact", "reason": "deploy"},
        answer={"Content": WORD, "UserName": "root", "Address": "a"},
    )
    metadata = {"object_query": query, "reason": "deploy"}
    assert await asked("aim", inputs, metadata, found) == WORD
    for name, value in {"username": "root", "address": "a"}.items():
        assert await asked("aim", inputs, {**metadata, "object_property": name}, found) == value
    lacking = await asked("aim", inputs, {**metadata, "object_property": "zz"}, found)
    assert lacking == "https://ccp.example.com answered without Zz"
    named = {**inputs, "webservice_id": "Other"}
    refused = Step(
        method="GET",
        url="https://ccp.example.com/Other/api/Accounts",
        status=403,
        answer={"ErrorCode": "APPAP133E", "ErrorMsg": SECRET},
    )
    assert await asked("aim", named, metadata, refused) == (
        "https://ccp.example.com refused the application or its certificate (HTTP 403)"
    )


CONJUR = {"url": "https://c.example.com", "api_key": SECRET, "account": "a/b", "username": "host/h"}


async def test_conjur() -> None:
    """Cloud and server paths; the token goes in base64 whether the server did it or not."""
    cloud, own = ("https://c.example.com/api/", "https://c.example.com/")
    path = "authn/a%2Fb/host%2Fh/authenticate"
    plain = b'{"protected":"p","payload":"l","signature":"s"}'
    encoded = base64.b64encode(plain)
    login = Step(method="POST", url=f"{cloud}{path}", holds={"body": SECRET}, answer=encoded)
    header = {"authorization": f'Token token="{encoded.decode()}"'}
    variable = "secrets/a%2Fb/variable/db%2Fpassword"
    read = Step(method="GET", url=f"{cloud}{variable}", holds=header, answer=WORD.encode())
    metadata = {"secret_path": "db/password"}
    assert await asked("conjur", CONJUR, metadata, login, read) == WORD
    none = Step(method="POST", url=f"{cloud}{path}", status=404)
    older = Step(method="POST", url=f"{own}{path}", answer=plain)
    versioned = Step(
        method="GET", url=f"{own}{variable}", holds={**header, "version": "2"}, answer=WORD.encode()
    )
    metadata["secret_version"] = "2"
    assert await asked("conjur", CONJUR, metadata, none, older, versioned) == WORD
    refused = Step(method="POST", url=f"{cloud}{path}", status=401, answer=SECRET.encode())
    assert await asked("conjur", CONJUR, metadata, refused) == (
        "https://c.example.com refused the API key (HTTP 401)"
    )


async def test_devops_secrets_vault() -> None:
    """A field of a secret, decoded where that is asked for."""
    inputs = {"tenant": "acme", "client_id": "c", "client_secret": SECRET, "tld": "com.au"}
    root = "https://acme.secretsvaultcloud.com.au/v1"
    login = Step(
        method="POST",
        url=f"{root}/token",
        holds={"grant_type": "client_credentials", "client_secret": SECRET},
        answer={"accessToken": TOKEN, "expiresIn": 3600},
    )
    value = base64.b64encode(WORD.encode()).decode()
    read = Step(
        method="GET",
        url=f"{root}/secrets/servers/web",
        holds={"authorization": f"Bearer {TOKEN}"},
        answer={"path": "servers:web", "data": {"password": value}},
    )
    metadata = {"path": "/servers/web", "secret_field": "password"}
    assert await asked("thycotic_dsv", inputs, metadata, login, read) == value
    decoded = {**metadata, "secret_decoding": "Decode Base64"}
    assert await asked("thycotic_dsv", inputs, decoded, login, read) == WORD
    lacking = {**metadata, "secret_field": "zz"}
    assert await asked("thycotic_dsv", inputs, lacking, login, read) == (
        "the secret '/servers/web' has no field 'zz'"
    )
    for tenant in ("evil.com/#", "a.b.c", ""):
        assert "is not a tenant's name" in await asked(
            "thycotic_dsv", {**inputs, "tenant": tenant}, metadata
        )


async def test_secret_server() -> None:
    """A field by its slug, or the text of the file that is attached to it."""
    inputs = {"server_url": "https://s.example.com/SS", "username": "u", "password": SECRET}
    root = "https://s.example.com/SS"
    login = Step(
        method="POST",
        url=f"{root}/oauth2/token",
        holds={"grant_type": "password", "username": "u", "password": SECRET, "domain": "d"},
        answer={"access_token": TOKEN},
    )
    items = [
        {"slug": "password", "itemValue": WORD, "fileAttachmentId": None},
        {"slug": "private-key", "itemValue": "*** Not Valid ***", "fileAttachmentId": 4},
    ]
    read = Step(
        method="GET",
        url=f"{root}/api/v1/secrets/12",
        holds={"authorization": f"Bearer {TOKEN}"},
        answer={"id": 12, "items": items},
    )
    inputs["domain"] = "d"
    metadata = {"secret_id": "12", "secret_field": "password"}
    assert await asked("thycotic_tss", inputs, metadata, login, read) == WORD
    file = Step(method="GET", url=f"{read.url}/fields/private-key", answer=f"key {WORD}".encode())
    metadata["secret_field"] = "private-key"
    assert await asked("thycotic_tss", inputs, metadata, login, read, file) == f"key {WORD}"
    refused = Step(method="POST", url=login.url, status=400, answer={"error": SECRET})
    assert await asked("thycotic_tss", inputs, metadata, refused) == (
        "https://s.example.com refused user or password (HTTP 400)"
    )


async def test_centrify() -> None:
    """A login, a query for the account, and its password checked out."""
    inputs = {"url": "https://t.example.com", "client_id": "c", "client_password": SECRET}
    basic = base64.b64encode(f"c:{SECRET}".encode()).decode()
    login = Step(
        method="POST",
        url="https://t.example.com/oauth2/token/awx",
        holds={"authorization": f"Basic {basic}", "scope": "awx"},
        answer={"access_token": TOKEN},
    )
    script = "Select ID from VaultAccount where Name='web' and User='root'"
    query = Step(
        method="POST",
        url="https://t.example.com/Redrock/query",
        holds={"authorization": f"Bearer {TOKEN}", "Script": script},
        answer={"success": True, "Result": {"Results": [{"Row": {"ID": "7"}}]}},
    )
    out = Step(
        method="POST",
        url="https://t.example.com/ServerManage/CheckoutPassword",
        holds={"ID": "7"},
        answer={"success": True, "Result": {"Password": WORD}},
    )
    metadata = {"account-name": "root", "system-name": "web"}
    assert await asked("centrify_vault_kv", inputs, metadata, login, query, out) == WORD
    none = Step(method="POST", url=query.url, answer={"success": True, "Result": {"Results": []}})
    assert await asked("centrify_vault_kv", inputs, metadata, login, none) == (
        "https://t.example.com has no account 'root' on 'web'"
    )
    refused = Step(method="POST", url=out.url, answer={"success": False, "Result": None})
    assert await asked("centrify_vault_kv", inputs, metadata, login, query, refused) == (
        "https://t.example.com does not give out the password of 'root' on 'web'"
    )
    quoted = {**metadata, "account-name": "x' or '1'='1"}
    assert "apostrophe" in await asked("centrify_vault_kv", inputs, quoted)


@pytest.mark.parametrize("store", sorted(STORES))
@pytest.mark.parametrize("answer", [b"", b"[" * 100_000, b"null", b'{"data": 7}', b"\xff\xfe"])
async def test_nonsense_is_told_as_such(store: str, answer: bytes) -> None:
    """Whatever a server answers, the lookup ends with text or a sentence, never otherwise."""
    inputs = {
        "url": "https://x.example.com",
        "server_url": "https://x.example.com",
        "token": TOKEN,
        "tenant": "t",
    }
    metadata = {"secret_path": "a", "secret_key": "k", "region_name": "eu-west-1"}
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=answer))
    lookup = Lookup(store=store, inputs=inputs, metadata=metadata)
    try:
        told = await look_up(lookup, transport)
    except LookupFailed as error:
        told = str(error)
    assert isinstance(told, str)
    assert TOKEN not in told
