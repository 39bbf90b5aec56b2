"""Recorded histories, folded and projected by today's code: never edited, only added to."""
