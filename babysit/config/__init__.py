"""babysit.yaml and the command line, as one configuration."""
