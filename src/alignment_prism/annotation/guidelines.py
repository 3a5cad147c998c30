"""Guidelines: what annotators are asked to do, with worked examples, in their language, version by version."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from importlib import resources

from sqlalchemy import Connection, bindparam, func, insert, select

from alignment_prism.annotation import audit
from alignment_prism.annotation.database import now
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Kind, Project, lock
from alignment_prism.annotation.schema import guidelines, reads
from alignment_prism.domain import LANGUAGES, InputError

LONGEST = 40_000


@dataclass(frozen=True, slots=True)
class Guideline:
    """One version of a project's guidelines in one language.

    Attributes:
        id: in the database; 0 for the text that ships, of which nothing is kept until somebody reads it.
        language: code.
        version: 1, 2, ...
        text: with headings (`#`), lists (`-`) and paragraphs.
    """

    id: int
    language: str
    version: int
    text: str


def shipped(kind: Kind, language: str) -> str:
    """The guidelines that ship for a kind of project in a language; English where there are none in it."""
    folder = resources.files("alignment_prism.annotation") / "guidelines"
    for code in (language, "en"):
        path = folder / f"{code}.md"
        if path.is_file():
            return _part(path.read_text(encoding="utf-8"), kind)
    raise AssertionError("the English guidelines are in the package")


def _part(text: str, kind: Kind) -> str:
    """The section of a kind: from `<!-- outcome -->` to the next such line."""
    parts = re.split(r"^<!-- (\w+) -->\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[kind.value].strip() + "\n"


def current(connection: Connection, project: Project, language: str) -> Guideline:
    """The latest version of a project's guidelines in a language: the lead's, else those that ship."""
    here = (guidelines.c.project == project.id) & (guidelines.c.language == language)
    row = connection.execute(select(guidelines).where(here).order_by(guidelines.c.version.desc()).limit(1)).first()
    if row is None:
        return Guideline(0, language, 0, shipped(project.kind, language))
    return Guideline(row.id, row.language, row.version, row.text)


def publish(connection: Connection, project: Project, language: str, text: str, by: Person | None) -> Guideline:
    """Add a version; whoever reads this language is asked to read it before they go on. Older ones stay.

    Raises:
        InputError: the language is not known, or the text empty or very long.
    """
    lock(connection, project)
    code = LANGUAGES.find(language).code
    if not 1 <= len(text.strip()) <= LONGEST:
        raise InputError(f"guidelines of {len(text):,} characters", fix=f"write 1 to {LONGEST:,}")
    here = (guidelines.c.project == project.id) & (guidelines.c.language == code)
    version = int(connection.scalar(select(func.max(guidelines.c.version)).where(here)) or 0) + 1
    values = {"project": project.id, "language": code, "version": version, "text": text.strip() + "\n", "at": now()}
    key = connection.execute(
        insert(guidelines).values(**values, person=by.id if by else None).returning(guidelines.c.id)
    ).scalar_one()
    audit.record(connection, by.id if by else None, "wrote guidelines", project.title, language=code, version=version)
    return Guideline(key, code, version, text.strip() + "\n")


def has_read(connection: Connection, project: Project, language: str, person: Person) -> bool:
    """Whether somebody has read the latest version in their language."""
    asked = {"project": project.id, "language": language, "person": person.id}
    row = connection.execute(_LATEST, asked).first()
    return row is not None and row.read is not None


_LATEST = (
    select(guidelines.c.id, reads.c.id.label("read"))
    .join(reads, (reads.c.guideline == guidelines.c.id) & (reads.c.person == bindparam("person")), isouter=True)
    .where(guidelines.c.project == bindparam("project"), guidelines.c.language == bindparam("language"))
    .order_by(guidelines.c.version.desc())
    .limit(1)
)


def note_read(connection: Connection, project: Project, language: str, person: Person) -> None:
    """Keep that somebody has read the latest version; the text that ships becomes version 1 by it."""
    lock(connection, project)  # of two who begin at once one publishes
    latest = current(connection, project, language)
    if not latest.id:
        latest = publish(connection, project, language, latest.text, None)
    if not has_read(connection, project, language, person):
        connection.execute(insert(reads).values(person=person.id, guideline=latest.id, at=now()))


def as_html(text: str) -> str:
    """The text as HTML: `#` and `##` headings, `-` lists, `**bold**`, paragraphs; everything else is a text."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.strip().split("\n")
        if found := re.match(r"(#{1,3}) +(.*)", lines[0]):
            level = len(found[1]) + 1
            blocks.append(f"<h{level}>{_inline(found[2])}</h{level}>")
            lines = lines[1:]
        if lines and all(line.startswith(("- ", "  ")) for line in lines):
            entries = re.split(r"(?:^|\n)- ", "\n".join(lines))[1:]
            blocks.append("<ul>" + "".join(f"<li>{_inline(entry)}</li>" for entry in entries) + "</ul>")
        elif lines:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _inline(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(" ".join(text.split())))
