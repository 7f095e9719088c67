"""The demo broken on purpose: faults of batch normalization."""
