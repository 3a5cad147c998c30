"""Findings made readable: tables in the terminal and a page; nothing here measures anything."""

from alignment_prism.reports.index import FindingIndex, as_text
from alignment_prism.reports.page import Example, Reply, write_report
from alignment_prism.reports.summary import summarise
from alignment_prism.reports.tables import findings_table, language_table, seeds_table, summary_table

__all__ = [
    "Example",
    "FindingIndex",
    "Reply",
    "as_text",
    "findings_table",
    "language_table",
    "summarise",
    "seeds_table",
    "summary_table",
    "write_report",
]
