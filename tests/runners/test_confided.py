"""What an attempt is told in confidence, up to its hosts: looked up, signed, refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from runners import credentials
from runners.spec import Secrets
from schemas.work import FieldLookup, JobSecrets, Lookup, UsedCredential
from tests import vaults
from tests.deployment.ssh_fleet import USER, Fleet
from tests.runners.agent_rig import AgentProcess, ControlPlane, patiently
from tests.runners.rig import Rig, play
from tests.runners.test_secrets import new_key
from tests.vaults import TOKEN, VaultServer

GREETS = play("{name: greets, debug: {msg: hello}}")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """A secret store that runs."""
    with vaults.running(tmp_path_factory.mktemp("vault")) as server:
        yield server


def told(
    vault: VaultServer, field: str, store: str, metadata: dict[str, Any], **inputs: Any
) -> JobSecrets:
    """Return a machine credential, one field of which is looked up."""
    lookup = Lookup(store=store, inputs=vault.inputs(token=TOKEN), metadata=metadata)
    machine = UsedCredential(
        id=1,
        name="web",
        namespace="ssh",
        inputs=inputs,
        lookups=(FieldLookup(field=field, source="the vault", lookup=lookup),),
    )
    return JobSecrets(credentials=(machine,))


async def test_a_lookup_that_fails_or_waits_ends_with_its_job(
    plane: ControlPlane, agent: AgentProcess, vault: VaultServer
) -> None:
    """Failing ends the attempt as an error before anything starts; waiting ends at a cancel."""

    def asks(path: str) -> JobSecrets:
        metadata = {"secret_backend": "kv", "secret_path": path, "secret_key": "password"}
        return told(vault, "password", "hashivault_kv", metadata)

    for job, path in enumerate(("nothing", "slow", "app"), 1):
        plane.secrets[job] = asks(path)
    agent.start()
    for job in plane.secrets:
        await plane.order(job, GREETS)
    ended = await plane.finished(1)
    assert (ended.status, ended.rc) == ("error", None)
    assert ended.explanation == (
        "The field 'password' of credential 'web' could not be looked up by credential"
        f" 'the vault': {vault.url} has no secret 'nothing' (HTTP 404)"
    )
    await patiently(lambda: ("GET", "/v1/kv/data/slow") in vault.asked)
    await plane.cancel(2)
    assert (await plane.finished(2)).status == "canceled"
    await plane.ended_well(3)
    assert "lookups" in {each.name for each in (await plane.finished(3)).phases}
    secrets = (TOKEN, str(vaults.SECRETS["password"]))
    assert not any(each in agent.log for each in secrets)
    await patiently(lambda: all(agent.has_left(job) for job in plane.secrets))


@pytest.mark.tier_sshd
def test_hosts_take_a_key_that_vault_signs(
    new_rig: Callable[[], Rig], tmp_path: Path, vault: VaultServer
) -> None:
    """A host that knows the authority alone lets the signed key in, as the principal it names."""
    key = new_key(tmp_path / "job", "")
    private = serialization.load_ssh_private_key(key.encode(), None)
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    public = private.public_key().public_bytes(*form).decode()

    def secrets(principals: str) -> Secrets:
        metadata = {
            "public_key": public,
            "secret_path": "ssh",
            "role": "deploy",
            "valid_principals": principals,
        }
        given = told(
            vault,
            "ssh_public_key_data",
            "hashivault_ssh",
            metadata,
            username=USER,
            ssh_key_data=key,
        )
        return credentials.secrets_of(asyncio.run(credentials.looked_up(given)))

    base = Path(tempfile.mkdtemp(prefix="pl-"))  # where other users may look, too
    fleet = Fleet(base, 1, 0, vault.ssh_authority)
    host = json.dumps({"ansible_connection": "ssh", **fleet.variables("h1")})
    text = play("{name: reached, raw: echo reached}")["site.yml"]
    playbook = {"site.yml": text.replace("  gather_facts", f"  vars: {host}\n  gather_facts", 1)}
    taken, refused = new_rig(), new_rig()
    try:
        taken.write(playbook)
        refused.write(playbook)
        assert taken.run(secrets(USER)).status == "successful", taken.stdout()
        assert taken.results("runner_on_ok", "reached")[0]["stdout_lines"] == ["reached"]
        assert refused.run(secrets("somebody-else")).status == "failed"
        assert "Permission denied" in refused.stdout()
    finally:
        fleet.stop()
        shutil.rmtree(base)
    with pytest.raises(credentials.Unusable, match="expired at"):
        secrets("expired")
