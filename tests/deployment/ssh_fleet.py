"""Many machines on one: an sshd for each on a loopback address of its own, with users of their own.

They live in a mount namespace that has a copy of /etc, so their users and passwords are nobody
else's, and root has no profile that this machine gave it. Each is reached on the same port of its
own address.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

from runners import process_tree
from tests.deployment.conftest import Deployment
from tests.servers import free_port
from tests.waiting import eventually

USER = "deploy"
PASSWORD = "Deploy-pa55word"
ROOT_PASSWORD = "Become-pa55word"
PASSPHRASE = "open-sesame-7"
PATIENCE_S = 60
_CONFIGURATION = """
ListenAddress {address}
Port {port}
HostKey {base}/host
AuthorizedKeysFile {base}/authorized
PidFile {base}/{name}.pid
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
TrustedUserCAKeys {base}/authority
PasswordAuthentication {passwords}
PubkeyAuthentication {keys}
Subsystem sftp internal-sftp
"""
_NAMESPACE = """
set -e
mount --bind "$1/etc" /etc
sed -i '/^root:/s,:[^:]*:[^:]*$,:/:/bin/sh,' /etc/passwd
echo "{user}:x:6001:6001::/:/bin/sh" >> /etc/passwd
echo "{user}:x:6001:" >> /etc/group
echo "{user}:*:19000:0:99999:7:::" >> /etc/shadow
printf '{user}:{password}\\nroot:{root}\\n' | chpasswd
for configuration in "$1"/*.conf; do /usr/sbin/sshd -f "$configuration"; done
exec sleep infinity
"""


def make_key(path: Path, passphrase: str) -> None:
    """Make a key pair."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)


def greets(address: str, port: int) -> bool:
    """Tell whether an sshd answers there."""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


class Enrolled(Struct, frozen=True, kw_only=True):
    """What a deployment knows a fleet by."""

    inventory: int
    credential: int


class Sshd:
    """An sshd of the test's own on a loopback port, with one authorised key."""

    def __init__(self, directory: Path) -> None:
        """Make keys and configuration, and start it."""
        self.port = free_port()
        self.key = directory / "user"
        make_key(self.key, PASSPHRASE)
        make_key(directory / "host", "")
        self._authority = directory / "authority"
        make_key(self._authority, "")
        shutil.copy(directory / "user.pub", directory / "authorized")
        configuration = directory / "sshd_config"
        configuration.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {directory / 'host'}\n"
            f"AuthorizedKeysFile {directory / 'authorized'}\nUsePAM no\nStrictModes no\n"
            "Subsystem sftp internal-sftp\nPasswordAuthentication no\n"
            f"PermitRootLogin yes\nPidFile none\nTrustedUserCAKeys {self._authority}.pub\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)], stderr=subprocess.DEVNULL
        )
        eventually(lambda: greets("127.0.0.1", self.port), 10)

    @property
    def variables(self) -> dict[str, object]:
        """What Ansible must know of it."""
        arguments = "-o StrictHostKeyChecking=no"
        found = {"ansible_host": "127.0.0.1", "ansible_port": self.port}
        return {**found, "ansible_ssh_common_args": arguments}

    def expired_key(self) -> Path:
        """Return a key whose certificate this sshd's authority signed for a time that is over."""
        key = self.key.with_name("late")
        make_key(key, PASSPHRASE)
        command = ["ssh-keygen", "-q", "-s", str(self._authority), "-I", "late", "-n", "root"]
        subprocess.run([*command, "-V", "20200101:20200102", f"{key}.pub"], check=True)
        return key

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


class Fleet:
    """Hosts ``h1`` to ``hN``; the last few let a user in by password alone, the others by key."""

    def __init__(self, base: Path, count: int, by_password: int, authority: str = "") -> None:
        """Start all of them; ``base`` is for them alone, ``authority`` may sign further keys."""
        base.chmod(0o755)  # the user's own sshd reads the authorised key there
        self.base = base
        self.port = free_port()
        self.names = [f"h{number}" for number in range(1, count + 1)]
        self.by_password = self.names[count - by_password :]
        self.key = base / "user"
        make_key(self.key, PASSPHRASE)
        make_key(base / "host", "")
        shutil.copy(base / "user.pub", base / "authorized")
        (base / "authority").write_text(authority)
        shutil.copytree("/etc", base / "etc", symlinks=True)
        for name in self.names:
            self._configure(name)
        script = _NAMESPACE.format(user=USER, password=PASSWORD, root=ROOT_PASSWORD)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._holder = subprocess.Popen(["unshare", "-m", "sh", "-c", script, "fleet", str(base)])
        for name in self.names:
            self._greeted(name)

    def enroll(self, deployment: Deployment) -> Enrolled:
        """Make the inventory of all hosts, and the credential that opens them."""
        body = {"name": "fleet over ssh", "organization": 1}
        inventory = deployment.post("/api/v2/inventories/", body)["id"]
        hosts = [
            {"name": name, "variables": msgspec.json.encode(self.variables(name)).decode()}
            for name in self.names
        ]
        deployment.post("/api/v2/bulk/host_create/", {"inventory": inventory, "hosts": hosts})
        inputs = {
            "username": USER,
            "password": PASSWORD,
            "ssh_key_data": self.key.read_text(),
            "ssh_key_unlock": PASSPHRASE,
            "become_method": "su",
            "become_username": "root",
            "become_password": ROOT_PASSWORD,
        }
        body = {"name": "fleet", "organization": 1, "credential_type": 1, "inputs": inputs}
        credential = deployment.post("/api/v2/credentials/", body)
        shown = {name for name, value in credential["inputs"].items() if value != "$encrypted$"}
        assert shown == {"username", "become_method", "become_username"}
        return Enrolled(inventory=inventory, credential=credential["id"])

    def address(self, name: str) -> str:
        """Return where a host listens."""
        return f"127.0.1.{self.names.index(name) + 1}"

    def kill(self, name: str) -> None:
        """End a host's sshd, and every session in it."""
        path = self.base / f"{name}.pid"
        pid = int(path.read_text())
        for each in [pid, *process_tree.descendants(pid)]:
            os.kill(each, signal.SIGKILL)
        path.unlink()

    def start(self, name: str) -> None:
        """Start a host that was killed."""
        command = ["nsenter", "-t", str(self._holder.pid), "-m", "/usr/sbin/sshd"]
        subprocess.run([*command, "-f", str(self.base / f"{name}.conf")], check=True)
        self._greeted(name)

    def stop(self) -> None:
        """End all of them."""
        for path in self.base.glob("*.pid"):
            self.kill(path.stem)
        self._holder.kill()
        self._holder.wait()

    def _configure(self, name: str) -> None:
        alone = name in self.by_password
        text = _CONFIGURATION.format(
            address=self.address(name),
            port=self.port,
            base=self.base,
            name=name,
            passwords="yes" if alone else "no",
            keys="no" if alone else "yes",
        )
        (self.base / f"{name}.conf").write_text(text)

    def _greeted(self, name: str) -> None:
        eventually(lambda: greets(self.address(name), self.port), PATIENCE_S)

    def variables(self, name: str) -> dict[str, object]:
        """Return what Ansible must know of a host."""
        return {
            "ansible_host": self.address(name),
            "ansible_port": self.port,
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no",
            "ansible_ssh_timeout": PATIENCE_S,
        }
