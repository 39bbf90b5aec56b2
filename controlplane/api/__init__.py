"""The Litestar API; it decides nothing."""
