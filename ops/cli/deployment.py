"""The files of one deployment below its data directory, and what its programs are told.

Layout (0700 throughout): ``run/`` (lock and state of ``playlog up``), ``secrets/`` (0600 files),
``nats/``, ``postgres/``, ``runner-<n>/`` (one per embedded runner), ``log/`` (one file a role).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from ops import ids, nats_identity, settings
from ops.settings import Settings

_LOCK_ATTEMPTS = 10
_LOCK_PAUSE_S = 0.05


class RoleState(Struct, frozen=True, kw_only=True):
    """One supervised child: its role, process id and whether it runs."""

    role: str
    pid: int | None
    state: str
    """``running``, ``starting``, ``restarting`` or ``stopped``."""
    restarts: int = 0


class State(Struct, frozen=True, kw_only=True):
    """What ``playlog up`` writes down for ``status`` and the other commands; holds no secret."""

    http: str
    nats_url: str
    nats_creds_file: str | None
    postgres_dsn: str
    postgres_password_file: str | None
    roles: tuple[RoleState, ...] = ()


class Deployment:
    """Paths of one data directory."""

    def __init__(self, data: Path) -> None:
        """Make the directories, private to the user."""
        self.data = data.absolute()
        self.run = self.data / "run"
        self.secrets = self.data / "secrets"
        self.log = self.data / "log"
        self.state_file = self.run / "state.json"
        self.lock_file = self.run / "up.lock"
        self.master_key_file = self.secrets / "master.key"
        self.admin_password_file = self.secrets / "admin_password"

    def create(self) -> None:
        """Create the layout; an existing one is kept."""
        for directory in (self.data, self.run, self.secrets, self.log):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_state(self, state: State) -> None:
        """Replace the state file atomically."""
        fresh = self.state_file.with_suffix(f".{ids.new_id()}")
        write_secret(fresh, msgspec.json.encode(state).decode())
        fresh.replace(self.state_file)

    def is_up(self) -> bool:
        """True while a ``playlog up`` runs on this directory."""
        try:
            with self.lock_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def read_state(self) -> State | None:
        """Return the last written state; None when ``up`` never ran here."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=State)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


@contextlib.contextmanager
def locked(place: Deployment) -> Iterator[None]:
    """Hold the data directory; `status` asks for the lock too, for an instant.

    Raises ValueError when another program of this deployment holds it.
    """
    with append_private(place.lock_file) as file:
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if attempt == _LOCK_ATTEMPTS - 1:
                    message = f"another `playlog up` runs on {place.data}"
                    raise ValueError(message) from error
                time.sleep(_LOCK_PAUSE_S)
            else:
                break
        yield


def write_secret(path: Path, value: str) -> None:
    """Write a 0600 file that never existed with other rights."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value)


def append_private(path: Path) -> BinaryIO:
    """Open a file for appending that is its owner's alone (0600) from the start."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def read_secret(path: Path) -> str:
    """Return a secret file's content without the final newline."""
    return path.read_text().rstrip("\n")


def with_private_logins(told: Settings) -> Settings:
    """Move passwords that stand in addresses to 0600 files, so that no child or answer has them."""
    secrets = Deployment(told.data).secrets
    dsn, _, word = settings.split_login(told.postgres_dsn)
    if word:
        file = told.postgres_password_file or secrets / "postgres_password"
        if told.postgres_password_file is None:
            write_secret(file, word)
        told = msgspec.structs.replace(told, postgres_dsn=dsn, postgres_password_file=file)
    urls, user, word = settings.split_nats_login(told.nats_url)
    if word:
        creds = secrets / "nats.creds.json"
        nats_identity.write_creds(creds, nats_identity.Creds(user=user, password=word))
        bare = ",".join(_without_user(each) for each in settings.nats_addresses(urls))
        told = msgspec.structs.replace(told, nats_url=bare, nats_creds_file=creds)
    return told


def _without_user(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def client_settings(data: Path | None) -> Settings:
    """Settings of a command that talks to a deployment.

    Its state file's, else the environment's. Raises ValueError when neither names a server.
    """
    base = settings.read()
    deployment = Deployment(data or base.data)
    state = deployment.read_state()
    if state is None and not settings.is_set("nats_url"):
        raise ValueError(
            f"`playlog up` never ran on {deployment.data}, and PLAYLOG_NATS_URL names no server"
        )
    if state is None:
        return msgspec.structs.replace(base, data=deployment.data)
    return msgspec.structs.replace(
        base,
        data=deployment.data,
        nats_url=state.nats_url,
        nats_creds_file=_path(state.nats_creds_file),
        postgres_dsn=state.postgres_dsn,
        postgres_password_file=_path(state.postgres_password_file),
        master_key_file=deployment.master_key_file,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
