"""SSH certificates: signed public keys, and how long they are good for (pure)."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

_FOREVER = (1 << 64) - 1


def ended(certificate: str, now: datetime) -> datetime | None:
    """Return when a certificate expired; None while it is good, or is none that can be read."""
    if not certificate:
        return None
    try:
        found = load_ssh_public_identity(certificate.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None  # ssh says what is wrong with it
    if not isinstance(found, SSHCertificate) or found.valid_before == _FOREVER:
        return None
    if found.valid_before > now.timestamp():
        return None
    return datetime.fromtimestamp(found.valid_before, UTC)
