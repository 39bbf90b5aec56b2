"""A whole deployment, as `playlog up` runs it, used by real clients."""
