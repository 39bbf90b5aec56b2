"""The signed checksums of a project (``.ansible-sign``), verified by ansible-sign and gpg."""

from __future__ import annotations

import sys
from pathlib import Path

from runners import git, tool
from runners.ending import Ending
from runners.preparation import Preparation
from runners.spec import write_private
from runners.told_play import ToldPlay
from runners.tool import ToolFailed

PLAY = "Perform project signature/checksum verification"
SIGNATURE = ".ansible-sign/sha256sum.txt.sig"
MANIFEST = ".ansible-sign/sha256sum.txt"


def verify(job: Preparation, tree: Path, play: ToldPlay, ending: Ending) -> None:
    """Check signature and checksums of a tree. Raises ToolFailed, Stopped."""
    play.play(PLAY)
    play.task("Verify project content using GPG signature", "playbook_integrity")
    for name in (MANIFEST, SIGNATURE):
        path = tree / name
        if path.is_symlink() or not path.is_file():
            raise ToolFailed(f"The project is not signed: it has no {name}")
    home = job.memory / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    env = {**git.basic_environment(job), "GNUPGHOME": str(home)}
    _gpg(job, home, env, ending)
    command = [str(Path(sys.executable).parent / "ansible-sign"), "--nocolor"]
    command += ["project", "gpg-verify", "--gnupg-home", str(home), str(tree)]
    done = tool.run(job, command, job.dir / "tmp", env, ending)
    if done.rc:
        raise ToolFailed(f"The project's signature is not valid: {_told(done.out)}", done.rc)
    play.done("Signature and checksums are valid")


def _gpg(job: Preparation, home: Path, env: dict[str, str], ending: Ending) -> None:
    """Make the credential's key the only one that is known."""
    # A sandbox ends with the last of its processes, and a verification needs no agent.
    write_private(home / "gpg.conf", b"no-autostart\n")
    key = home / "public.asc"
    write_private(key, job.secrets.gpg_public_key.encode())
    command = ["gpg", "--batch", "--no-tty", "--quiet", "--import", str(key)]
    done = tool.run(job, command, job.dir / "tmp", env, ending)
    if done.rc:
        why = tool.cause(done)
        raise ToolFailed(f"The credential holds no GPG public key that can be used: {why}", done.rc)


def _told(text: str) -> str:
    """Return what ansible-sign says is wrong."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("[NOTE", "[OK"))]
    return " ".join(line.removeprefix("[ERROR] ").strip() for line in lines) or "it says nothing"
