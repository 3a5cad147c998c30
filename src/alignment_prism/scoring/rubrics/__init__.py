"""The rubrics that ship, as YAML files: what a judge is told, under a name and a version."""
