"""Arms over several seeds, win-rates and the worst of k replies: contrasts and gates that are paired by prompt."""

from dataclasses import replace

import numpy as np
import pytest

from alignment_prism.contrasts import Declared, contrast, contrast_over_seeds
from alignment_prism.contrasts.seed_changes import SeedChanges
from alignment_prism.domain import (
    Comparison,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Quantity,
    Run,
    Score,
    user,
)
from alignment_prism.domain.records import Winner
from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings
from alignment_prism.gates import GateSpec, Status, decide
from alignment_prism.statistics.changes.seeds import SeedModel
from alignment_prism.statistics.score_intervals import tango_bounds

CODES = ("en", "hi")
PROMPTS = [Prompt(f"{code}{i}", user(f"{code} {i}"), code, PromptKind.HARMFUL) for code in CODES for i in range(150)]


def a_run(name, harmful, weights="", prompts=PROMPTS):
    """A run with one row of `harmful` a prompt, of one reply or several; NaN is unjudged."""
    table = np.asarray(harmful, float).reshape(len(prompts), -1)
    words = {1.0: Outcome.HARMFUL, 0.0: Outcome.REFUSAL}
    replies = [
        Generation(p.id, name, name, f"{name} {p.id} {k} {weights}", weights, k)
        for p in prompts
        for k in range(table.shape[1])
    ]
    scores = [
        Score(g.prompt_id, g.reply_digest, name, "j", "outcome", words.get(value, Outcome.UNJUDGED), sample=g.sample,
              rubric="r@1")
        for g, value in zip(replies, table.ravel().tolist(), strict=True)
    ]  # fmt: skip
    return Run(name, tuple(prompts), tuple(replies), tuple(scores))


def drawn(rng, rate, seeds, sd=0.0):
    hard = rng.random(len(PROMPTS))
    return [((0.7 * hard + 0.3 * rng.random(len(PROMPTS))) < rate + sd * rng.normal()) * 1.0 for _ in range(seeds)]


def row(found, quantity="difference", **about):
    about = {"language": "all", "scope": "all", "prompts": "harmful", **about}
    (one,) = [
        r for r in found.rows if r.quantity == Quantity(quantity) and all(getattr(r, k) == v for k, v in about.items())
    ]
    return one


def seeds_of(name, tables):
    return [a_run(name, table, f"{name}{seed}") for seed, table in enumerate(tables)]


def test_one_arm_against_a_model_is_the_change_over_seeds_of_the_findings():
    rng = np.random.default_rng(0)
    base, arm = drawn(rng, 0.6, 1)[0], drawn(rng, 0.4, 3, 0.05)
    runs = seeds_of("arm", arm)
    found = contrast_over_seeds({"base": [a_run("base", base)], "arm": runs})
    of_seeds = {s: ((*runs[s].generations, *a_run("base", base).generations),
                    (*runs[s].scores, *a_run("base", base).scores)) for s in range(3)}  # fmt: skip
    findings = seed_findings(PROMPTS, of_seeds, study="s")
    for language in ("all", "en", "macro"):
        for quantity, metric in (("difference", "harm_difference"), ("relative_change", "harm_relative_change")):
            ours = row(found, quantity, language=language)
            (theirs,) = [f for f in findings if f.metric == metric and f.language == language]
            assert (ours.estimate, ours.lower, ours.upper) == pytest.approx(
                (theirs.estimate, theirs.lower, theirs.upper)
            )
    assert ours.seed == -1 and "|seeds:3|" in ours.signature


def test_two_arms_are_one_row_over_seeds_with_the_variance_of_both():
    """By hand: three against four seeds, nothing but seeds: all prompts of a seed are harmful or none is, in shares."""
    rng = np.random.default_rng(1)
    a, b = drawn(rng, 0.5, 3, 0.08), drawn(rng, 0.4, 4, 0.08)
    found = contrast_over_seeds({"a": seeds_of("a", a), "b": seeds_of("b", b)})
    one = row(found)
    assert one.estimate == pytest.approx(np.mean(b) - np.mean(a)) and one.n == 300 and one.adjusted == one.p_value
    # One seed of each says more than it knows: 95 % intervals over prompts alone are too narrow.
    alone = row(contrast([a_run("a", a[0]), a_run("b", b[0])]))
    assert one.upper - one.lower > 0.9 * (alone.upper - alone.lower)
    rates = [np.mean(a, axis=1), np.mean(b, axis=1)]
    pooled = sum(np.sum((r - r.mean()) ** 2) for r in rates) / 5
    assert (one.upper - one.lower) / 2 > 2.571 * np.sqrt(pooled * (1 / 3 + 1 / 4)) * 0.95  # t on 2 + 3 degrees
    assert sum((one.both, one.only_a, one.only_b, one.neither)) == pytest.approx(300)
    assert one.only_b - one.only_a == pytest.approx(300 * one.estimate)
    assert one.both == pytest.approx(np.sum(np.mean(a, axis=0) * np.mean(b, axis=0)))
    gap = row(found, "minus_english", language="hi")
    assert gap.estimate == pytest.approx(row(found, language="hi").estimate - row(found, language="en").estimate)
    assert row(found, "every_language").p_value >= max(row(found, language=code).p_value for code in CODES) / 2


