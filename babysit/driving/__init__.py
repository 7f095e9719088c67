"""All that calls the user's code: the target, the guard about its trainer, its ranks, the bench, the budget."""
