"""The frame of a label sample: every harmful prompt that both arms answered, with the judge's verdicts and its stratum.

A harm rate is taken over harmful prompts only, so its correction is too: benign prompts, on which both arms do next to
no harm, would only draw the difference towards zero. The frame travels with the sheet as a design file, because labels
without their design cannot correct anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from alignment_prism.domain import InputError, Outcome, Prompt, PromptKind, Score
from alignment_prism.statistics.planning.label_design import error_spread, verdict_strata
from alignment_prism.statistics.raters.annotators import AnnotatorError
from alignment_prism.statistics.raters.judge_error import Corrected, corrected_difference


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One prompt of the frame.

    Attributes:
        prompt_id: of the prompt.
        language: of the prompt; empty where unknown.
        scope: global, local, or empty.
        cluster: unit of sampling.
        stratum: that it was drawn in.
        chosen: whether it is on the sheet.
        model_digest: key of the model's reply.
        base_digest: key of base's reply.
        judge_model: 1 if the judge calls the model's reply harmful, 0 if not or if it gave no verdict.
        judge_base: likewise for base.
    """

    prompt_id: str
    language: str
    scope: str
    cluster: str
    stratum: str
    chosen: bool
    model_digest: str
    base_digest: str
    judge_model: int
    judge_base: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The prompts that a sample is drawn from.

    Attributes:
        rows: the harmful prompts with a first reply of both arms.
        aside: the other prompts with such replies, counted by kind, or as `UNKNOWN`.
    """

    rows: list[FrameRow]
    aside: Counter[str]


UNKNOWN = "in no prompts file"
"""What is counted of prompts whose kind nobody says: they may be benign, so they are not taken for harmful."""

FORMAT = 2
"""Of the design file. The first one did not leave out benign prompts, and does not say which they are."""

UNJUDGED = "unjudged"
"""Stratum of prompts on which the judge gave no verdict for an arm: they are drawn like any other, because verdicts are
not missing by chance."""


def spread_of(sensitivity: float, specificity: float, harm: float) -> dict[str, float]:
    """Expected spread of judge error by stratum (`label_design.error_spread`), with that of unjudged prompts."""
    return error_spread(sensitivity, specificity, harm) | {UNJUDGED: 0.7}


def build_frame(
    scores: Iterable[Score],
    prompts: Mapping[str, Prompt],
    *,
    arm: str,
    base: str,
    by_verdict: bool,
    by_language: bool,
) -> Frame:
    """Harmful prompts with a first reply of both arms, in order of their identifiers.

    Args:
        scores: outcomes by one judge.
        prompts: by identifier; they say which are harmful.
        arm: the model.
        base: what it is compared with.
        by_verdict: strata by the judge's two verdicts.
        by_language: strata within languages.

    Raises:
        InputError: an arm has no outcomes, or the two have no harmful prompt in common.
    """
    verdicts: dict[str, dict[str, Score]] = {arm: {}, base: {}}
    arms = set()
    for score in scores:
        arms.add(score.arm)
        if score.arm in verdicts and score.sample == 0:
            verdicts[score.arm][score.prompt_id] = score
    for name, found in verdicts.items():
        if not found:
            raise InputError(f"no outcomes of arm {name!r}", fix=f"use one of {', '.join(sorted(arms)) or '(none)'}")
    common = sorted(verdicts[arm].keys() & verdicts[base].keys())
    if not common:
        raise InputError(f"{arm!r} and {base!r} have no judged prompt in common", fix="judge both on the same prompts")
    common, aside = harmful_only(common, prompts)
    if not common:
        raise InputError(
            f"none of the prompts that {arm!r} and {base!r} have in common is harmful: {say_aside(aside)}",
            fix="pass the file of the prompts that were judged; its column kind says which are harmful",
        )
    pairs = [(verdicts[arm][key], verdicts[base][key]) for key in common]
    harmful = np.array([[float(j.outcome is Outcome.HARMFUL) for j in pair] for pair in pairs])
    languages = [prompts[key].language for key in common]
    strata = verdict_strata(harmful[:, 0], harmful[:, 1]).tolist() if by_verdict else ["any"] * len(common)
    rows = []
    for key, (model, other), language, stratum, said in zip(common, pairs, languages, strata, harmful, strict=True):
        if by_verdict and Outcome.UNJUDGED in (model.outcome, other.outcome):
            stratum = UNJUDGED
        prompt = prompts[key]
        rows.append(
            FrameRow(
                prompt_id=key,
                language=language,
                scope=prompt.scope.value if prompt.scope is not None else "",
                cluster=prompt.cluster,
                stratum=f"{language}/{stratum}" if by_language and language else stratum,
                chosen=False,
                model_digest=model.reply_digest,
                base_digest=other.reply_digest,
                judge_model=int(said[0]),
                judge_base=int(said[1]),
            )
        )
    return Frame(rows, aside)


def harmful_only(ids: Sequence[str], prompts: Mapping[str, Prompt]) -> tuple[list[str], Counter[str]]:
    """Those of the prompts that are harmful, and how many others of which kind there are."""
    kinds = {key: prompts[key].kind.value if key in prompts else UNKNOWN for key in ids}
    harmful = [key for key in ids if kinds[key] == PromptKind.HARMFUL]
    return harmful, Counter(kind for kind in kinds.values() if kind != PromptKind.HARMFUL)


def say_aside(aside: Mapping[str, int]) -> str:
    """The prompts that are left aside, in words: `250 benign_mention, 3 in no prompts file`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(aside.items())) or "none"


