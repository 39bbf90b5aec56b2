"""The API that unmodified clients talk to: in this process, or a whole deployment."""

from __future__ import annotations

from tests.api.conftest import stack
from tests.deployment.conftest import deployment

__all__ = ["deployment", "stack"]
