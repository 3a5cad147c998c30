"""The report of a study: everything in its folder that a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from alignment_prism.contrasts import Contrasts
from alignment_prism.domain import Contrast, Finding, InputError, Transfer
from alignment_prism.io import read_records
from alignment_prism.reports import Report, Results, about_study, export, read_about, redacted, together
from alignment_prism.store import package_version
from alignment_prism.studies.analysis import nano_thresholds
from alignment_prism.studies.between import contrasts_between
from alignment_prism.studies.samples import samples
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.study import ArmRecords, Study
from alignment_prism.studies.training_tables import training_curves, training_tables


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
        arms: its records; samples are of the first seed's.
        contrasts: that it declares.
        transfer: of its arms.

    Raises:
        InputError: there are no findings.
        StoreError: the page cannot be written.
    """
    rows, notes = (contrasts.rows, contrasts.notes) if contrasts is not None else ((), ())
    made = _report(study, findings, rows, notes, transfer)
    return export(replace(made, samples=samples(study, arms, study.spec.examples)), study.report)


def study_report(
    folders: Sequence[str | Path], *, title: str = "", count: int | None = None, redact: bool = False
) -> Report:
    """The report of a finished study, or of several beside each other.

    Args:
        folders: of studies or evaluations.
        title: of the report; the studies' names where it is empty.
        count: of prompts whose replies are shown; what the study's spec says where it is None.
        redact: leave prompts and replies out.

    Raises:
        StoreError: a folder holds no study.
        InputError: a study was stopped before there were findings, or is named twice.
    """
    reports: dict[str, Report] = {}
    studies: dict[str, Study] = {}
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise InputError("a study is named twice", where=", ".join(map(str, folders)), fix="name each folder once")
    for folder in folders:
        study = Study.open(folder)
        made = _report(study, study.findings(), study.contrasts(), (), study.transfer())
        shown = study.spec.examples if count is None else count
        if shown and len(folders) == 1:  # of several, arms of one name would stand beside each other
            made = replace(made, samples=samples(study, study.arms(), shown))
        name = study.name if study.name not in reports else f"{study.name}, {study.out}"
        reports[name], studies[name] = made, study
    if len(reports) == 1:
        report = next(iter(reports.values()))
    else:
        between, absent = contrasts_between(studies)
        report = together(reports, between.rows, between.notes)
        report = replace(report, preface=[*absent, *report.preface])
    report = replace(report, title=title or report.title)
    if not redact:
        return report
    again = {name: _without_systems(text) for name, text in report.again.items()}
    return replace(report, samples=redacted(report.samples), again=again)


def _without_systems(text: str) -> str:
    """A spec without system prompts, which are texts as well."""

    def kept(value: object) -> object:
        if isinstance(value, dict):
            return {name: "(left out)" if name == "system" and one else kept(one) for name, one in value.items()}
        return [kept(one) for one in value] if isinstance(value, list) else value

    return _as_yaml(kept(yaml.safe_load(text))) if "system:" in text else text


def _as_yaml(spec: object) -> str:
    return yaml.safe_dump(spec, allow_unicode=True, sort_keys=False)


def findings_report(path: str | Path, *, title: str = "") -> Report:
    """The report of a file of findings, with what its study says of the arms where it lies beside them.

    Raises:
        InputError: the file cannot be read, is none of findings, or has none.
    """
    rows = read_records(path, Finding)
    if not rows:
        raise InputError("there are no findings", where=str(path), fix="give a file of findings, or a study's folder")
    about = read_about(Path(path).parent)
    known = {arm.name for arm in about.arms} if about is not None else set()
    return Report(Results(rows, about=about if {row.arm for row in rows} <= known else None), title)


def _report(
    study: Study,
    findings: Sequence[Finding],
    contrasts: Sequence[Contrast],
    notes: Sequence[str],
    transfer: Sequence[Transfer],
) -> Report:
    spec = study.spec
    passport = None
    if spec.passport is not None and Path(spec.passport.file).is_file():
        from alignment_prism.labels import Passport

        passport = Passport.read(spec.passport.file)
    about = about_study(spec.model_dump(mode="json"))
    model = spec.judge.model if spec.judge is not None else ""
    oracle = model if model.startswith("nano/oracle") else ""
    return Report(
        Results(findings, contrasts, notes, transfer, about, passport, training_curves(study), oracle),
        spec.name,
        study.notes,
        nano_thresholds(spec, findings),
        (),
        training_tables(study),
        _again(spec),
    )


def _again(spec: StudySpec) -> Mapping[str, str]:
    """What it takes to run the study again."""
    text = _as_yaml(spec.model_dump(mode="json", exclude_defaults=True))
    lines = [
        f"pip install alignment-prism=={package_version()}",
        "prism study plan study.yaml",
        "prism study run study.yaml",
    ]
    return {"study.yaml": text, "Commands": "\n".join(lines)}
