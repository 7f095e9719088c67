"""The embedded network: what CS231n's lecture 6 teaches, in NumPy, small enough to read in one sitting.

Read in this order: data, preprocessing, initializers, layers, losses, network, optimizers, trainer, demo; then faults,
which breaks it on purpose, one fault a rule.
"""
