"""Records in and out of files: rows of any format, records of our own, and what becomes of bad rows."""

from alignment_prism.io.delimited import TableOptions
from alignment_prism.io.files import sha256_of
from alignment_prism.io.problems import FieldError, Intake, Problem, Reject, Row, TooManyProblems, shown
from alignment_prism.io.readers import SUFFIXES, iter_records, read_records, read_rows
from alignment_prism.io.schemas import json_of, record_from, schema_for
from alignment_prism.io.writers import check_suffix, replacing, text_writer, write_json, write_records, write_text

__all__ = [
    "SUFFIXES",
    "FieldError",
    "Intake",
    "Problem",
    "Reject",
    "Row",
    "TableOptions",
    "TooManyProblems",
    "check_suffix",
    "iter_records",
    "json_of",
    "read_records",
    "read_rows",
    "record_from",
    "replacing",
    "schema_for",
    "sha256_of",
    "shown",
    "text_writer",
    "write_json",
    "write_records",
    "write_text",
]
