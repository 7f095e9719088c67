"""A run: what is planned, check after check, within a budget, behind a guard."""
