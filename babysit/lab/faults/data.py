"""The demo broken on purpose: faults of the data and their preprocessing."""
