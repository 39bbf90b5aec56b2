"""Typed settings of the programs: the only reader of the environment.

Every setting is an environment variable ``PLAYLOG_<NAME>``; the command's flags set the same ones
for its children.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

VERSION = "0.1.0"
"""The distribution's, as ``pyproject.toml`` says it."""


class Settings(Struct, frozen=True, kw_only=True):
    """What the programs are told from outside; times in seconds."""

    data: Path
    """Private directory of this deployment's files (0700)."""
    nats_url: str = "nats://127.0.0.1:4222"
    """One address, or those of a cluster's servers, separated by commas."""
    nats_replicas: int = 1
    """Copies of every stream; 3 in a cluster of three servers or more."""
    nats_creds_file: Path | None = None
    """JSON file (0600) with the NATS user's seed and JWT; None where NATS asks for none."""
    nats_signing_file: Path | None = None
    """JSON file (0600) with the account's signing seed: mints runner, job and viewer users."""
    postgres_dsn: str = ""
    postgres_password_file: Path | None = None
    master_key_file: Path | None = None
    projects_root: Path | None = None
    """Directory of the directories that manual projects name; None: ``projects`` below ``data``."""
    host: str = "127.0.0.1"
    port: int = 8052
    node: str = ""
    """Name of this node: AWX's ``hostname``."""
    runner_groups: tuple[str, ...] = ("default", "controlplane")
    runner_capacity: int = 0
    """Capacity in forks; 0 computes AWX's formula from cpu and memory."""
    isolation: tuple[str, ...] = ("container", "sandbox", "limits")
    """What a runner may use of these to keep jobs apart, where it works; none: plain processes."""
    container_engine: str = "podman"
    """Name or path of the program that runs execution environments."""
    journal_bytes_max: int = 1024 * 1024 * 1024
    """Unpublished output that a runner keeps of an attempt; beyond it the play stands still."""
    admin_user: str = "admin"
    admin_password_file: Path | None = None
    admin_password: str = ""
    otlp_endpoint: str = ""
    """OTLP/HTTP base URL; empty exports nothing."""
    log_level: str = "INFO"
    presence_ttl_s: int = 15
    heartbeat_s: float = 5.0
    lost_grace_s: float = 60.0
    lease_ttl_s: int = 3
    write_wait_s: float = 5.0
    """How long an answer waits for the projection of its own write."""
    kill_point: str = ""
    """Name of the point at which this process kills itself (fault tests)."""


_ENGINE = (
    *("CONTAINERS_CONF", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_STORAGE_CONF", "HOME", "PATH"),
    *("TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
)


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises ValueError naming the variable that does not fit."""
    source = os.environ if environ is None else environ
    values: dict[str, object] = {}
    for name, default in _defaults().items():
        raw = source.get(f"PLAYLOG_{name.upper()}")
        if raw is not None:
            values[name] = _parse(name, raw, default)
    if "node" not in values:
        values["node"] = socket.gethostname()
    if "data" not in values:
        values["data"] = Path(source.get("HOME", ".")) / ".local" / "share" / "playlog"
    return Settings(**values)  # type: ignore[arg-type]  # parsed by each field's type above


def engine_environment() -> dict[str, str]:
    """Return what a container engine needs of this program's environment to find its images."""
    return {name: os.environ[name] for name in _ENGINE if name in os.environ}


def is_set(name: str) -> bool:
    """True when the environment names this setting."""
    return bool(os.environ.get(f"PLAYLOG_{name.upper()}"))


def environment(chosen: Settings) -> dict[str, str]:
    """Return the environment of a child program that is to read these settings; holds no secret."""
    told = {name: value for name, value in os.environ.items() if name != "PLAYLOG_ADMIN_PASSWORD"}
    for name, default in _defaults().items():
        value = getattr(chosen, name)
        variable = f"PLAYLOG_{name.upper()}"
        told.pop(variable, None)
        if value is None or value == default or name == "admin_password":
            continue
        told[variable] = ",".join(value) if isinstance(value, tuple) else str(value)
    return told


def split_login(url: str) -> tuple[str, str, str]:
    """Return an address without its password, and the user and password that stood in it.

    A user without password stays where it is.
    """
    parts = urlsplit(url)
    if parts.password is None:
        return url, "", ""
    user, password = unquote(parts.username or ""), unquote(parts.password)
    login, _, host = parts.netloc.rpartition("@")
    place = f"{login.partition(':')[0]}@{host}"
    return urlunsplit(parts._replace(netloc=place)), user, password


def nats_addresses(urls: str) -> list[str]:
    """Return the addresses of a cluster's servers, or of the one server."""
    return urls.split(",")


def split_nats_login(urls: str) -> tuple[str, str, str]:
    """Return ``split_login`` of a cluster's addresses: the login is the first that has a password.

    Every server of a cluster takes the same.
    """
    split = [split_login(each) for each in nats_addresses(urls)]
    user, password = next(((user, word) for _, user, word in split if word), ("", ""))
    return ",".join(address for address, _, _ in split), user, password


_PATHS = {
    "data",
    "nats_creds_file",
    "nats_signing_file",
    "postgres_password_file",
    "master_key_file",
    "admin_password_file",
    "projects_root",
}


def _defaults() -> dict[str, object]:
    return {info.name: info.default for info in msgspec.structs.fields(Settings)}


def _parse(name: str, raw: str, default: object) -> object:
    try:
        if name in _PATHS:
            return Path(raw)
        if isinstance(default, tuple):
            return tuple(part for part in raw.split(",") if part)
        if isinstance(default, int):
            return int(raw)
        if isinstance(default, float):
            return float(raw)
    except ValueError as error:
        message = f"PLAYLOG_{name.upper()}: {raw!r} is not a number"
        raise ValueError(message) from error
    return raw
