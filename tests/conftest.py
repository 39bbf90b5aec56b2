"""Fixtures for every test, and what is said of tiers whose program is absent."""

from __future__ import annotations

from tests.servers import directory, nats_server, nats_url, postgres_dsn, postgres_server

__all__ = ["directory", "nats_server", "nats_url", "postgres_dsn", "postgres_server"]
