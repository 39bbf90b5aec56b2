"""The runner agent and what runs one job."""
