"""The demo broken on purpose: faults of the backward pass."""