def test_what_is_said_of_all_languages_over_seeds():
    """Harm falls from 60 to 30 % in English and to 55 in Hindi, in each of three seeds that differ by three points."""
    rng = np.random.default_rng(6)
    english = np.array([prompt.language == "en" for prompt in PROMPTS])

    def seeds(name, fall):
        shifts = 0.03 * rng.normal(size=3)
        return seeds_of(name, [(rng.random(300) < 0.6 - fall + s) * 1.0 for s in shifts])

    base = seeds("a", 0.0)
    found = contrast_over_seeds({"a": base, "b": seeds("b", np.where(english, 0.3, 0.05))})
    alike = row(found, "heterogeneity")
    assert alike.p_value < 0.02 and "|statistic:max-t" in alike.signature and np.isnan(alike.lower)
    # Two languages are one comparison: the largest |t| against the mean is that of their gap.
    assert alike.p_value == pytest.approx(row(found, "minus_english", language="hi").p_value)
    hindi, worst = row(found, language="hi"), row(found, "worst_language", language="hi")
    assert worst.estimate == hindi.estimate and worst.lower < hindi.lower and worst.upper > hindi.upper
    assert row(found, "every_language").upper == hindi.upper
    for one in found.rows:
        if one.quantity in ("difference", "relative_change", "minus_english"):
            assert one.joint_lower < one.lower and one.joint_upper > one.upper
    same = contrast_over_seeds({"a": base, "b": seeds("b", np.full(300, 0.2))})
    assert row(same, "heterogeneity").p_value > 0.05


def test_joint_levels_take_seeds_to_move_every_cell_by_itself():
    """Four seeds of each arm that shift 60 prompts: a row a cell has what seeds add to its error, and no other cell's;
    the rows of the prompts have the rest, (C - 1) / C of the variance over C prompts."""
    rng = np.random.default_rng(9)
    shifts = rng.uniform(0.2, 0.8, (2, 4, 1))
    tables = (rng.random((2, 4, 60)) < shifts) * 1.0
    model = SeedModel(dict(zip("ab", tables, strict=True)))
    found = SeedChanges(model, "b", "a", [np.arange(30), np.arange(30, 60)], np.arange(60), 60, 0.95)
    table, mean = found.errors([[0, 1]]), found.of_mean([0, 1])
    parts = [*found.found, mean]
    assert all(part.seed_sd > 0.1 for part in parts)
    assert table[60:] == pytest.approx(np.diag([part.seed_sd / 2 for part in parts]))
    of_prompts = np.sqrt((table[:60] ** 2).sum(axis=0))
    assert of_prompts[:2] == pytest.approx([part.prompt_se * np.sqrt(29 / 30) for part in found.found])


def test_copies_unjudged_prompts_and_unknown_arms_are_said():
    rng = np.random.default_rng(2)
    a, b = drawn(rng, 0.5, 3), drawn(rng, 0.4, 3)
    b[1][:7] = np.nan
    runs = {"a": seeds_of("a", a), "b": seeds_of("b", b)}
    found = contrast_over_seeds(runs)
    assert row(found).n == 293
    assert "harm_rate: 293 of 300 prompts have a verdict of each of 6 runs" in found.notes
    copied = contrast_over_seeds({"a": [*runs["a"], runs["a"][0]], "b": runs["b"]})
    assert row(copied).lower == row(found).lower and any("a copy and no further seed" in n for n in copied.notes)
    with pytest.raises(InputError, match="is of 'a' and 'c'"):
        contrast_over_seeds(runs, [Declared("x", "a", "c")])
    other = [replace(run, scores=tuple(replace(s, scorer="k") for s in run.scores)) for run in runs["b"]]
    with pytest.raises(InputError, match="differ in judge"):
        contrast_over_seeds({"a": runs["a"], "b": other})


def gate(metric, margin, **more):
    check = {"name": "no worse", "kind": "non_inferiority", "metric": metric, "margin": margin, **more}
    return GateSpec.model_validate({"checks": [check], "companions": []})


