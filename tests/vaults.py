"""A server that speaks HashiCorp Vault's documented HTTP API over TLS, with its own authority."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
)
from cryptography.x509.oid import NameOID

TOKEN = "hvs.good-token-81"
EXPIRED = "hvs.expired-token-82"
ISSUED = "hvs.issued-token-83"
SECRETS = {"password": "looked-up-w0rd-84", "data": "a key named data", "port": 5432}
OLDER = {"password": "older-w0rd-85"}
LOGINS: dict[str, dict[str, Any]] = {
    "approle": {"role_id": "role", "secret_id": "secret-of-role-86"},
    "userpass": {"password": "of-user-87"},
    "ldap": {"password": "of-directory-88"},
    "kubernetes": {"role": "kube", "jwt": "a.service.account"},
}
NAMESPACE = "team-a"


class Authority:
    """A certificate authority for one test run."""

    def __init__(self) -> None:
        """Make its key and its certificate."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "of the tests")])
        made = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.pem = _pem(made.sign(self._key, hashes.SHA256()))

    def issue(self, name: str) -> tuple[str, str]:
        """Return (certificate, key) for a server on 127.0.0.1, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = self._builder(subject, key.public_key()).add_extension(names, critical=False)
        return _pem(made.sign(self._key, hashes.SHA256())), _key_pem(key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


class VaultServer:
    """A running Vault: its URL, its authority and what it was asked."""

    def __init__(self, directory: Path) -> None:
        """Listen on a port of this machine; files of its certificate go to ``directory``."""
        self.authority = Authority()
        self.ssh_key = ed25519.Ed25519PrivateKey.generate()
        self.asked: list[tuple[str, str]] = []
        certificate, key = self.authority.issue("vault")
        (directory / "vault.pem").write_text(certificate + key)
        (directory / "ca.pem").write_text(self.authority.pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=directory / "ca.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(directory / "vault.pem")
        vault = self

        class Handler(_Handler):
            server_vault = vault

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.patience = threading.Event()
        """Set at the end: a request that is left waiting goes."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def ssh_authority(self) -> str:
        """Return the public key of who signs SSH keys."""
        form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return self.ssh_key.public_key().public_bytes(*form).decode()

    def inputs(self, **values: Any) -> dict[str, Any]:
        """Return the inputs of a credential for this server."""
        return {"url": self.url, "cacert": self.authority.pem, "api_version": "v2", **values}

    def stop(self) -> None:
        """Listen no longer."""
        self.patience.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[VaultServer]:
    """Yield a running server."""
    directory.mkdir(parents=True, exist_ok=True)
    server = VaultServer(directory)
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    server_vault: VaultServer
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        """Print nothing."""

    def do_GET(self) -> None:
        """Read a secret."""
        parts = urlsplit(self.path)
        self._answer("GET", parts.path, parse_qs(parts.query), {})

    def do_POST(self) -> None:
        """Log in, or sign a key."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer("POST", self.path, {}, body)

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> None:
        vault = self.server_vault
        vault.asked.append((method, path))
        place = path.removeprefix("/v1/")
        if place.startswith("auth/"):
            return self._login(place, body)
        if "elsewhere" in place:
            return self._send(307, {}, {"Location": f"{vault.url}/v1/kv/data/app"})
        if "slow" in place:
            vault.patience.wait(60)
        if "endless" in place:
            return self._send(200, {"data": {"data": {"password": "x" * (2 << 20)}}})
        if self.headers.get("X-Vault-Token") not in {TOKEN, ISSUED}:
            return self._send(403, {"errors": [f"bad token {self.headers.get('X-Vault-Token')}"]})
        if "standby" in place and not any("standby" in each[1] for each in vault.asked[:-1]):
            return self._send(412, {"errors": ["required index state not present"]})
        if place.startswith("ssh/sign/"):
            return self._sign(place, body)
        return self._secret(place, query)

    def _login(self, place: str, body: dict[str, Any]) -> None:
        method = place.split("/")[1]
        if method == "cert":
            known = bool(self.connection.getpeercert())
        else:
            known = body == LOGINS.get(method)
        if not known:
            return self._send(400, {"errors": ["invalid credentials"]})
        return self._send(200, {"auth": {"client_token": ISSUED, "lease_duration": 3600}})

    def _secret(self, place: str, query: dict[str, list[str]]) -> None:
        inside = self.headers.get("X-Vault-Namespace") == NAMESPACE
        known = {
            "kv/data/app": SECRETS,
            "kv/data/deep/app": SECRETS,
            "kv/data/standby": SECRETS,
            **({"kv/data/of-team": SECRETS} if inside else {}),
        }
        if place == "secret/app":
            return self._send(200, {"data": SECRETS, "lease_duration": 2764800})
        if place not in known:
            return self._send(404, {"errors": []})
        version = query.get("version", ["3"])[0]
        metadata = {"version": int(version), "deletion_time": "", "destroyed": False}
        if version == "2":
            gone = {**metadata, "deletion_time": "2026-01-01T00:00:00Z"}
            return self._send(404, {"data": {"data": None, "metadata": gone}})
        data = OLDER if version == "1" else known[place]
        return self._send(200, {"data": {"data": data, "metadata": metadata}})

    def _sign(self, place: str, body: dict[str, Any]) -> None:
        if place != "ssh/sign/deploy":
            return self._send(400, {"errors": ["unknown role"]})
        now = int(time.time())
        key = serialization.load_ssh_public_key(body["public_key"].encode())
        assert isinstance(key, ed25519.Ed25519PublicKey)
        ends = now - 60 if "expired" in body.get("valid_principals", "") else now + 3600
        certificate = (
            SSHCertificateBuilder()
            .public_key(key)
            .type(SSHCertificateType.USER)
            .valid_principals([body.get("valid_principals", "root").encode()])
            .key_id(b"vault")
            .serial(7)
            .valid_after(now - 3600)
            .valid_before(ends)
            .add_extension(b"permit-pty", b"")
            .sign(self.server_vault.ssh_key)
        )
        signed = certificate.public_bytes().decode()
        return self._send(200, {"data": {"serial_number": "7", "signed_key": signed}})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