def frame_to_json(rows: Sequence[FrameRow], **about: Any) -> dict[str, Any]:
    """The design file's content."""
    return {"design": FORMAT, "kind": PromptKind.HARMFUL.value, **about, "prompts": [asdict(row) for row in rows]}


def frame_from_json(value: Any, where: str) -> tuple[dict[str, Any], list[FrameRow]]:
    """What `frame_to_json` wrote: what it says about the sample, and the rows.

    Raises:
        InputError: it is not a design file.
    """
    try:
        rows = [FrameRow(**row) for row in value["prompts"]]
        about = {key: entry for key, entry in value.items() if key != "prompts"}
    except (TypeError, KeyError) as error:
        raise InputError(
            f"not a design file: {error}", where=where, fix="pass the .design.json that prism labels sample wrote"
        ) from error
    return about, rows


def keep_harmful(
    about: Mapping[str, Any], rows: list[FrameRow], prompts: Mapping[str, Prompt], where: str
) -> tuple[list[FrameRow], list[str]]:
    """The rows of a design that are of harmful prompts, and what was left aside, in words.

    A design says so itself (`kind`). One of the first format does not, so the prompts must say it; what is left of a
    stratum is a random sample of its harmful prompts, and its weights follow.

    Raises:
        InputError: neither says which prompts are harmful, or none is.
    """
    if about.get("kind") != PromptKind.HARMFUL and not prompts:
        raise InputError(
            "the design does not say which of its prompts are harmful, and harm is corrected on those alone",
            where=where,
            fix="give the prompts it was drawn from: --prompts FILE; or draw again with this version",
        )
    if not prompts:
        return rows, []
    ids, aside = harmful_only([row.prompt_id for row in rows], prompts)
    if not ids:
        raise InputError(
            f"none of the design's prompts is harmful: {say_aside(aside)}",
            where=where,
            fix="pass the file of its prompts",
        )
    kept = set(ids)
    notes = [f"{len(kept)} harmful prompts; {aside.total()} others left aside: {say_aside(aside)}"] if aside else []
    return [row for row in rows if row.prompt_id in kept], notes


def correct_frame(
    rows: Sequence[FrameRow],
    harmful: Mapping[str, float],
    level: float = 0.95,
    *,
    annotator: AnnotatorError | None = None,
) -> Corrected:
    """The corrected difference on some rows of a frame.

    Labels of prompts that were not drawn are ignored: somebody chose them, and no weight is right for them.

    Args:
        rows: all of the frame, or all of a language.
        harmful: label by reply digest: 1 harmful, 0 not, 1/2 where annotators tie (`labels.consensus`).
        level: coverage.
        annotator: error of the labels, if it is to be modelled.

    Every prompt that was drawn is used or counted in `Corrected.warnings`.
    """

    def labels(digests: Sequence[str]) -> np.ndarray:
        return np.array(
            [
                float(harmful[digest]) if row.chosen and digest in harmful else np.nan
                for row, digest in zip(rows, digests, strict=True)
            ]
        )

    clusters = [row.cluster for row in rows]
    found = corrected_difference(
        [row.judge_model for row in rows],
        [row.judge_base for row in rows],
        labels([row.model_digest for row in rows]),
        labels([row.base_digest for row in rows]),
        strata=[row.stratum for row in rows],
        clusters=clusters if len(set(clusters)) < len(clusters) else None,
        level=level,
        annotator=annotator,
    )
    bare = sum(row.chosen and not {row.model_digest, row.base_digest} & harmful.keys() for row in rows)
    if not bare:
        return found
    return replace(found, warnings=(*found.warnings, f"{bare} drawn prompts have no label at all and were not used"))
