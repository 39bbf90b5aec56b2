"""Signed projects: what was not signed, or changed since, fails its update."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runners.spec import Secrets
from tests.runners.rig import Rig
from tests.runners.test_project_sync import Repository, failed, update

pytestmark = pytest.mark.tier_gpg


class Signer:
    """A key pair of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, parents=True)
        self.env = {"PATH": "/usr/bin:/bin", "GNUPGHOME": str(home), "HOME": str(home)}
        self.env["GPG_TTY"] = "none"
        self.gpg("--quick-gen-key", "signer@example.org", "ed25519", "sign", "never")

    def gpg(self, *args: str) -> str:
        """Run gpg without a passphrase."""
        command = ["gpg", "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
        done = subprocess.run(
            [*command, *args], env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def sign(self, tree: Path) -> None:
        """Sign a tree as ansible-sign does."""
        program = Path(sys.executable).parent / "ansible-sign"
        command = [str(program), "project", "gpg-sign", str(tree)]
        subprocess.run(command, env=self.env, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Signer, Signer]]:
    """Two signers; their directories are short, for the sockets of gpg's agent."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="pl-"))
    found = Signer(place / "a"), Signer(place / "b")
    yield found
    for each in found:
        subprocess.run(["gpgconf", "--kill", "all"], env=each.env, check=False)
    shutil.rmtree(place, ignore_errors=True)


def test_a_signed_project_is_verified(
    new_rig: Callable[[], Rig], tmp_path: Path, signers: tuple[Signer, Signer]
) -> None:
    """The right key passes; another key, a changed file, an added file and none at all do not."""
    ours, others = signers
    origin = Repository(tmp_path / "origin")
    origin.commit(site_yml="- hosts: all\n")
    (origin.path / "MANIFEST.in").write_text("include *.yml\n")
    url = origin.path.as_uri()
    key = Secrets(gpg_public_key=ours.gpg("--armor", "--export"))
    other = Secrets(gpg_public_key=others.gpg("--armor", "--export"))

    def explained(secrets: Secrets) -> str:
        rig = new_rig()
        return failed(rig, update(rig, url, secrets, validate=True))

    origin.commit()
    assert explained(key) == "The project is not signed: it has no .ansible-sign/sha256sum.txt"
    ours.sign(origin.path)
    origin.commit()
    rig = new_rig()
    final = update(rig, url, key, validate=True)
    assert final.status == "successful", final.explanation
    assert "Perform project signature/checksum verification" in rig.stdout()
    assert "signature is not valid" in explained(other)
    assert "no GPG public key that can be used" in explained(Secrets(gpg_public_key="nonsense"))
    origin.commit(site_yml="- hosts: changed\n")
    assert "Checksum validation failed" in explained(key)
    origin.commit(site_yml="- hosts: all\n", added_yml="- hosts: all\n")
    assert "added.yml" in explained(key)
