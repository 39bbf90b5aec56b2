"""A container registry with one image, for who knows its password: a few routes of its API."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Serves ``<address>/tests/ee:1``; counts how often its manifest was asked for."""

    def __init__(self, root: bytes, path: str, login: tuple[str, str]) -> None:
        """Take the tar of the only layer, the image's PATH, and who may pull."""
        layer = gzip.compress(root, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": [f"PATH={path}"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(root)]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _named(config, _CONFIG),
            "layers": [_named(layer, _LAYER)],
        }
        self.blobs = {_digest(each): each for each in (layer, config)}
        self.manifest = json.dumps(manifest).encode()
        self.auth = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self.pulls = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.image = f"127.0.0.1:{self._server.server_port}/tests/ee:1"
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(registry) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*registry.answer(self.path, self.headers.get("Authorization", "")))

            do_HEAD = do_GET  # noqa: N815 - as http.server wants it

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="tests"')
                if kind == _MANIFEST:
                    self.send_header("Docker-Content-Digest", _digest(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, path: str, auth: str) -> tuple[int, str, bytes]:
        """Return status, content type and body of a request."""
        if auth != self.auth:
            return 401, "application/json", b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if "/manifests/" in path:
            self.pulls += 1
            return 200, _MANIFEST, self.manifest
        blob = self.blobs.get(path.rpartition("/")[2])
        if blob is None:
            return 404, "application/json", b'{"errors": [{"code": "BLOB_UNKNOWN"}]}'
        return 200, "application/octet-stream", blob


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _named(content: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}
