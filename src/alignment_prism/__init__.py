"""Alignment Prism: align a multilingual language model and find out, language by language, whether it worked.

>>> from alignment_prism import run_study, load_findings
>>> run_study("quickstart", out="results/quickstart")
>>> findings = load_findings("results/quickstart/findings.parquet")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from alignment_prism.domain import Finding
    from alignment_prism.reports import write_report
    from alignment_prism.studies import StudySpec, load_spec, run_study

    __version__: str

__all__ = ["StudySpec", "__version__", "load_findings", "load_spec", "run_study", "write_report"]


def load_findings(path: str | Path) -> list[Finding]:
    """The findings of a file, Parquet or JSONL.

    Raises:
        InputError: the file is missing or not one of findings.
    """
    from alignment_prism.domain import Finding
    from alignment_prism.io import read_records

    return read_records(path, Finding)


def __getattr__(name: str) -> Any:
    """Import `run_study` and its like when they are asked for, so that the import of the package stays light."""
    if name == "__version__":
        from alignment_prism.store import package_version

        return package_version()
    rooms = {"StudySpec": "studies", "load_spec": "studies", "run_study": "studies", "write_report": "reports"}
    if name not in rooms:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{rooms[name]}"), name)
