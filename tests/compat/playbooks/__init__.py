"""Playbooks of the tests; see the modules."""
