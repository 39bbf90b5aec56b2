"""The playlog command."""
