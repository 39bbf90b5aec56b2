"""The control plane: API and processes."""
