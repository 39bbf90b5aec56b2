"""Choices that several declarations offer."""

from __future__ import annotations

JOB_TYPES = (("run", "Run"), ("check", "Check"))
VERBOSITIES = (
    (0, "0 (Normal)"),
    (1, "1 (Verbose)"),
    (2, "2 (More Verbose)"),
    (3, "3 (Debug)"),
    (4, "4 (Connection Debug)"),
    (5, "5 (WinRM Debug)"),
)
WEBHOOK_SERVICES = (
    ("github", "GitHub"),
    ("gitlab", "GitLab"),
    ("bitbucket_dc", "BitBucket DataCenter"),
)
