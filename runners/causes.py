"""Why a run failed where only a program's output says it: keys, vault passwords and limits."""

from __future__ import annotations

import os
import re
from pathlib import Path

from runners.spec import Secrets

_HEAD_BYTES = 1 << 16
"""The key is loaded before anything else is printed."""
_TAIL_BYTES = 1 << 20
"""What ended a run stands at the end of its journal."""
_BAD_PASSPHRASE = b"Bad passphrase, try again for "
_BAD_KEY = re.compile(rb"Error loading key [^:]*: ([\w ]+)")
_VAULT = (
    b"no vault secrets were found that could decrypt",
    b"Attempting to decrypt but no vault secrets found",
)
REFUSED = 1
"""What Ansible ends with when it starts no play; a host that failed ends it with another number."""
_NO_HOSTS = (
    b"--limit leaves us with no hosts to target",
    b"--limit does not match any hosts",  # as ansible-core said it before 2.16
    b"No hosts matched the subscripted pattern",
)
_NO_PATTERN = b"Invalid host list pattern: "
_NO_FILE = b"Unable to find limit file "


def of_failure(journal: Path, secrets: Secrets, limit: str) -> str:
    """Return why a run failed that its own end does not explain; empty when nothing tells.

    ``limit`` is that of a run that Ansible refused to start, empty for others.
    """
    head, tail = _ends(journal)
    if limit and (found := _of_limit(tail)):
        return f"The limit {limit!r} {found}"
    if secrets.ssh_key and _BAD_PASSPHRASE in head:
        word = "wrong" if secrets.ssh_key_passphrase else "missing"
        return f"The passphrase of the machine credential's private key is {word}"
    if secrets.ssh_key and (bad := _BAD_KEY.search(head)):
        return f"The machine credential's private key cannot be used: {bad[1].decode()}"
    if any(each in part for each in _VAULT for part in (head, tail)):
        return f"Ansible could not decrypt a vault: {_vaults(secrets)}"
    return ""


def _of_limit(tail: bytes) -> str:
    if any(each in tail for each in _NO_HOSTS):
        return "matches no host of the inventory"
    if _NO_PATTERN in tail:
        return "is no pattern that Ansible can read"
    return "names a file that the project does not have" if _NO_FILE in tail else ""


def _vaults(secrets: Secrets) -> str:
    if not secrets.vaults:
        return "the job has no vault credential"
    named = ", ".join(repr(each) if each else "without an id" for each in secrets.vaults)
    return f"no password of its vault credentials fits (vault ids: {named})"


def _ends(journal: Path) -> tuple[bytes, bytes]:
    with journal.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        return head, stream.read()
