"""Secrets at rest: a data key per object in KEYS, wrapped by the deployment's labelled master key.

AES-256-GCM throughout. Purging an object's data key erases its secrets from history.
"""

from __future__ import annotations

import base64
import os
from collections import OrderedDict
from pathlib import Path

import msgspec
import nats.errors
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from controlplane.domain.errors import Unavailable
from ops import direct, ids
from schemas import subjects
from schemas.streams import KEYS

NONCE_BYTES = 12
KEY_BYTES = 32
CACHED_KEYS = 1000


class Wrapped(Struct, frozen=True, kw_only=True):
    """A KEYS message: which master key wraps the data key, and the wrapped key (base64)."""

    master: str
    key: str


class MasterKey:
    """The labelled key that wraps data keys; kept in a 0600 file outside the log."""

    def __init__(self, label: str, secret: bytes) -> None:
        """Use 32 secret bytes under a label."""
        self.label = label
        self._cipher = AESGCM(secret)

    @classmethod
    def load_or_create(cls, path: Path) -> MasterKey:
        """Return the key of a file ``<label> <base64>``, made on first use."""
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = f"master-1 {base64.b64encode(ids.random_bytes(KEY_BYTES)).decode()}\n"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
        label, encoded = path.read_text().split()
        return cls(label, base64.b64decode(encoded))

    def wrap(self, key: bytes, name: str) -> Wrapped:
        """Wrap a data key for the object ``name``."""
        nonce = ids.random_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, key, name.encode())
        return Wrapped(master=self.label, key=base64.b64encode(sealed).decode())

    def unwrap(self, wrapped: Wrapped, name: str) -> bytes:
        """Return a data key; raises ValueError when this master key did not wrap it."""
        if wrapped.master != self.label:
            raise ValueError(f"the data key of {name} is wrapped by {wrapped.master}")
        raw = base64.b64decode(wrapped.key)
        try:
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise ValueError(f"the master key does not open the data key of {name}") from error


class Vault:
    """Seals and opens secret fields of objects."""

    def __init__(self, connection: Client, master: MasterKey) -> None:
        """Keep data keys over ``connection``, wrapped by ``master``."""
        self._connection = connection
        self._master = master
        self._cached: OrderedDict[str, AESGCM] = OrderedDict()

    async def seal(self, kind: str, object_id: int, plaintext: str) -> str:
        """Return a secret sealed for an object (base64); makes its data key on first use."""
        name = subjects.key(kind, object_id)
        cipher = await self._cipher(name, create=True)
        nonce = ids.random_bytes(NONCE_BYTES)
        sealed = cipher.encrypt(nonce, plaintext.encode(), name.encode())
        return base64.b64encode(nonce + sealed).decode()

    async def open(self, kind: str, object_id: int, sealed: str) -> str:
        """Return the plaintext; raises KeyError when the object's key was erased.

        ValueError else.
        """
        name = subjects.key(kind, object_id)
        cipher = await self._cipher(name, create=False)
        raw = base64.b64decode(sealed)
        try:
            plain = cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise ValueError(f"{name} does not open this secret") from error
        return plain.decode()

    async def erase(self, kind: str, object_id: int) -> None:
        """Purge an object's data key: its secrets are gone from history too."""
        name = subjects.key(kind, object_id)
        self._cached.pop(name, None)
        try:
            await self._connection.request(
                f"$JS.API.STREAM.PURGE.{KEYS.name}",
                msgspec.json.encode({"filter": name}),
                timeout=direct.TIMEOUT_S,
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("The key store is not available.") from error

    async def _cipher(self, name: str, *, create: bool) -> AESGCM:
        cached = self._cached.get(name)
        if cached is not None:
            return cached
        try:
            key = await self._load(name)
        except NotFoundError:
            if not create:
                raise KeyError(name) from None
            key = await self._create(name)
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The key store is not available.") from error
        cipher = AESGCM(key)
        self._cached[name] = cipher
        if len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return cipher

    async def _load(self, name: str) -> bytes:
        message = await direct.last_by_leader(self._connection, KEYS.name, name)
        wrapped = msgspec.json.decode(message.data, type=Wrapped)
        return self._master.unwrap(wrapped, name)

    async def _create(self, name: str) -> bytes:
        """Store a new data key, or take the one that another writer stored first."""
        key = ids.random_bytes(KEY_BYTES)
        body = msgspec.json.encode(self._master.wrap(key, name))
        context = self._connection.jetstream(timeout=direct.TIMEOUT_S)
        headers = {"Nats-Expected-Last-Subject-Sequence": "0"}
        try:
            await context.publish(name, body, headers=headers)
        except APIError:
            return await self._load(name)
        except (nats.errors.Error, JetStreamError, TimeoutError) as error:
            raise Unavailable("The key store is not available.") from error
        return key
