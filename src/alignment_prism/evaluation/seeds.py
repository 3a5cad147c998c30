"""Several alignment seeds: what is said of arms over seeds and prompts together, and ranks as ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.findings import Finding
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE, METRICS
from alignment_prism.domain.metrics import Difference, Metric, RelativeChange, Share, ShareOrMarked
from alignment_prism.domain.records import OUTCOME, Comparison, Generation, Outcome, Prompt, Score
from alignment_prism.evaluation.estimates import Hits
from alignment_prism.evaluation.observations import NamedScores, Observations, observe
from alignment_prism.evaluation.over_refusal import declined
from alignment_prism.evaluation.seed_rows import SeedStudy, Told
from alignment_prism.evaluation.win_rate import compared_with
from alignment_prism.scoring.metrics import all_metrics, find_metric
from alignment_prism.statistics.changes.ranks import LEAST_RANKED
from alignment_prism.statistics.changes.win_rates import combine_orders
from alignment_prism.statistics.grouped_means import prompt_means

Seen = Mapping[int, Observations]
"""What was asked and said, by seed."""


def seed_findings(
    prompts: Sequence[Prompt],
    runs: Mapping[int, tuple[Sequence[Generation], Sequence[Score]]],
    *,
    study: str,
    base_arm: str = "base",
    comparisons: Mapping[int, Sequence[Comparison]] | None = None,
) -> list[Finding]:
    """What changed in every arm over all its seeds, with intervals for other seeds and other prompts.

    Rows with seed -1, by language and scope, over all and as the plain mean over languages (`SeedModel`): prompts and
    seeds both vary. They are of every change against base of a share of replies (harm and its relative change,
    refusals, right answers and those of other rules), and of win-rates. Numbers of other kinds, such as lengths and
    scores of translations, are told seed by seed alone. `n` counts prompts. The signature has the seeds' standard
    deviation, the standard error that prompts alone would give, the p-value (of a win-rate that of one half), and for
    the headline (language `all`) that of Holm over the arms; of refusals also over the kinds of harmless prompts, which
    are read together. From one seed the interval is over prompts alone and named so, there is no p-value, and no arm is
    ranked. With three seeds or more of every arm, rows of metric `harm_rank` give each arm's rank among the aligned
    arms as a range: estimate the middle, ends the best and the worst rank that the data allow. Two seeds tell too
    little of the spread that ranks rest on. A seed whose weights are those of another is a copy and no further seed: it
    is left out for all arms, and the signature has `copies`. No method covers trainings of which a few collapse, where
    the seeds at hand have not.

    Args:
        prompts: of any kinds.
        runs: replies and verdicts by alignment seed; base is in each (the same replies, or others).
        study: its name.
        base_arm: which arm the others are compared with.
        comparisons: of the arms' replies with others, by seed.

    A prompt with several replies counts by its share. Prompts that lack a verdict of base or of any seed of an arm are
    left out for that arm; of harm for all arms, so that ranks are on the same prompts, unless none is left. `n` says
    how many are left. An arm of which none is left has no rows. Missing verdicts: `harm_findings` of each seed. A
    win-rate is over the seeds that were compared by one judge, rubric and opponent, and there is none where that is not
    so.

    Raises:
        InputError: no run, an arm or base that is not in every run, records that do not fit together, or a share that
            several scorers or rubrics tell.
    """
    copies = copied_seeds(runs, base_arm)
    seen = {seed: observe(prompts, *records) for seed, records in runs.items() if seed not in copies}
    arms = _common_arms(seen, base_arm)
    of_study = SeedStudy(prompts, study, base_arm, copies, next(iter(seen.values())))
    found: list[Finding] = []
    for told in _changes(prompts, seen, arms, base_arm):
        found += of_study.rows(told)
        if told.metric == HARM_DIFFERENCE and len(seen) >= LEAST_RANKED and len(told.arms) > 1:
            found += of_study.ranks(told)
    kept = {seed: of_seed for seed, of_seed in (comparisons or {}).items() if seed not in copies}
    for told in _win_rates(prompts, kept, len(seen)):
        found += of_study.rows(told)
    return found


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


def _common_arms(seen: Seen, base_arm: str) -> list[str]:
    if not seen:
        raise InputError("no runs", fix="pass the replies and verdicts of at least one seed")
    arms = list(dict.fromkeys(arm for one in seen.values() for arm in one.outcomes if arm != base_arm))
    for seed, one in seen.items():
        lacking = [arm for arm in (base_arm, *arms) if arm not in one.outcomes]
        if lacking:
            raise InputError(f"seed {seed} has no replies of {', '.join(lacking)}", fix="pass every arm in every run")
    return arms


def _changes(prompts: Sequence[Prompt], seen: Seen, arms: Sequence[str], base_arm: str) -> Iterator[Told]:
    """Every change against base of a share that all seeds tell."""
    relative = {m.estimator.of: m.name for m in all_metrics().values() if isinstance(m.estimator, RelativeChange)}
    for change in all_metrics().values():
        if not isinstance(change.estimator, Difference):
            continue
        of = find_metric(change.estimator.of)
        counts = np.array([p.kind in of.denominator.kinds and bool(p.reference or not of.denominator.checkable)
                           for p in prompts])  # fmt: skip
        tables = {arm: table for arm in (base_arm, *arms) if (table := _table(seen, arm, of, counts)) is not None}
        known = {arm: table for arm, table in tables.items() if not np.isnan(table).any(axis=0).all()}
        if known and of == HARM_RATE:
            known = _on_the_same_prompts(known)
        if base_arm not in known or len(known) < 2:
            continue
        source = _source(seen, of)
        yield Told(
            change, of, {arm: table for arm, table in known.items() if arm != base_arm}, known[base_arm],
            relative.get(of.name, ""), source.scorer if source.judged else "", source.rubric,
            () if source.judged else (("scorer", source.scorer),),
        )  # fmt: skip


def _table(seen: Seen, arm: str, of: Metric, counts: Hits) -> Hits | None:
    """S x P: of each prompt the share of replies that count, NaN where none is judged; None where a seed says nothing
    of it, or it is no share."""
    rows = []
    for one in seen.values():
        values = _values(one, arm, of)
        if values is None:
            return None
        rows.append(np.where(counts, prompt_means(values), np.nan))
    return np.stack(rows)


def _values(one: Observations, arm: str, of: Metric) -> Hits | None:
    estimator = of.estimator
    if not isinstance(estimator, (Share, ShareOrMarked)):
        return None
    if estimator.score == OUTCOME and not (one.scorer and one.tells(Outcome(estimator.label))):
        return None
    return declined(one, arm) if isinstance(estimator, ShareOrMarked) else one.values(arm, estimator)


def _source(seen: Seen, of: Metric) -> Observations | NamedScores:
    """What all seeds say of a share.

    Raises:
        InputError: several scorers or rubrics say it.
    """
    name = of.estimator.score if isinstance(of.estimator, Share) else OUTCOME
    sources = [one.scores.get(name, one) for one in seen.values()]
    for what, said in (("scorers", [one.scorer for one in sources]), ("rubrics", [one.rubric for one in sources])):
        if len(set(said)) > 1:
            raise InputError(
                f"{of.name} is said by several {what} over the seeds: {', '.join(sorted(set(said)))}",
                fix="score the replies of all seeds by one scorer and one rubric",
            )
    return sources[0]


def _on_the_same_prompts(tables: dict[str, Hits]) -> dict[str, Hits]:
    """The same, without the prompts that any lacks; all of them where none would be left."""
    lacking = np.isnan(np.concatenate(list(tables.values()))).any(axis=0)
    return tables if lacking.all() else {arm: np.where(lacking, np.nan, table) for arm, table in tables.items()}


def _win_rates(
    prompts: Sequence[Prompt], comparisons: Mapping[int, Sequence[Comparison]], seeds: int
) -> Iterator[Told]:
    """Of arms that were compared in every seed; a `Told` for each opponent, judge and rubric."""
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    found: dict[tuple[str, str, str], dict[str, Hits]] = {}
    for arm in dict.fromkeys(one.arm for of_seed in comparisons.values() for one in of_seed):
        by_seed = {seed: [one for one in of_seed if one.arm == arm] for seed, of_seed in comparisons.items()}
        compared = [compared_with(own, row, where=f", seed {seed}") for seed, own in by_seed.items() if own]
        ways = {(one.judge, one.rubric, one.opponent) for one in compared}
        if len(compared) == seeds and len(ways) == 1:
            found.setdefault(ways.pop(), {})[arm] = np.stack([combine_orders(*one.orders) for one in compared])
    metric = METRICS["win_rate"]
    for (judge, rubric, opponent), arms in found.items():
        extra = (("against", opponent), ("orders", "both"))
        yield Told(metric, metric, arms, judge=judge, rubric=rubric, extra=extra)
