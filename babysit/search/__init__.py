"""The engine of a search: the space, its trials, where they are kept, and the processes that make them."""
