"""The bodies of the commands, and what each takes."""
