"""Annotation: native speakers label replies and write prompts in a browser, and what they say flows into our files."""

from alignment_prism.domain import InputError

try:
    from alignment_prism.annotation.database import Database, create_database, open_database
    from alignment_prism.annotation.people import Person, Role, invite
    from alignment_prism.annotation.projects import Kind, Project, create_project
except ModuleNotFoundError as error:  # of the extra, which `alignment-prism` alone does not bring
    raise InputError(f"annotation needs {error.name}, which is not installed",
                     fix="pip install 'alignment-prism[annotate]'") from error  # fmt: skip

__all__ = [
    "Database",
    "Kind",
    "Person",
    "Project",
    "Role",
    "create_database",
    "create_project",
    "invite",
    "open_database",
]
