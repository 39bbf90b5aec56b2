"""NATS users by JWT: the deployment's operator, account and signing key.

And the users minted from it.

Keys and tokens follow NATS's nkeys and JWT v2 formats (Ed25519, base32 with CRC-16), made with
``cryptography`` alone. A user may do what its token says and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from ops import clock, ids, nats_grants
from schemas.subjects import Attempt

_PREFIX = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_SEED = 18 << 3
_UNLIMITED = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}
_JETSTREAM = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


class Creds(Struct, frozen=True, kw_only=True):
    """What one NATS user logs in with: token and seed, or name and password."""

    jwt: str = ""
    seed: str = ""
    user: str = ""
    password: str = ""


class Stored(Struct, frozen=True, kw_only=True):
    """The identity file: seeds of the deployment's keys."""

    operator: str
    system: str
    account: str


class Key:
    """An nkey pair of one kind."""

    def __init__(self, kind: str, secret: bytes) -> None:
        """Use 32 secret bytes as the pair's seed."""
        self._kind = kind
        self._secret = secret
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        public = self._private.public_key().public_bytes_raw()
        self.public = _encode(bytes([_PREFIX[kind]]) + public)

    @classmethod
    def new(cls, kind: str) -> Key:
        """Return a fresh pair."""
        return cls(kind, ids.random_bytes(32))

    def derived(self, kind: str, purpose: bytes) -> Key:
        """Return another pair that follows from this one's secret."""
        return Key(kind, hmac.new(self._secret, purpose, hashlib.sha256).digest())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``."""
        return self._private.sign(data)

    @property
    def seed(self) -> str:
        """The pair as an nkey seed; a secret."""
        prefix = _PREFIX[self._kind]
        head = bytes([_SEED | (prefix >> 5), (prefix & 31) << 3])
        return _encode(head + self._secret)


def signing_key(seed: str) -> Key:
    """Return the pair of a seed; raises ValueError when it is none."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    body, check = raw[:-2], raw[-2:]
    if _crc16(body).to_bytes(2, "little") != check:
        raise ValueError("not an nkey seed")
    prefix = (body[0] & 7) << 5 | body[1] >> 3
    kind = next((name for name, value in _PREFIX.items() if value == prefix), None)
    if kind is None:
        raise ValueError("not an nkey seed of a known kind")
    return Key(kind, body[2:])


