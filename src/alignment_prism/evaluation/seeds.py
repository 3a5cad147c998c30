"""Several alignment seeds: differences over seeds and prompts together, and ranks as ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.findings import ALL, MACRO, Finding, Signature
from alignment_prism.domain.records import Generation, Outcome, Prompt, PromptKind, Score
from alignment_prism.evaluation.cells import Cell
from alignment_prism.evaluation.estimates import Hits, finding
from alignment_prism.evaluation.observations import Observations, observe, prompts_label
from alignment_prism.statistics.changes.seeds import crossed_difference, rank_arms
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.multiplicity import holm
from alignment_prism.statistics.rates import insufficient

POOLED = -1
"""Seed of rows that are over seeds."""

LEAST_RANKED = 3
"""Seeds of every arm from which arms are ranked."""


def seed_findings(
    prompts: Sequence[Prompt],
    runs: Mapping[int, tuple[Sequence[Generation], Sequence[Score]]],
    *,
    study: str,
    base_arm: str = "base",
) -> list[Finding]:
    """The change of harm of every arm over all its seeds, with intervals for other seeds and other prompts.

    Rows of metric `harm_difference`, seed -1, by language, over all and as the plain mean over languages
    (`crossed_difference`): prompts and seeds both vary. `n` counts prompts. The signature has the seeds' standard
    deviation, the standard error that prompts alone would give, the p-value, and for the headline (language `all`) that
    of Holm over the arms. From one seed the interval is over prompts alone and named so, there is no p-value, and no
    arm is ranked. With three seeds or more of every arm, rows of metric `harm_rank` give each arm's rank among the
    aligned arms as a range: estimate the middle, ends the best and the worst rank that the data allow. Two seeds tell
    too little of the spread that ranks rest on. A seed whose weights are those of another is a copy and no further
    seed: it is left out for all arms, and the signature has `copies`. No method covers trainings of which a few
    collapse, where the seeds at hand have not.

    Args:
        prompts: of any kinds; harmful ones count.
        runs: replies and verdicts by alignment seed; base is in each (the same replies, or others).
        study: its name.
        base_arm: which arm the others are compared with.

    First replies only. Prompts that lack a verdict of base or of any arm in any seed are left out of all, so that arms
    are compared on the same prompts; `n` says how many are left. Missing verdicts: `harm_findings` of each seed.

    Raises:
        InputError: no run, an arm or base that is not in every run, or records that do not fit together.
    """
    copies = copied_seeds(runs, base_arm)
    seen = {seed: observe(prompts, *records) for seed, records in runs.items() if seed not in copies}
    arms = _common_arms(seen, base_arm)
    harmful = {name: np.stack([_first(one, name) for one in seen.values()]) for name in (base_arm, *arms)}
    counted = np.array([prompt.kind is PromptKind.HARMFUL for prompt in prompts])
    judged = counted & ~np.isnan(np.concatenate(list(harmful.values()))).any(axis=0)
    if not judged.any():
        raise InputError("no harmful prompt is judged for every arm and seed", fix="judge all runs on the same prompts")
    one = next(iter(seen.values()))
    languages = np.array([prompt.language for prompt in prompts])
    findings: list[Finding] = []
    codes = sorted(set(languages[judged]))
    for language in (ALL, *codes, *([MACRO] if len(codes) > 1 else [])):
        rows = np.flatnonzero(judged & ((language in (ALL, MACRO)) | (languages == language)))
        _, inverse, counts = np.unique(languages[rows], return_inverse=True, return_counts=True)
        weights = 1.0 / counts[inverse] if language == MACRO else None
        cell = Cell(PromptKind.HARMFUL.value, language, ALL, ALL, rows)
        parts = {name: values[:, rows] for name, values in harmful.items()}
        clusters = one.clusters[rows]
        found = {arm: crossed_difference(parts[arm], parts[base_arm], clusters, weights=weights) for arm in arms}
        adjusted = holm([result.p_value for result in found.values()])
        label = prompts_label([prompts[row] for row in rows.tolist()])
        for (arm, result), family in zip(found.items(), adjusted, strict=True):
            extra = [("seeds", str(result.seeds)), ("seed_sd", f"{result.seed_sd:.4g}")]
            extra += [("prompt_se", f"{result.prompt_se:.4g}"), ("p", f"{result.p_value:.3g}")]
            extra += [("holm", f"{family:.3g}")] if language == ALL else []
            extra += [("copies", ",".join(map(str, copies)))] if copies else []
            signature = Signature("seeds", judge=one.scorer, rubric=one.rubric, prompts=label, extra=tuple(extra))
            findings.append(
                finding(
                    cell,
                    result.interval,
                    study=study,
                    arm=arm,
                    seed=POOLED,
                    metric="harm_difference",
                    insufficient=insufficient(result.interval, seeds=result.seeds),
                    signature=str(signature),
                )
            )
        if len(seen) >= LEAST_RANKED and len(arms) > 1 and language != MACRO:
            signature = Signature("seeds", judge=one.scorer, rubric=one.rubric, prompts=label)
            for rank in rank_arms({arm: parts[arm] for arm in arms}, clusters):
                interval = Interval(
                    (rank.best + rank.worst) / 2, rank.best, rank.worst, "holm", len(rows), len(set(clusters))
                )
                findings.append(
                    finding(
                        cell,
                        interval,
                        study=study,
                        arm=rank.arm,
                        seed=POOLED,
                        metric="harm_rank",
                        insufficient=insufficient(interval, seeds=len(seen)),
                        signature=str(signature),
                    )
                )
    return findings


def copied_seeds(runs: Mapping[int, tuple[Sequence[Generation], Sequence[Score]]], base_arm: str) -> list[int]:
    """Seeds of which some arm replied with the very weights of an earlier seed."""
    known: set[tuple[str, str]] = set()
    found = []
    for seed, (generations, _) in runs.items():
        weights = {(g.arm, g.weights) for g in generations if g.weights and g.arm != base_arm}
        if weights & known:
            found.append(seed)
        known |= weights
    return found


def _common_arms(seen: Mapping[int, Observations], base_arm: str) -> list[str]:
    if not seen:
        raise InputError("no runs", fix="pass the replies and verdicts of at least one seed")
    arms = list(dict.fromkeys(arm for one in seen.values() for arm in one.outcomes if arm != base_arm))
    for seed, one in seen.items():
        lacking = [arm for arm in (base_arm, *arms) if arm not in one.outcomes]
        if lacking:
            raise InputError(f"seed {seed} has no replies of {', '.join(lacking)}", fix="pass every arm in every run")
    return arms


def _first(observations: Observations, arm: str) -> Hits:
    """1 harmful, 0 not, NaN unjudged, of the first reply to each prompt."""
    return np.asarray(observations.hits(arm, Outcome.HARMFUL)[:, 0], np.float64)
