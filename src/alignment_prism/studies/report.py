"""The page of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alignment_prism.contrasts import Contrasts
from alignment_prism.domain import Finding, Transfer
from alignment_prism.reports import about_study, write_report
from alignment_prism.studies.analysis import examples, nano_thresholds
from alignment_prism.studies.study import ArmRecords, Study


def write_study_report(
    study: Study,
    findings: Sequence[Finding],
    arms: Sequence[ArmRecords],
    contrasts: Contrasts | None = None,
    transfer: Sequence[Transfer] = (),
) -> Path:
    """Write the page of a finished study into its folder.

    Args:
        study: of which the page is.
        findings: its findings.
        arms: its records; examples are of the first seed's.
        contrasts: that it declares.
        transfer: of its arms.

    Raises:
        InputError: there are no findings.
        StoreError: the page cannot be written.
    """
    spec = study.spec
    shown = [arm for arm in arms if not arm.is_trained or arm.seed == study.seeds[0]]
    return write_report(
        findings,
        study.report,
        title=spec.name,
        preface=study.notes,
        thresholds=nano_thresholds(spec, findings),
        examples=examples(study.prompts(), shown, spec.examples) if spec.examples else (),
        contrasts=() if contrasts is None else contrasts.rows,
        contrast_notes=() if contrasts is None else contrasts.notes,
        transfer=transfer,
        about=about_study(spec.model_dump(mode="json")),
    )
