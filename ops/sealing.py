"""Sealed boxes: anybody seals to a public key, only its holder opens (X25519, HKDF-SHA256.

AES-256-GCM).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32
_NONCE = bytes(12)
"""The key of each box is used once, so its nonce may be constant."""


class SealingKey:
    """A private key that boxes are sealed to."""

    def __init__(self, secret: bytes) -> None:
        """Use 32 secret bytes."""
        self._private = X25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def load_or_create(cls, path: Path) -> SealingKey:
        """Return the key of a 0600 file, made on first use."""
        try:
            return cls(path.read_bytes())
        except FileNotFoundError:
            secret = X25519PrivateKey.generate().private_bytes_raw()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)  # whole or not at all: half a key would stop every later start
        return cls(secret)

    @property
    def public(self) -> str:
        """The public half, base64."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def unseal(self, sealed: str) -> bytes:
        """Return what was sealed to this key (base64); raises ValueError for anything else."""
        raw = base64.b64decode(sealed, validate=True)
        if len(raw) <= _KEY_BYTES:
            raise ValueError("not a sealed box")
        sender, body = raw[:_KEY_BYTES], raw[_KEY_BYTES:]
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
        public = self._private.public_key().public_bytes_raw()
        try:
            return AESGCM(_derive(shared, sender, public)).decrypt(_NONCE, body, sender)
        except InvalidTag as error:
            raise ValueError("sealed to another key, or altered") from error


def seal_to(public: str, content: bytes) -> str:
    """Return ``content`` sealed to a public key (base64); raises ValueError when it is no key."""
    receiver = base64.b64decode(public, validate=True)
    key = X25519PublicKey.from_public_bytes(receiver)
    own = X25519PrivateKey.generate()
    sender = own.public_key().public_bytes_raw()
    secret = _derive(own.exchange(key), sender, receiver)
    return base64.b64encode(sender + AESGCM(secret).encrypt(_NONCE, content, sender)).decode()


def _derive(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    kdf = HKDF(
        algorithm=hashes.SHA256(),
        length=_KEY_BYTES,
        salt=sender + receiver,
        info=b"playlog sealed box v1",
    )
    return kdf.derive(shared)
