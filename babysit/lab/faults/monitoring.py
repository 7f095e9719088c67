"""The demo broken on purpose: faults of what only a longer run shows."""
