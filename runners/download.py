"""A program of its own: fetches one URL into a file, so that whoever waits can end it.

Reads what to do as JSON from standard input, for a password may be in it; prints what came of it as
JSON. The standard library alone: it is started without our environment.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

_PIECE = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the web alone, and takes the login along only where it is for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request of the new place."""
        if urlsplit(newurl).scheme not in {"http", "https"}:
            raise urllib.error.HTTPError(newurl, code, "redirected elsewhere", headers, fp)
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        login = req.unredirected_hdrs.get("Authorization")
        same = urlsplit(req.full_url)[:2] == urlsplit(newurl)[:2]
        if found is not None and login and same:
            found.add_unredirected_header("Authorization", login)
        return found


def fetch(asked: dict[str, Any]) -> dict[str, Any]:
    """Fetch what is asked for; returns ``error`` or what was found.

    Raises OSError when the disk is full: what is said of that is the same for every program.
    """
    request = urllib.request.Request(asked["url"], headers={"User-Agent": "playlog"})  # noqa: S310 - http alone, checked by who asks
    if asked["username"] or asked["password"]:
        login = base64.b64encode(f"{asked['username']}:{asked['password']}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    if asked["etag"]:
        request.add_header("If-None-Match", asked["etag"])
    opener = urllib.request.build_opener(_SameOrigin)
    try:
        with opener.open(request, timeout=asked["timeout_s"]) as answer:
            return _store(answer, Path(asked["target"]), asked["bytes_max"])
    except urllib.error.HTTPError as error:
        if error.code == http.client.NOT_MODIFIED:
            return {"unchanged": True}
        return {"error": "status", "status": error.code, "reason": str(error.reason)}
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        reason = getattr(error, "reason", error)
        return {"error": "unreachable", "reason": str(reason) or type(reason).__name__}


def _store(answer: Any, target: Path, bytes_max: int) -> dict[str, Any]:
    used, sha1 = 0, hashlib.sha1()  # noqa: S324 - the revision that AWX names an archive by
    with target.open("wb") as file:
        while piece := answer.read(_PIECE):
            used += len(piece)
            if used > bytes_max:
                return {"error": "too large"}
            sha1.update(piece)
            file.write(piece)
    wanted = answer.headers.get("Content-Length")
    if wanted is not None and wanted.isdigit() and int(wanted) != used:
        return {"error": "unreachable", "reason": f"{used} of {wanted} bytes came"}
    return {"sha1": sha1.hexdigest(), "etag": answer.headers.get("ETag") or ""}


if __name__ == "__main__":
    print(json.dumps(fetch(json.load(sys.stdin))))
