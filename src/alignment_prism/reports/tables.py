"""The tables of a report as plain text: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from io import StringIO
from itertools import chain
from typing import Any

from alignment_prism.domain.text import markdown_table, printable
from alignment_prism.reports.contrasts import contrasts_table
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.published import published_table
from alignment_prism.reports.report import Report, Requirement
from alignment_prism.reports.sections import Notes, sections
from alignment_prism.reports.transfer import transfer_tables

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


WIDEST, LONGEST = 7, 45
"""Columns beyond which a table of few rows is turned for paper, and rows beyond which one goes on in another."""


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    meanings: tuple[tuple[str, str], ...] = ()


def tables(report: Report) -> Iterator[Table]:
    """Every table of the page, in its order."""
    for section in sections(report.results.index, Notes()):
        if section.rows:
            rows = tuple((name, *(cell.text + " ?" * cell.doubtful for cell in cells)) for name, cells in section.rows)
            heads = ("arm", *(head.title for head in section.head))
            said = tuple((head.title, head.meaning) for head in section.head if section.block == "verdict")
            yield Table(section.title, heads, rows, section.lead, said)
    sheets = list(transfer_tables(report.results.transfer))
    if report.results.contrasts:
        found = contrasts_table(report.results.contrasts)
        notes = [f"{note}." for note in report.results.contrast_notes]
        sheets.append(("Contrasts", replace(found, caption=" ".join([found.caption, *notes]))))
    if report.thresholds:
        sheets.append(("Thresholds", _thresholds(report.thresholds)))
    if (published := published_table(report.results)) is not None:
        sheets.append(("Beside the paper", published))
    for title, sheet in (*sheets, *report.data):
        yield _of_sheet(title, sheet)


def _thresholds(thresholds: Sequence[Requirement]) -> Sheet:
    rows = []
    for one in thresholds:
        limit = f"{'at least' if one.at_least else 'at most'} {one.limit:g}"
        met = ("yes" if one.passed else "no") + " (reported only)" * one.reported_only
        rows.append(((one.arm, one.name), (f"{one.value:.1f}", limit, met)))
    caption = f"What the arms are required to reach, and what they reached: {sum(one.passed for one in thresholds)} of "
    return Sheet(("arm", "requirement"), ("value", "limit", "met"), tuple(rows), f"{caption}{len(thresholds)} are met.")


def markdown(report: Report) -> str:
    """The verdict and the tables."""
    verdict = report.verdict
    lines = [f"# {report.name}", "", *(f"> {line}" for line in report.preface), "" * bool(report.preface)]
    lines += [" ".join(verdict.lead), "", *(f"- {line}" for line in verdict.contrasts), ""]
    lines += [f"- **{name}**: {' '.join(said)}" for name, said in verdict.arms]
    lines += ["", *(f"{line}\n" for line in verdict.caveats)]
    for table in tables(report):
        lines += [
            f"## {table.title}",
            "",
            table.caption,
            "",
            markdown_table(table.heads, map(_one_line, table.rows)),
            "",
            *(f"- {head}: {meaning}" for head, meaning in table.meanings),
            *[""] * bool(table.meanings),
        ]
    return printable("\n".join(lines))


def latex(report: Report) -> str:
    """A `table` for every table, with booktabs, each on one page: a wide one is turned, or made smaller, and a long one
    has several parts. For XeLaTeX or LuaLaTeX where names are in other scripts."""
    lines = [f"% {_tex(report.name)}: needs \\usepackage{{booktabs,graphicx}}"]
    lines += [f"% {line}" for line in _one_line(report.preface)]
    for number, table in enumerate(chain.from_iterable(map(_parts, tables(report))), start=1):
        columns = "l" + "r" * (len(table.heads) - 1)
        lines += [
            "", "\\begin{table}", "\\centering", f"\\caption{{{_tex(table.title)}. {_tex(table.caption)}}}",
            f"\\label{{tab:prism-{number}}}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            f"\\begin{{tabular}}{{{columns}}}", "\\toprule",
            " & ".join(map(_tex, table.heads)) + " \\\\", "\\midrule",
            *(" & ".join(map(_tex, row)) + " \\\\" for row in table.rows),
            "\\bottomrule", "\\end{tabular}}", "\\end{table}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _parts(table: Table) -> Iterator[Table]:
    """Tables that fit on a page of paper."""
    if len(table.heads) > WIDEST > len(table.rows):
        first, *others = zip(table.heads, *table.rows, strict=True)
        yield Table(table.title, tuple(first), tuple(others), table.caption)
        return
    for at in range(0, len(table.rows), LONGEST):
        title = table.title + (", continued" if at else "")
        yield Table(title, table.heads, table.rows[at : at + LONGEST], "" if at else table.caption)


def rows_csv(kind: type, rows: Iterable[Any]) -> str:
    """Records of one kind as they are stored, a row each, every column."""
    text = StringIO()
    columns = [field.name for field in fields(kind)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(row, name) for name in columns] for row in rows)
    return text.getvalue()


def _of_sheet(title: str, sheet: Sheet) -> Table:
    rows = tuple((*names, *values) for names, values in sheet.rows)
    return Table(title, (*sheet.labels, *sheet.heads), rows, sheet.caption)


def _one_line(cells: Iterable[str]) -> list[str]:
    return [" ".join(cell.split()) for cell in cells]


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in printable(" ".join(text.split())))
