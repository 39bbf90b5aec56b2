"""Suites that a port and its twin both pass."""
