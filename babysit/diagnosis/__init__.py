"""One pass over all that a run found: excuses heard, causes ahead of what they bring about."""