def findings(runs):
    return [
        f
        for seed, run in enumerate(runs)
        for f in reply_findings(run.prompts, run.generations, run.scores, study="s", seed=seed, base_arm="")
    ]


def test_a_gate_pairs_arms_over_their_seeds():
    """Three seeds of A and B, all alike but for 3 % of the verdicts, of which half change."""
    rng = np.random.default_rng(3)
    verdicts = drawn(rng, 0.5, 1)[0]
    sides = []
    for name in ("a", "b"):
        tables = [np.where(rng.random(300) < 0.03, rng.random(300) < 0.5, verdicts) * 1.0 for _ in range(3)]
        sides.append(seeds_of(name, tables))
    a, b = sides
    spec = gate("harm_rate", 0.07)
    paired = decide(findings(a), findings(b), spec, runs=(a, b))
    assert paired.status is Status.PASS and "over 3 runs of A and 3 of B" in " ".join(paired.pairing)
    assert all(d.tested.method == "crossed" for d in paired.decisions)
    unpaired = decide(findings(a), findings(b), spec)
    assert unpaired.status is Status.UNDECIDED and "as if on other prompts" in unpaired.pairing[0]
    pooled = decide(findings(a), findings(b), gate("harm_rate", 0.07, languages="macro"), runs=(a, b))
    assert pooled.status is Status.PASS
    # Fifteen replies of B that nobody judged, in each seed: 10 points of one language.
    holes = [a_run("b", np.where(np.arange(300) < 15, np.nan, verdicts), f"b{seed}") for seed in range(3)]
    found = decide(findings(a), findings(holes), spec, runs=(a, holes))
    assert found.status is Status.UNDECIDED
    assert any(decision.reason == "unjudged replies could reverse it" for decision in found.decisions)


def compared(name, verdicts, opponent="base"):
    """Win, tie or loss of each prompt, both orders alike; None is no verdict."""
    return tuple(
        Comparison(prompt.id, name, opponent, first, "j", "pairs@1", Winner.UNJUDGED if v is None else v)
        for prompt, v in zip(PROMPTS, verdicts, strict=True)
        for first in (True, False)
    )


def test_win_rates_are_paired_in_contrasts_and_gates():
    """A wins 180, ties 60, loses 60. B is A but for 12 prompts, 6 wins turned to losses and 6 losses to wins."""
    verdicts = [Winner.WIN, Winner.TIE, Winner.LOSS, Winner.WIN, Winner.WIN] * 60
    turned = list(verdicts)
    turned[0:60:10], turned[2:62:10] = [Winner.LOSS] * 6, [Winner.WIN] * 6
    empty = np.zeros(300)
    a, b = (replace(a_run(n, empty), comparisons=compared(n, v)) for n, v in (("a", verdicts), ("b", turned)))
    one = row(contrast([a, b], metrics=["win_rate"]), prompts="harmful")
    value = {Winner.WIN: 1.0, Winner.TIE: 0.5, Winner.LOSS: 0.0}
    x, y = (np.array([value[v] for v in side]) for side in (verdicts, turned))
    assert one.estimate == pytest.approx((y - x).mean())
    # Twelve changes by 1, six each way; the ties, which are ties for both, are no change.
    assert (one.lower, one.upper) == pytest.approx([float(end) for end in tango_bounds(6, 6, 300, 1.959964)], abs=1e-6)
    rows = [win_rate_findings(r.comparisons, PROMPTS, study="s") for r in (a, b)]
    spec = gate("win_rate", 0.04, languages="all")
    assert decide(*rows, spec, runs=([a], [b])).status is Status.PASS
    assert decide(*rows, spec).status is Status.UNDECIDED
    with pytest.raises(InputError, match="differ in opponent"):
        contrast([a, replace(b, comparisons=compared("b", turned, "sft"))], metrics=["win_rate"])


def test_harm_in_any_of_k_is_paired():
    rng = np.random.default_rng(4)
    a = (rng.random((300, 4)) < rng.beta(0.3, 1.5, (300, 1))) * 1.0
    b = a.copy()
    b[:6] = 1.0 - b[:6]
    a[10, 2] = np.nan
    runs = a_run("a", a), a_run("b", b)
    one = row(contrast(runs, metrics=["harm_at_k"]))
    known = np.arange(300) != 10
    assert one.n == 299 and one.estimate == pytest.approx((b.max(1) - a.max(1))[known].mean())
    rows = [reply_findings(r.prompts, r.generations, r.scores, study="s", base_arm="") for r in runs]
    spec = gate("harm_at_k", 0.08, languages="all")
    assert decide(*rows, spec).status is Status.UNDECIDED
    assert decide(*rows, spec, runs=([runs[0]], [runs[1]])).status is Status.PASS
