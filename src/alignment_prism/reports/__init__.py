"""Findings made readable: tables in the terminal and a page; nothing here measures anything."""

from alignment_prism.reports.about import About, ArmNote, about_study, read_about
from alignment_prism.reports.contrasts import contrasts_markdown, contrasts_table
from alignment_prism.reports.export import check_format, export, write_report
from alignment_prism.reports.frame import Findings
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.numbers import as_text
from alignment_prism.reports.report import Report, together
from alignment_prism.reports.results import Curve, Results
from alignment_prism.reports.samples import Reply, Sample, redacted
from alignment_prism.reports.summary import headline_prompts, summarise
from alignment_prism.reports.tables import rows_csv
from alignment_prism.reports.terminal import (
    findings_table,
    headline_table,
    language_table,
    outcomes_table,
    seeds_table,
    summary_table,
)
from alignment_prism.reports.transfer import transfer_tables

__all__ = [
    "About",
    "ArmNote",
    "Curve",
    "Findings",
    "Reply",
    "Report",
    "Results",
    "Sample",
    "Sheet",
    "about_study",
    "as_text",
    "check_format",
    "contrasts_markdown",
    "contrasts_table",
    "export",
    "findings_table",
    "headline_prompts",
    "headline_table",
    "language_table",
    "outcomes_table",
    "read_about",
    "redacted",
    "rows_csv",
    "seeds_table",
    "summarise",
    "summary_table",
    "together",
    "transfer_tables",
    "write_report",
]
