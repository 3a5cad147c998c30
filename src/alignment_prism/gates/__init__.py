"""Gates: what a release must keep to, read from a file and decided on findings."""
