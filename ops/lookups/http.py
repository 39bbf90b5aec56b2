"""Requests to secret stores: bounded, never redirected, and silent about what they carry.

Whatever goes wrong becomes a sentence of ours: answers of a server and errors of libraries may
repeat a token.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

TIMEOUT_S = 30.0
BYTES_MAX = 1 << 20
NOTHING: Mapping[int, str] = {}
_SUCCESS = range(200, 300)
_REDIRECTS = range(300, 400)
_REFUSED = "refused the request"

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, and some carry secrets

Transport = httpx.AsyncBaseTransport


class LookupFailed(Exception):
    """A secret could not be looked up; the text says why and holds no secret."""


class Answer:
    """A successful answer of a secret store."""

    def __init__(self, body: bytes, place: str) -> None:
        """``place`` names the server in what is said about its answer."""
        self.body = body
        self._place = place

    def get(self, *path: str | int) -> Any:
        """Return a value of the JSON answer. Raises LookupFailed when it is not there."""
        try:
            found = json.loads(self.body)
            for each in path:
                found = found[each]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = f"{self._place} answered without {_joined(path)}"
            raise LookupFailed(text) from None
        return found

    def text(self, *path: str | int) -> str:
        """Return a text of the JSON answer. Raises LookupFailed when it is none."""
        found = self.get(*path)
        if not isinstance(found, str):
            raise LookupFailed(f"{self._place} answered {_joined(path)} that is no text")
        return found


class Server:
    """One secret store behind one URL."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        """Take the URL of its root; a path in it is kept."""
        self._root = _root(url)
        self.place = _place(self._root)
        self._client = client

    async def ask(
        self, method: str, path: str, means: Mapping[int, str] = NOTHING, **request: Any
    ) -> Answer:
        """Send a request; ``means`` says what statuses mean. Raises LookupFailed."""
        return self.checked(await self.send(method, path, **request), means)

    def checked(self, got: tuple[int, bytes], means: Mapping[int, str] = NOTHING) -> Answer:
        """Return an answer that says success. Raises LookupFailed."""
        status, body = got
        if status in _REDIRECTS:
            raise LookupFailed(f"{self.place} redirects elsewhere, which is not followed")
        if status not in _SUCCESS:
            known = means.get(status) or (_REFUSED if status in {401, 403} else "")
            said = f"{known} (HTTP {status})" if known else f"answered HTTP {status}"
            raise LookupFailed(f"{self.place} {said}")
        return Answer(body, self.place)

    async def send(self, method: str, path: str, **request: Any) -> tuple[int, bytes]:
        """Send a request; return status and body whatever they say. Raises LookupFailed."""
        try:
            url = f"{self._root}/{path}" if path else self._root
            async with self._client.stream(method, url, **request) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > BYTES_MAX:
                        raise LookupFailed(f"{self.place} answered more than {BYTES_MAX} bytes")
                return response.status_code, bytes(body)
        except httpx.TimeoutException:
            raise LookupFailed(f"{self.place} did not answer in time") from None
        except httpx.ConnectError as error:
            raise LookupFailed(f"{self.place} cannot be reached: {_reason(error)}") from None
        except httpx.TransportError as error:
            text = f"the exchange with {self.place} failed ({type(error).__name__})"
            raise LookupFailed(text) from None
        except (httpx.InvalidURL, httpx.DecodingError, ValueError, TypeError) as error:
            # among them values that fit into no header: their texts repeat them
            text = f"{self.place} cannot be asked with these values ({type(error).__name__})"
            raise LookupFailed(text) from None


def client(transport: Transport | None, verify: ssl.SSLContext | bool = True) -> httpx.AsyncClient:  # noqa: FBT001, FBT002 - httpx's own parameter
    """Return a client that follows nothing and waits for nothing longer than the limit."""
    return httpx.AsyncClient(
        transport=transport, verify=verify, follow_redirects=False, timeout=TIMEOUT_S
    )


def trusting(cacert: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Return TLS settings that trust one authority, or the system's, and may show a certificate.

    Raises LookupFailed when a certificate or a key cannot be read.
    """
    try:
        if cacert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=cacert)
        else:
            context = httpx.create_ssl_context()
    except (ssl.SSLError, ValueError, TypeError):
        raise LookupFailed("its CA certificate cannot be read") from None
    if certificate:
        show(context, certificate, key)
    return context


def show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Show a client certificate to the server. Raises LookupFailed when it cannot be read."""
    try:
        with _file_in_memory(f"{certificate.strip()}\n{key.strip()}\n") as path:
            context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, OSError, ValueError):
        raise LookupFailed("its client certificate or key cannot be read") from None


def _no_password() -> str:
    """Keep OpenSSL from asking for one at a terminal."""
    return ""


@contextmanager
def _file_in_memory(text: str) -> Iterator[str]:
    """Yield the path of a file that lives in memory: OpenSSL takes keys from files alone."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _root(url: str) -> str:
    """Return a URL without user, query and fragment. Raises LookupFailed when it is none."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"http", "https"}:
        raise LookupFailed("its URL is not usable: it must begin with https:// and name a host")
    where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return f"{parts.scheme}://{where}{parts.path}".rstrip("/")


def _place(root: str) -> str:
    return f"{urlsplit(root).scheme}://{urlsplit(root).netloc}"


def _reason(error: Exception) -> str:
    """Return what stopped a connection, as the system or TLS says it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'no reason given'})"
        if isinstance(cause, OSError) and cause.strerror:
            number = cause.errno or 0  # below 0 it is of name resolution
            return os.strerror(number) if number > 0 else cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _joined(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path)) or "JSON"


def text_of(values: Mapping[str, Any], name: str, default: str = "") -> str:
    """Return a value as text, the default where it is missing or empty."""
    value = values.get(name)
    return default if value in (None, "") else str(value)
