"""Read models rebuilt from the log; nothing else writes their tables."""
