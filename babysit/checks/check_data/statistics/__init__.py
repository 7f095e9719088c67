"""What is accumulated of a split, batch by batch."""
