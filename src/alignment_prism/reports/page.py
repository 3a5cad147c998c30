"""A report as one HTML file: self-contained, offline, light or dark; figures first, numbers folded below them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import chain

from alignment_prism.domain import LANGUAGES
from alignment_prism.reports.about import facts_of_findings
from alignment_prism.reports.contrasts import contrasts_table
from alignment_prism.reports.figures import Figure
from alignment_prism.reports.figures.figure import NARROW, WIDE
from alignment_prism.reports.figures.theme import variables
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.published import published_table
from alignment_prism.reports.report import Report
from alignment_prism.reports.samples import BUDGET, Sample, bytes_of, shown
from alignment_prism.reports.sections import Notes, Section, sections
from alignment_prism.reports.transfer import transfer_tables
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.store import package_version

BLOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "frontier": ("Safety against ability", ("frontier",)),
    "change": ("Harm against base", ("change",)),
    "languages": ("Harm by language and scope", ("languages",)),
    "outcomes": ("What the replies are", ("outcomes", "whereabouts")),
    "transfer": ("Transfer and spill-over", ("transfer", "spill_over")),
    "over_refusal": ("Over-refusal", ("over_refusal",)),
    "general": ("General ability and translation", ("general",)),
    "categories": ("Harm by category", ("categories",)),
    "judge": ("The judge: errors, passport, agreement", ("judge", "passport")),
    "power": ("What this study could have seen", ("power",)),
    "training": ("How training went", ("training",)),
    "more": ("Further measures", ()),
}
"""Parts of the page in reading order -> title and figures."""


LARGEST = 6_000_000
"""Bytes that a page may have, so that it can be sent by mail."""


@dataclass(frozen=True)
class Block:
    """One part of the page.

    Attributes:
        id: of the part.
        title: of the part.
        figures: with the title that stands above each, empty where it is the part's.
        tables: with cells that carry bars and signatures.
        sheets: plain tables: title, table, remarks.
    """

    id: str
    title: str
    figures: Sequence[tuple[str, Figure]]
    tables: Sequence[Section]
    sheets: Sequence[tuple[str, Sheet, Sequence[str]]]


def page(report: Report) -> str:
    """The page as text.

    Raises:
        InputError: as `Report.name`.
    """
    text = _page(report, BUDGET)
    over = len(text.encode("utf-8", "replace")) - LARGEST
    if over > 0 and report.samples:  # tables of many arms leave the samples less room
        text = _page(report, max(bytes_of(shown(report.samples)) - over, 0))
    return text


def _page(report: Report, budget: int) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    title, results, notes = report.name, report.results, Notes()
    tables = [section for section in sections(results.index, notes) if section.rows]
    about = results.about
    environment = Environment(
        loader=PackageLoader("alignment_prism.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _asset("page.js")
    samples = shown(report.samples, budget)
    return environment.get_template("page.html.j2").render(
        title=title,
        preface=report.preface,
        version=package_version(),
        date=datetime.now(UTC).date().isoformat(),
        count=len(results.findings),
        doubtful=sum(row.insufficient for row in results.findings),
        facts=about.facts if about is not None and about.facts else facts_of_findings(results.findings),
        arms=about.arms if about is not None else (),
        verdict=report.verdict,
        summary=[section for section in tables if section.block == "verdict"],
        blocks=_blocks(report, tables),
        thresholds=report.thresholds,
        data=report.data,
        published=published_table(results),
        again=report.again,
        samples=samples,
        filters=_filters(samples),
        hidden=any(one.prompt is None for one in samples),
        notes=notes.texts,
        metrics={name: find_metric(name) for name in sorted({row.metric for row in results.findings})},
        wide=WIDE,
        narrow=NARROW,
        light=variables(dark=False),
        dark=variables(dark=True),
        style=_asset("page.css"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        language_name=language_name,
    )


def language_name(code: str) -> str:
    """The English name of a language, or its code."""
    return LANGUAGES.find(code).name if code in LANGUAGES else code


def _blocks(report: Report, tables: Sequence[Section]) -> list[Block]:
    """The parts that have something to show."""
    results = report.results
    sheets: dict[str, list[tuple[str, Sheet, Sequence[str]]]] = {name: [] for name in BLOCKS}
    if results.contrasts or results.contrast_notes:
        sheets["change"].append(("Contrasts", contrasts_table(results.contrasts), results.contrast_notes))
    sheets["transfer"] += [(title, sheet, ()) for title, sheet in transfer_tables(results.transfer)]
    blocks = []
    for name, (title, figures) in BLOCKS.items():
        drawn = [report.figures[figure] for figure in figures if figure in report.figures]
        titled = [("" if len(drawn) == 1 else figure.title, figure) for figure in drawn]
        heading = drawn[0].title if len(drawn) == 1 and len(figures) == 1 else title
        block = Block(name, heading, titled, [one for one in tables if one.block == name], sheets[name])
        if block.figures or block.tables or block.sheets:
            blocks.append(block)
    return blocks


def _filters(samples: Sequence[Sample]) -> Mapping[str, list[tuple[str, str]]]:
    """What samples can be chosen by: name -> values with their words; only what tells some of them apart."""
    found = {
        "language": [(code, language_name(code)) for code in sorted({one.language for one in samples})],
        "kind": [(kind, kind.replace("_", " ")) for kind in sorted({one.kind for one in samples})],
        "scope": [(scope, scope) for scope in sorted({one.scope for one in samples} - {""})],
        "category": [(name, name) for name in sorted(set(chain.from_iterable(one.categories for one in samples)))],
        "outcome": [
            (name, name.replace("_", " "))
            for name in sorted({reply.outcome for one in samples for reply in one.replies})
        ],
        "arm": [(name, name) for name in dict.fromkeys(reply.arm for one in samples for reply in one.replies)],
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def _asset(name: str) -> str:
    """A file that stands in the page as it is."""
    return resources.files("alignment_prism.reports").joinpath("templates", name).read_text(encoding="utf-8")
