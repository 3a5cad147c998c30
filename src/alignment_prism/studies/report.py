"""The page of a study."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.reports import about_study, write_report
from alignment_prism.studies.analysis import examples, nano_thresholds
from alignment_prism.studies.study import Study


def write_study_report(study: Study, path: Path | None = None) -> Path:
    """Write the page of a finished study.

    Args:
        study: whose findings there are.
        path: of the page; in the study's folder unless given.

    Raises:
        InputError: there are no findings.
        StoreError: the page cannot be written.
    """
    spec, findings = study.spec, study.findings()
    arms = study.arms(study.seeds[0] if study.seeds else None) if spec.examples else []
    return write_report(
        findings,
        path or study.report,
        title=spec.name,
        preface=study.notes,
        thresholds=nano_thresholds(spec, findings),
        examples=examples(study.prompts(), arms, spec.examples),
        about=about_study(spec.model_dump(mode="json")),
    )
