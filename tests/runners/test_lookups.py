"""Secrets kept in HashiCorp Vault, over TLS: found, or missing for a reason that is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.lookups import LookupFailed, hashivault, look_up
from runners import credentials
from runners.credentials import Unusable
from schemas.work import FieldLookup, JobSecrets, Lookup, UsedCredential
from tests import vaults
from tests.vaults import EXPIRED, LOGINS, NAMESPACE, OLDER, SECRETS, TOKEN, VaultServer

WORD = SECRETS["password"]
APP = {"secret_backend": "kv", "secret_path": "app", "secret_key": "password"}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """A secret store that runs."""
    with vaults.running(tmp_path_factory.mktemp("vault")) as server:
        yield server


async def found(vault: VaultServer, metadata: dict[str, Any], **inputs: Any) -> str:
    """Look up with a good token unless told otherwise."""
    given = vault.inputs(**({"token": TOKEN} | inputs))
    return await look_up(Lookup(store="hashivault_kv", inputs=given, metadata=metadata))


async def why(vault: VaultServer, metadata: dict[str, Any], **inputs: Any) -> str:
    """Return what is said when nothing is found."""
    with pytest.raises(LookupFailed) as raised:
        await found(vault, metadata, **inputs)
    return str(raised.value)


async def test_keys_of_both_versions(vault: VaultServer) -> None:
    """Versions, paths that begin with the engine, keys in odd places, values that are no text."""
    assert await found(vault, APP) == WORD
    assert await found(vault, {**APP, "secret_version": "1"}) == OLDER["password"]
    whole = {"secret_path": "/kv/deep/app", "secret_key": "password"}
    assert await found(vault, whole) == WORD
    assert await found(vault, {**APP, "secret_key": "port"}) == "5432"
    assert await found(vault, {**APP, "secret_key": "data"}) == SECRETS["data"]
    older = {"secret_path": "secret/app", "secret_key": "password"}
    assert await found(vault, older, api_version="v1") == WORD
    named = {**older, "secret_backend": "secret", "secret_path": "app"}
    assert await found(vault, named, api_version="v1") == WORD
    team = {**APP, "secret_path": "of-team"}
    assert await found(vault, team, namespace=NAMESPACE) == WORD
    assert "has no secret 'of-team'" in await why(vault, team)


async def test_every_login(
    vault: VaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AppRole, users, LDAP, Kubernetes and TLS certificates, at the paths they are mounted at."""
    token = tmp_path / "token"
    token.write_text(f"{LOGINS['kubernetes']['jwt']}\n")
    monkeypatch.setattr(hashivault, "SERVICE_ACCOUNT", token)
    certificate, key = vault.authority.issue("a client")
    logins: list[tuple[str, dict[str, Any]]] = [
        ("approle", LOGINS["approle"]),
        ("userpass", {"username": "me", **LOGINS["userpass"]}),
        ("ldap", {"username": "me", **LOGINS["ldap"]}),
        ("kubernetes", {"kubernetes_role": "kube"}),
        ("cert", {"client_cert_public": certificate, "client_cert_private": key}),
    ]
    for mounted, inputs in logins:
        given = {"token": "", "default_auth_path": mounted, **inputs}
        assert await found(vault, APP, **given) == WORD, mounted
        assert await found(vault, {**APP, "auth_path": mounted}, **given) == WORD
    wrong = {"token": "", **LOGINS["approle"], "secret_id": "wrong-secret-89"}
    assert await why(vault, APP, **wrong) == (
        f"{vault.url} refused the login by AppRole at auth/approle (HTTP 400)"
    )
    assert "one of token, username and password" in await why(vault, APP, token="")
    monkeypatch.setattr(hashivault, "SERVICE_ACCOUNT", tmp_path / "none")
    assert "needs a service account's token" in await why(
        vault, APP, token="", kubernetes_role="kube"
    )


async def test_what_goes_wrong_is_said_without_secrets(
    vault: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cause has its sentence, and no answer of the server or of a library is repeated."""
    refused = "refused the token: it is wrong, has expired, or may not do this (HTTP 403)"
    assert await why(vault, APP, token=EXPIRED) == f"{vault.url} {refused}"
    assert await why(vault, {**APP, "secret_key": "none"}) == "the secret 'app' has no key 'none'"
    gone = await why(vault, {**APP, "secret_version": "2"})
    assert gone == f"{vault.url} has no secret 'app', it was deleted (HTTP 404)"
    assert await why(vault, {**APP, "secret_path": "elsewhere"}) == (
        f"{vault.url} redirects elsewhere, which is not followed"
    )
    assert "more than 1048576 bytes" in await why(vault, {**APP, "secret_path": "endless"})
    monkeypatch.setattr("ops.lookups.http.TIMEOUT_S", 0.2)
    assert await why(vault, {**APP, "secret_path": "slow"}) == (
        f"{vault.url} did not answer in time"
    )
    monkeypatch.undo()
    assert "its certificate is not trusted" in await why(vault, APP, cacert="")
    assert await why(vault, APP, cacert="nonsense") == "its CA certificate cannot be read"
    assert await why(vault, APP, client_cert_public="a", client_cert_private="b") == (
        "its client certificate or key cannot be read"
    )
    other = vault.url.replace("127.0.0.1", "localhost")
    assert "Hostname mismatch" in await why(vault, APP, url=other)
    assert "Connection refused" in await why(vault, APP, url="https://127.0.0.1:1")
    for bad in ("secret\nwith-newline-90", "s\u00e9cret-91"):
        text = await why(vault, APP, token=bad)
        assert "cannot be asked with these values" in text or "failed" in text
        assert not any(part in text for part in ("newline", "cret-91"))
    for url in ("", "ftp://x", "https://", "https://user:pw-92@[::1", "//x"):
        assert await why(vault, APP, url=url) == (
            "its URL is not usable: it must begin with https:// and name a host"
        )


async def test_a_standby_is_asked_again(
    vault: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has not yet seen the token's making answers in the end."""
    monkeypatch.setattr("ops.lookups.hashivault._TRY_PAUSE_S", 0)
    assert await found(vault, {**APP, "secret_path": "standby"}) == WORD
    assert vault.asked.count(("GET", "/v1/kv/data/standby")) == 2


async def test_a_field_that_is_not_found_ends_the_attempt(vault: VaultServer) -> None:
    """The end names credential, field, source and cause."""

    def told(metadata: dict[str, Any]) -> JobSecrets:
        lookup = Lookup(store="hashivault_kv", inputs=vault.inputs(token=TOKEN), metadata=metadata)
        asked = FieldLookup(field="password", source="the vault", lookup=lookup)
        return JobSecrets(
            credentials=(UsedCredential(id=1, name="web", namespace="ssh", lookups=(asked,)),)
        )

    filled = await credentials.looked_up(told(APP))
    assert credentials.secrets_of(filled).password == WORD
    with pytest.raises(Unusable) as raised:
        await credentials.looked_up(told({**APP, "secret_key": "none"}))
    assert raised.value.status == "error"
    assert str(raised.value) == (
        "The field 'password' of credential 'web' could not be looked up by credential"
        " 'the vault': the secret 'app' has no key 'none'"
    )
