"""Faults on whole deployments under load, and the proof that nothing was lost, twice or stuck."""
