"""A job over a real sshd with a machine credential whose key never leaves memory."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.conftest import Deployment
from tests.servers import free_port
from tests.waiting import eventually

pytestmark = [
    pytest.mark.tier_sshd,
    pytest.mark.xdist_group("deployment"),
    pytest.mark.timeout(180),
]
PASSPHRASE = "open-sesame-7"


class Sshd:
    """An sshd of the test's own on a loopback port, with one authorised key."""

    def __init__(self, directory: Path) -> None:
        """Make keys and configuration, and start it."""
        self.port = free_port()
        self.key = directory / "user"
        self._make_key(self.key, PASSPHRASE)
        self._make_key(directory / "host", "")
        shutil.copy(directory / "user.pub", directory / "authorized")
        configuration = directory / "sshd_config"
        configuration.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {directory / 'host'}\n"
            f"AuthorizedKeysFile {directory / 'authorized'}\nUsePAM no\nStrictModes no\n"
            "Subsystem sftp internal-sftp\nPasswordAuthentication no\n"
            "PermitRootLogin yes\nPidFile none\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)], stderr=subprocess.DEVNULL
        )
        eventually(self._greets, 10)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    @staticmethod
    def _make_key(path: Path, passphrase: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
        subprocess.run(command, check=True)


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    """A running sshd."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    server = Sshd(directory)
    yield server
    server.stop()
    shutil.rmtree(directory)


def test_a_job_reaches_its_host_with_a_sealed_key(deployment: Deployment, sshd: Sshd) -> None:
    """The key works, reads back as ``$encrypted$`` and stands in no file of the deployment."""
    inventory = deployment.post("/api/v2/inventories/", {"name": "ssh", "organization": 1})["id"]
    variables = (
        f"ansible_host: 127.0.0.1\nansible_port: {sshd.port}\n"
        f"ansible_python_interpreter: {sys.executable}\n"
        "ansible_ssh_common_args: -o StrictHostKeyChecking=no\n"
    )
    deployment.post(
        f"/api/v2/inventories/{inventory}/hosts/", {"name": "target", "variables": variables}
    )
    key = sshd.key.read_text()
    credential = deployment.post(
        "/api/v2/credentials/",
        {
            "name": "key",
            "organization": 1,
            "credential_type": 1,
            "inputs": {"username": "root", "ssh_key_data": key, "ssh_key_unlock": PASSPHRASE},
        },
    )
    assert credential["inputs"]["ssh_key_data"] == "$encrypted$"
    assert credential["inputs"]["username"] == "root"
    template = deployment.template("over ssh", "ping.yml", inventory=inventory)
    deployment.post(
        f"/api/v2/job_templates/{template}/credentials/", {"id": credential["id"]}, status=204
    )
    found = deployment.ended(deployment.launch(template))
    shown = deployment.client.get(f"/api/v2/jobs/{found['id']}/stdout/", params={"format": "txt"})
    assert found["status"] == "successful", shown.text
    secret = key.splitlines()[2].encode()
    for path in deployment.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert secret not in content, path
            assert PASSPHRASE.encode() not in content, path
