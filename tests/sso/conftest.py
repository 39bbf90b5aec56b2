"""The API of a module, and the providers outside that its users come from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.conftest import stack
from tests.sso.slapd import Slapd

__all__ = ["stack"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory_server() -> AsyncIterator[Slapd]:
    """A private slapd."""
    directory = Path(tempfile.mkdtemp(prefix="pl-"))
    server = Slapd(directory)
    await server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
