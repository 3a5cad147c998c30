"""A report as one HTML file: self-contained, readable without scripts, light or dark, from findings alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from alignment_prism.domain import LANGUAGES, Contrast, Finding, FindingIndex, InputError, Transfer
from alignment_prism.reports.about import About, facts_of_findings
from alignment_prism.reports.contrasts import contrasts_table
from alignment_prism.reports.sections import Notes, sections
from alignment_prism.reports.transfer import transfer_tables
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.store import package_version


class Requirement(Protocol):
    """A requirement and how an arm met it, as `alignment_prism.nano.thresholds` has them."""

    @property
    def name(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def at_least(self) -> bool: ...
    @property
    def reported_only(self) -> bool: ...
    @property
    def passed(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What one arm replied, and what that was judged to be."""

    arm: str
    text: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with replies to look at; folded away on the page, because it may be harmful."""

    language: str
    label: str
    prompt: str
    replies: tuple[Reply, ...]


def write_report(
    findings: Iterable[Finding],
    out: str | Path,
    *,
    title: str = "",
    preface: Sequence[str] = (),
    thresholds: Sequence[Requirement] = (),
    contrasts: Sequence[Contrast] = (),
    contrast_notes: Sequence[str] = (),
    transfer: Sequence[Transfer] = (),
    examples: Sequence[Example] = (),
    about: About | None = None,
) -> Path:
    """Write the page.

    Args:
        findings: of one study.
        out: the HTML file.
        title: of the page; the study's name where it is empty.
        preface: lines before anything else, such as what the nano lab is and is not.
        thresholds: requirements and how the arms met them.
        contrasts: of arms with each other.
        contrast_notes: what one has to know of them.
        transfer: what arms do in languages and scopes that they were not trained on.
        examples: prompts and replies to look at, folded away.
        about: what the study was (`read_about`, `about_study`); without it the page says what the signatures say.

    Returns:
        The path of the page.

    Raises:
        InputError: there are no findings, or they belong to several studies.
        StoreError: the page cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from alignment_prism.io import write_text

    rows = list(findings)
    studies = sorted({row.study for row in rows})
    if len(studies) != 1:
        what = "there are no findings" if not rows else f"findings of several studies: {', '.join(studies)}"
        raise InputError(what, where=str(out), fix="give the findings of one study")
    index = FindingIndex(rows)
    notes = Notes()
    environment = Environment(
        loader=PackageLoader("alignment_prism.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = [section for section in sections(index, notes) if section.rows]
    page = environment.get_template("page.html.j2").render(
        title=title or studies[0],
        preface=preface,
        version=package_version(),
        sections=tables,
        thresholds=thresholds,
        sheets=[
            *((title, sheet, ()) for title, sheet in transfer_tables(transfer)),
            *([("Contrasts", contrasts_table(contrasts), contrast_notes)] if contrasts else []),
        ],
        examples=examples,
        direction=direction,
        notes=notes.texts,
        metrics={name: find_metric(name) for name in sorted({row.metric for row in rows})},
        count=len(rows),
        facts=about.facts if about is not None else facts_of_findings(rows),
        arms=about.arms if about is not None else (),
        date=datetime.now(UTC).date().isoformat(),
    )
    write_text(out, page)
    return Path(out)


def direction(language: str) -> str:
    """`rtl` for a language written from right to left, `auto` for one we do not know, else `ltr`."""
    if language not in LANGUAGES:
        return "auto"
    return "rtl" if LANGUAGES.find(language).rtl else "ltr"
