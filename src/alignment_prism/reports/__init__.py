"""Findings made readable: tables in the terminal and a page; nothing here measures anything."""

from alignment_prism.reports.about import About, ArmNote, about_study, read_about
from alignment_prism.reports.contrasts import contrasts_csv, contrasts_markdown, contrasts_table
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.numbers import as_text
from alignment_prism.reports.page import Example, Reply, write_report
from alignment_prism.reports.summary import headline_prompts, summarise
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
    "Example",
    "Reply",
    "Sheet",
    "about_study",
    "as_text",
    "contrasts_csv",
    "contrasts_markdown",
    "contrasts_table",
    "findings_table",
    "headline_prompts",
    "headline_table",
    "language_table",
    "outcomes_table",
    "read_about",
    "seeds_table",
    "summarise",
    "summary_table",
    "transfer_tables",
    "write_report",
]
