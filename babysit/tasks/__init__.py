"""What scores mean: the tasks, their losses and metrics, and what knowing nothing costs."""
