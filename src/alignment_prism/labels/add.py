"""Corrected numbers beside those of the judge, in one table of findings that reports and gates read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alignment_prism.domain import Finding, InputError, Signature
from alignment_prism.domain.metrics import JudgeCorrected
from alignment_prism.scoring.metrics import find_metric

OWN = ("judge", "rubric", "ci", "k", "labels", "passport", "design", "annotators")
"""Parts of a signature that a corrected number says itself; the others are those of the replies it is about."""


def with_corrected(findings: Sequence[Finding], rows: Sequence[Finding]) -> list[Finding]:
    """Findings of a study with corrected rows added; no other row changes.

    A corrected row gets the study and the seed of its arm, and from the signature of the number that it corrects what
    says which prompts and replies it is about, so that a gate sees that two releases are measured alike. Rows of an
    earlier correction of the same numbers go.

    Args:
        findings: of the study.
        rows: `Correction.findings()`.

    Raises:
        InputError: the study lacks an arm, has it in several seeds, or judged it otherwise.
    """
    seeds: dict[str, set[int]] = {}
    for finding in findings:
        seeds.setdefault(finding.arm, set()).add(finding.seed)
    cells = {_cell(finding): finding for finding in findings}
    added = []
    for row in rows:
        known = seeds.get(row.arm, set())
        if len(known) != 1:
            raise InputError(
                f"the findings have {f'{len(known)} seeds of' if known else 'no'} arm {row.arm!r}",
                fix=f"give findings of the arms that were labelled, one seed each; they have {', '.join(seeds)}",
            )
        estimator = find_metric(row.metric).estimator
        naive = cells.get(_cell(row, estimator.of if isinstance(estimator, JudgeCorrected) else row.metric))
        said = dict(Signature.parts(row.signature))
        signature = row.signature
        study = next(finding.study for finding in findings if finding.arm == row.arm)
        if naive is not None:
            judged = dict(Signature.parts(naive.signature))
            for fact in ("judge", "rubric"):
                if said.get(fact, "") != judged.get(fact, ""):
                    raise InputError(
                        f"the labels correct the {fact} {said.get(fact)!r}, the findings have {judged.get(fact)!r}",
                        fix="give the findings of the scores that the sheet was drawn from",
                    )
            facts = [(key, value) for key, value in Signature.parts(naive.signature) if key not in OWN]
            signature = "|".join([row.signature, *(f"{key}:{value}" for key, value in facts)])
        added.append(replace(row, study=study, seed=next(iter(known)), signature=signature))
    new = {_cell(row) for row in added}
    return [*(finding for finding in findings if _cell(finding) not in new), *added]


def _cell(row: Finding, metric: str = "") -> tuple[str, ...]:
    return (row.arm, row.prompts, row.language, row.scope, row.category, metric or row.metric)
