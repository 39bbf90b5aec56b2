"""One declaration per AWX resource; no logic beyond pure checks."""