class Identity:
    """The deployment's keys: renders the server's authorization and mints users."""

    def __init__(self, stored: Stored) -> None:
        """Use the keys of an identity file."""
        self._operator = signing_key(stored.operator)
        self._system = signing_key(stored.system)
        self._account = signing_key(stored.account)
        self._field = self._account.derived("account", b"playlog field")

    def auth_conf(self, directory: Path) -> str:
        """Return the server's authorization section; ``directory`` keeps account tokens."""
        operator = _token(
            self._operator,
            self._operator.public,
            "playlog",
            {
                "type": "operator",
                "version": 2,
                "system_account": self._system.public,
            },
        )
        to_field = nats_grants.log_account(self._field.public)
        to_log = nats_grants.field_account(self._account.public)
        system = self._account_token(self._system, "SYS", {}, jetstream=False)
        account = self._account_token(self._account, "PLAYLOG", to_field, jetstream=True)
        field = self._account_token(self._field, "FIELD", to_log, jetstream=False)
        return (
            f"operator: {operator}\n"
            f"system_account: {self._system.public}\n"
            f'resolver: {{ type: full, dir: "{directory}", allow_delete: false }}\n'
            "resolver_preload: {\n"
            f"  {self._system.public}: {system}\n"
            f"  {self._account.public}: {account}\n"
            f"  {self._field.public}: {field}\n"
            "}\n"
        )

    def control_user(self) -> Creds:
        """Return a user of the control plane: everything in the account."""
        return self._user(self._account, "control", {}, {})

    def system_user(self) -> Creds:
        """Return a user of the system account: pushes revocations."""
        key = Key.new("user")
        token = _token(self._system, key.public, "system", _user_claims({}, {}))
        return Creds(jwt=token, seed=key.seed)

    def runner_user(self, runner: str, groups: Sequence[str]) -> Creds:
        """Return a runner's user: its groups' work, its own requests, presence and content."""
        return self._user(
            self._field,
            runner,
            {"allow": nats_grants.runner_publishes(runner, groups)},
            {"allow": nats_grants.runner_hears(runner)},
            responses=nats_grants.REPLIES,
        )

    def job_user(self, attempt: Attempt, expires: datetime) -> Creds:
        """Return the user of one attempt: it may write its two subjects and nothing else."""
        ident = f"{attempt.job}-{attempt.attempt}"
        return self._user(
            self._field,
            ident,
            {"allow": nats_grants.attempt_publishes(attempt)},
            {"allow": [f"{nats_grants.inbox_prefix(ident)}.>"]},
            expires,
        )

    def viewer_user(self, allowed: Sequence[str], expires: datetime) -> Creds:
        """Return a viewer's user: it may listen to these subjects and publish nothing."""
        return self._user(
            self._account, "viewer", {"deny": [">"]}, {"allow": list(allowed)}, expires
        )

    @staticmethod
    def _user(
        account: Key,
        name: str,
        publish: dict[str, Any],
        receive: dict[str, Any],
        expires: datetime | None = None,
        responses: dict[str, Any] | None = None,
    ) -> Creds:
        key = Key.new("user")
        claims = _user_claims(publish, receive)
        if responses is not None:
            claims["resp"] = responses
        return Creds(jwt=_token(account, key.public, name, claims, expires), seed=key.seed)

    def _account_token(
        self, account: Key, name: str, shared: dict[str, Any], *, jetstream: bool
    ) -> str:
        limits = {**_UNLIMITED, **(_JETSTREAM if jetstream else {})}
        claims = {
            "type": "account",
            "version": 2,
            "limits": limits,
            "default_permissions": {"pub": {}, "sub": {}},
            **shared,
        }
        return _token(self._operator, account.public, name, claims)


def load(path: Path) -> Identity:
    """Return the identity of a file; raises FileNotFoundError."""
    return Identity(msgspec.json.decode(path.read_bytes(), type=Stored))


def load_or_create(path: Path) -> Identity:
    """Return the identity of a file (0600), made on first use."""
    if not path.exists():
        stored = Stored(
            operator=Key.new("operator").seed,
            system=Key.new("account").seed,
            account=Key.new("account").seed,
        )
        _write_private(path, msgspec.json.encode(stored))
    return load(path)


def write_creds(path: Path, creds: Creds) -> None:
    """Write a user's credentials to a 0600 file."""
    _write_private(path, msgspec.json.encode(creds))


def read_creds(path: Path) -> Creds:
    """Return the credentials of a file; raises FileNotFoundError."""
    return msgspec.json.decode(path.read_bytes(), type=Creds)


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)


def _user_claims(publish: dict[str, Any], receive: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "user",
        "version": 2,
        "pub": publish,
        "sub": receive,
        "subs": -1,
        "data": -1,
        "payload": -1,
    }


def _token(
    issuer: Key,
    subject: str,
    name: str,
    claims: dict[str, Any],
    expires: datetime | None = None,
) -> str:
    now = int(clock.now().timestamp())
    body: dict[str, Any] = {
        "iat": now,
        "iss": issuer.public,
        "sub": subject,
        "name": name,
        "nats": claims,
    }
    if expires is not None:
        body["exp"] = int(expires.timestamp())
    digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _b64(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    signed = f"{head}.{_b64(msgspec.json.encode(body))}"
    return f"{signed}.{_b64(issuer.sign(signed.encode()))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _encode(data: bytes) -> str:
    return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).decode().rstrip("=")


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021) & 0xFFFF if value & 0x8000 else value << 1 & 0xFFFF
    return value
