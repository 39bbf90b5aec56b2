"""A web server of files, and one that answers as a Galaxy server does."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from msgspec import Struct, field


class Web(Struct):
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    login: str = ""
    """``user:password`` or ``Token x``; empty lets everybody in."""
    asked: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    """Path to where it is now."""
    seen: list[str] = field(default_factory=list)
    """The logins that came."""
    answers: threading.Event | None = None
    """Nobody is answered before it is set."""


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    """Serve until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.web.asked.append(self.path)
        self.web.seen.append(self.headers.get("Authorization", ""))
        if self.web.answers is not None:
            self.web.answers.wait()
        if path in self.web.moved:
            self._answer(302, b"", {"Location": self.web.moved[path]})
        elif wanted(self.web) not in ("", self.headers.get("Authorization")):
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        elif path not in self.web.files:
            self._answer(404, b'{"errors": []}', {})
        else:
            self._file(self.web.files[path])

    def _file(self, content: bytes) -> None:
        mark = f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-None-Match") == mark:
            self._answer(304, b"", {})
        else:
            self._answer(200, content, {"ETag": mark})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's
        """Say nothing."""


def wanted(web: Web) -> str:
    """Return the header that lets somebody in; empty where everybody is."""
    if ":" not in web.login:
        return web.login
    return f"Basic {base64.b64encode(web.login.encode()).decode()}"


def collection(namespace: str, name: str, version: str = "1.0.0") -> bytes:
    """Return a collection's archive: a role ``greet`` and what a collection must have."""
    role = b"- debug:\n    msg: hello from the collection\n"
    files = {"roles/greet/tasks/main.yml": role, "README.md": b"x\n"}
    listed = [
        {"name": ".", "ftype": "dir", "chksum_type": None, "chksum_sha256": None, "format": 1},
        *(_listed(path, content) for path, content in files.items()),
    ]
    told = json.dumps({"files": listed, "format": 1}).encode()
    info: dict[str, object] = {
        "namespace": namespace,
        "name": name,
        "version": version,
        "authors": ["a"],
        "readme": "README.md",
        "tags": [],
        "description": "",
        "license": ["MIT"],
        "license_file": None,
        "dependencies": {},
        "repository": "",
        "documentation": "",
        "homepage": "",
        "issues": "",
    }
    manifest = {
        "collection_info": info,
        "file_manifest_file": {
            **_listed("FILES.json", told),
        },
        "format": 1,
    }
    return tar_gz({"MANIFEST.json": json.dumps(manifest).encode(), "FILES.json": told, **files})


def _listed(path: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {
        "name": path,
        "ftype": "file",
        "chksum_type": "sha256",
        "chksum_sha256": digest,
        "format": 1,
    }


def galaxy_api(web: Web, namespace: str, name: str, version: str = "1.0.0") -> None:
    """Offer one collection as Galaxy's API, version 3, does."""
    artifact = collection(namespace, name, version)
    base = f"/api/v3/collections/{namespace}/{name}/"
    file = f"/download/{namespace}-{name}-{version}.tar.gz"
    one = {
        "version": version,
        "href": f"{base}versions/{version}/",
        "namespace": {"name": namespace},
        "collection": {"name": name},
        "name": name,
        "artifact": {
            "filename": file.rpartition("/")[2],
            "sha256": hashlib.sha256(artifact).hexdigest(),
            "size": len(artifact),
        },
        "download_url": f"{web.url}{file}",
        "signatures": [],
        "metadata": {"dependencies": {}},
    }
    answers: dict[str, object] = {
        "/api/": {"available_versions": {"v3": "v3/"}},
        base: {"href": base, "namespace": namespace, "name": name},
        f"{base}versions/": {"meta": {"count": 1}, "links": {"next": None}, "data": [one]},
        f"{base}versions/{version}/": one,
    }
    web.files |= {path: json.dumps(answer).encode() for path, answer in answers.items()}
    web.files[file] = artifact


def tar_gz(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """Return a compressed tar archive."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()
