"""The API that unmodified clients talk to."""

from __future__ import annotations

from tests.api.conftest import stack

__all__ = ["stack"]
