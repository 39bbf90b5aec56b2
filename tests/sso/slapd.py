"""A private slapd: its own configuration and data, free ports, the current user."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from ldap3.core.exceptions import LDAPException

from ops import clock
from tests.servers import free_port
from tests.waiting import soon

BASE = "dc=example,dc=com"
SERVICE = f"cn=reader,{BASE}"
SERVICE_PASSWORD = "service word"
PASSWORD = "directory word"
_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix "{base}"
rootdn "{service}"
rootpw "{service_password}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""
_PERSON = """
dn: uid={uid},ou=people,{base}
objectClass: inetOrgPerson
objectClass: posixAccount
uid: {uid}
cn: {first} {last}
givenName: {first}
sn: {last}
mail: {uid}@example.com
uidNumber: {number}
gidNumber: {group}
homeDirectory: /home/{uid}
userPassword: {password}
"""
_GROUP = """
dn: cn={name},ou=groups,{base}
objectClass: groupOfNames
cn: {name}
"""


class Slapd:
    """A directory with people ``ann``, ``bob`` and ``cy`` and a few groups."""

    def __init__(self, directory: Path) -> None:
        """Keep everything below ``directory``."""
        self._directory = directory
        self._port, self._tls_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address without TLS; it takes StartTLS."""
        return f"ldap://localhost:{self._port}"

    @property
    def tls_uri(self) -> str:
        """Its address with TLS, under a certificate that nobody has signed."""
        return f"ldaps://localhost:{self._tls_port}"

    async def start(self) -> None:
        """Load the data, start it and wait until it answers."""
        (self._directory / "data").mkdir(parents=True)
        certificate, key = self_signed("localhost")
        (self._directory / "cert.pem").write_bytes(certificate)
        (self._directory / "key.pem").write_bytes(key)
        conf = self._directory / "slapd.conf"
        conf.write_text(
            _CONF.format(
                directory=self._directory,
                base=BASE,
                service=SERVICE,
                service_password=SERVICE_PASSWORD,
            )
        )
        ldif = self._directory / "data.ldif"
        ldif.write_text(_data())
        command = ["/usr/sbin/slapadd", "-q", "-f", str(conf), "-l", str(ldif)]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        listen = f"ldap://127.0.0.1:{self._port}/ ldaps://127.0.0.1:{self._tls_port}/"
        self._process = subprocess.Popen(
            ["/usr/sbin/slapd", "-f", str(conf), "-h", listen, "-d", "0"],
            stderr=subprocess.DEVNULL,
        )
        await soon(self._answers)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def modify(self, dn: str, attribute: str, values: list[str]) -> None:
        """Give an entry these values."""
        server = ldap3.Server(self.uri, get_info=ldap3.NONE)
        connection: Any = ldap3.Connection(server, SERVICE, SERVICE_PASSWORD, auto_bind=True)
        change = {attribute: [(ldap3.MODIFY_REPLACE, values)]}
        assert connection.modify(dn, change), connection.result
        connection.unbind()

    def _answers(self) -> bool:
        server = ldap3.Server(self.uri, get_info=ldap3.NONE)
        try:
            return bool(ldap3.Connection(server, SERVICE, SERVICE_PASSWORD).bind())
        except LDAPException:
            return False


def self_signed(name: str) -> tuple[bytes, bytes]:
    """Return a certificate and its key (PEM)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - timedelta(days=1))
        .not_valid_after(clock.now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, pkcs8, plain),
    )


def person(uid: str) -> str:
    """Return somebody's distinguished name."""
    return f"uid={uid},ou=people,{BASE}"


def group(name: str) -> str:
    """Return a group's distinguished name."""
    return f"cn={name},ou=groups,{BASE}"


def _data() -> str:
    people = (("ann", "Ann", "Ash"), ("bob", "Bob", "Birch"), ("cy", "Cy", "Cedar"))
    groups = {
        "ops": [person("ann")],
        "staff": [group("ops"), person("bob")],
        "out": [person("cy")],
    }
    parts = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n",
        *(f"dn: ou={ou},{BASE}\nobjectClass: organizationalUnit\n" for ou in ("people", "groups")),
    ]
    for number, (uid, first, last) in enumerate(people):
        parts.append(
            _PERSON.format(
                uid=uid,
                first=first,
                last=last,
                number=1000 + number,
                group=500 + number,
                base=BASE,
                password=PASSWORD,
            )
        )
    for name, members in groups.items():
        lines = "".join(f"member: {member}\n" for member in members)
        parts.append(_GROUP.format(name=name, base=BASE) + lines)
    posix = f"dn: {group('px')}\nobjectClass: posixGroup\ncn: px\ngidNumber: 700\nmemberUid: ann\n"
    primary = f"dn: {group('first')}\nobjectClass: posixGroup\ncn: first\ngidNumber: 501\n"
    return "\n".join([*parts, posix, primary])
