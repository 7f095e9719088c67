"""A module for each way to reduce a batch: plain on any array library, and faster ones that are held equal to it."""
