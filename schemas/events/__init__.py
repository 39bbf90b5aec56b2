"""Stored domain facts with literal, append-only tags."""
