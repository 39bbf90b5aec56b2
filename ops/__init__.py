"""The shared runtime of the three programs."""
