"""A report in the form that a file's name asks for: a page, tables, one figure, or a folder with all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from alignment_prism.domain import Contrast, Finding, InputError, StoreError, Transfer
from alignment_prism.reports.about import About
from alignment_prism.reports.figures import FIGURES, Figure
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.page import page
from alignment_prism.reports.report import Report, Requirement
from alignment_prism.reports.results import Results
from alignment_prism.reports.samples import Sample, redacted
from alignment_prism.reports.tables import latex, markdown, rows_csv

TEXTS: dict[str, Callable[[Report], str]] = {
    ".html": page,
    ".md": markdown,
    ".tex": latex,
    ".csv": lambda report: rows_csv(Finding, report.results.findings),
}
"""Suffix -> the whole report in that form."""

IMAGES = (".svg", ".png")
"""Suffixes of files with one figure."""

SUFFIXES = (*TEXTS, *IMAGES)


def check_format(out: str | Path, figure: str = "") -> None:
    """Refuse, before any work, a name that says no form.

    Args:
        out: a file, or a folder where its name has no suffix.
        figure: name of the one figure that is wanted.

    Raises:
        InputError: the suffix is unknown, or the figure; or the folder is a file.
    """
    suffix = Path(out).suffix.lower()
    fix = f"name it {', '.join(SUFFIXES)}, or give a folder, which gets all of them"
    if suffix and suffix not in SUFFIXES and not Path(out).is_dir():
        raise InputError(f"a report is not written as {suffix!r}", where=str(out), fix=fix)
    if not suffix and Path(out).is_file():
        raise InputError("a file is where the folder of the report is to be", where=str(out), fix=fix)
    if figure and figure not in FIGURES:
        raise InputError(f"there is no figure {figure!r}", fix=f"name one of {', '.join(FIGURES)}")
    if figure and suffix not in IMAGES:
        raise InputError("one figure is named, and the file is none", where=str(out), fix="name it .svg or .png")


def export(report: Report, out: str | Path, *, figure: str = "") -> Path:
    """Write a report.

    Args:
        report: what is written.
        out: a file whose suffix says in which form, or a folder.
        figure: of an .svg or .png, which figure; the first that there is if empty.

    Returns:
        The path.

    Raises:
        InputError: there are no findings, or of several studies; the name says no form; there is no such figure.
        StoreError: it cannot be written.
    """
    from alignment_prism.io import write_text

    out = Path(out)
    check_format(out, figure)
    _ = report.name
    suffix = out.suffix.lower()
    if suffix in TEXTS and not out.is_dir():
        write_text(out, TEXTS[suffix](report))
    elif suffix in IMAGES and not out.is_dir():
        _draw(_chosen(report, figure), out)
    else:
        _all(report, out)
    return out


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
    samples: Sequence[Sample] = (),
    data: Sequence[tuple[str, Sheet]] = (),
    about: About | None = None,
    redact: bool = False,
    figure: str = "",
) -> Path:
    """Write findings as a page, or in another form.

    Args:
        findings: of one study.
        out: a file (.html, .md, .tex, .csv, .svg, .png), or a folder, which gets all of them.
        title: of the report; the study's name where it is empty.
        preface: lines before anything else, such as what the nano lab is and is not.
        thresholds: requirements and how the arms met them.
        contrasts: of arms with each other.
        contrast_notes: what one has to know of them.
        transfer: what arms do in languages and scopes that they were not trained on.
        samples: prompts and replies to look at, folded away.
        data: tables of what arms were trained on, each with its title.
        about: what the study was (`read_about`, `about_study`); without it the page says what the signatures say.
        redact: leave prompts and replies out of the file altogether.
        figure: name of the figure of an .svg or .png; the first that there is if empty.

    Returns:
        The path.

    Raises:
        InputError: as `export`.
        StoreError: it cannot be written.
    """
    results = Results(list(findings), contrasts, contrast_notes, transfer, about)
    kept = redacted(samples) if redact else samples
    return export(Report(results, title, preface, thresholds, kept, data), out, figure=figure)


def _chosen(report: Report, name: str) -> Figure:
    if name and name in report.figures:
        return report.figures[name]
    if not report.figures or name:
        there = ", ".join(report.figures) or "none"
        raise InputError(f"the findings have nothing for the figure {name!r}", fix=f"figures that they have: {there}")
    return next(iter(report.figures.values()))


def _draw(figure: Figure, out: Path) -> None:
    from alignment_prism.io import write_text

    if out.suffix.lower() == ".svg":
        write_text(out, figure.svg)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(figure.png())
    except OSError as error:
        raise StoreError(f"cannot write: {error.strerror}", where=str(out), fix="choose another place") from error


def _all(report: Report, folder: Path) -> None:
    """Every form into a folder; other files that lie there stay."""
    from alignment_prism.io import write_text

    results = report.results
    for suffix, make in TEXTS.items():
        write_text(folder / f"report{suffix}" if suffix != ".csv" else folder / "findings.csv", make(report))
    for name, kind, rows in (("contrasts", Contrast, results.contrasts), ("transfer", Transfer, results.transfer)):
        if rows:
            write_text(folder / f"{name}.csv", rows_csv(kind, rows))
    for name, figure in report.figures.items():
        for suffix in IMAGES:
            _draw(figure, folder / "figures" / f"{name}{suffix}")
