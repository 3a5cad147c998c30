"""The tables of an annotation folder. What people say is only ever added to: see `revisions`."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

SCHEMA_VERSION = "1"

metadata = MetaData()
"""All tables; times in them are seconds since 1970, UTC."""


def _table(name: str, *columns: SchemaItem) -> Table:
    """A table whose rows have a number."""
    return Table(name, metadata, Column("id", Integer, primary_key=True), *columns)


def _of(name: str, table: Table) -> Column[int]:
    """A column that says which row of another table one belongs to."""
    return Column(name, ForeignKey(table.c.id), nullable=False)


facts = Table(
    "facts",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
"""What the folder as a whole is: version of the schema, key of the tokens against forged requests."""

people = _table(
    "people",
    Column("name", String(80), nullable=False),
    Column("folded", String(120), nullable=False, unique=True),  # nobody has another's name in other case
    Column("role", String(20), nullable=False),
    Column("languages", JSON, nullable=False),
    Column("password", Text, nullable=False),  # Argon2; empty for people whose labels were imported
    Column("interface", String(10), nullable=False),
    Column("opt_outs", JSON, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("made_at", Double, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("digest", String(64), primary_key=True),  # of the link's token, which is nowhere
    Column("role", String(20), nullable=False),
    Column("languages", JSON, nullable=False),
    Column("note", String(200), nullable=False),
    Column("made_by", ForeignKey("people.id")),
    Column("made_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_by", ForeignKey("people.id")),
    Column("person", ForeignKey("people.id")),  # whose password it sets anew; none for a new account
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    _of("person", people),
    Column("made_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("ended_at", Double),
    Index("sessions_of", "person"),
)

audit = _table(
    "audit",
    Column("at", Double, nullable=False),
    Column("person", ForeignKey("people.id")),
    Column("action", String(40), nullable=False),
    Column("subject", String(120), nullable=False),
    Column("detail", JSON, nullable=False),
)
"""Who did what; never the text of a prompt, a reply or an answer."""

projects = _table(
    "projects",
    Column("token", String(20), nullable=False, unique=True),
    Column("title", String(120), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("overlap", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("design", Text),  # of the sample that its sheets were drawn in
    Column("made_at", Double, nullable=False),
)

items = _table(
    "items",
    _of("project", projects),
    Column("key", String(120), nullable=False),
    Column("position", Integer, nullable=False),
    Column("language", String(20), nullable=False),
    Column("shown", JSON, nullable=False),  # all that a labeller's browser ever gets
    Column("origin", JSON, nullable=False),  # arms, digests, rows: for exports only
    Column("categories", JSON, nullable=False),
    Column("gold", String(40)),
    Column("author", ForeignKey("people.id")),
    Column("done", Integer, nullable=False),
    Column("retired", Boolean, nullable=False),
    UniqueConstraint("project", "key"),
    # All that decides whether somebody may have an item: what is free is found without reading a text.
    Index("items_in_order", "project", "gold", "retired", "position", "language", "done", "author"),
)

assignments = _table(
    "assignments",
    _of("item", items),
    _of("person", people),
    Column("token", String(40), nullable=False, unique=True),
    Column("state", String(10), nullable=False),
    Column("flipped", Boolean, nullable=False),
    Column("leased_until", Double, nullable=False),
    Column("given_at", Double, nullable=False),
    Column("ended_at", Double),
    UniqueConstraint("item", "person"),
    Index("assignments_of", "person", "state"),
    Index("assignments_leased", "state", "leased_until"),
)

revisions = _table(
    "revisions",
    _of("assignment", assignments),
    Column("number", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("content", JSON, nullable=False),
    Column("seconds", Double, nullable=False),
    UniqueConstraint("assignment", "number"),
)
"""Everything that somebody wrote or chose, draft by draft. Rows are added and never changed."""

decisions = _table(
    "decisions",
    _of("item", items),
    _of("person", people),
    Column("at", Double, nullable=False),
    Column("content", JSON, nullable=False),
    Index("decisions_of", "item"),
)
"""What a lead settled where annotators differ; the last one counts."""

guidelines = _table(
    "guidelines",
    _of("project", projects),
    Column("language", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("person", ForeignKey("people.id")),
    Column("at", Double, nullable=False),
    UniqueConstraint("project", "language", "version"),
)

reads = _table(
    "reads",
    _of("person", people),
    _of("guideline", guidelines),
    Column("at", Double, nullable=False),
    UniqueConstraint("person", "guideline"),
)

quotas = _table(
    "quotas",
    _of("project", projects),
    Column("language", String(20), nullable=False),
    Column("scope", String(10), nullable=False),
    Column("category", String(120), nullable=False),
    Column("wanted", Integer, nullable=False),
    UniqueConstraint("project", "language", "scope", "category"),
)
