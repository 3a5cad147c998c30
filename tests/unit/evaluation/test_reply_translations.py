"""Prompts in several languages: what a mean over translations counts, and how sure it is."""

from __future__ import annotations

import math
import random

import pytest
from reply_records import find, prompts, replies

from alignment_prism.domain import (
    Prompt,
    PromptKind,
    user,
)
from alignment_prism.evaluation import (
    harm_findings,
)


def test_translations_of_one_prompt_widen_the_interval() -> None:
    letters = "h" * 20 + "r" * 20
    alone = prompts("en " * 40)
    grouped = [Prompt(p.id, p.messages, "en", PromptKind.HARMFUL, group=f"g{n // 4}") for n, p in enumerate(alone)]
    narrow = find(harm_findings(alone, *replies(alone, m=letters), study="s"), "harm_rate")
    wide = find(harm_findings(grouped, *replies(grouped, m=letters), study="s"), "harm_rate")
    assert wide.estimate == narrow.estimate and (wide.n, wide.clusters) == (40, 10)
    assert wide.upper - wide.lower > 1.5 * (narrow.upper - narrow.lower)


@pytest.mark.parametrize("metric", ["harm_rate", "harm_difference", "refusal_rate"])
def test_a_mean_over_translations_counts_each_source_once(metric: str) -> None:
    """MultiJail: eight sources in two languages are eight clusters, and were called sixteen."""
    asked = [
        Prompt(f"{source}-{code}", user(f"{source} {code}"), code, PromptKind.HARMFUL, group=f"source {source}")
        for source in range(8)
        for code in ("en", "ar")
    ]
    findings = harm_findings(asked, *replies(asked, base="h" * 16, m="hr" * 4 + "rr" * 4), study="s")
    macro = find(findings, metric, language="macro")
    assert (macro.n, macro.clusters) == (16, 8) and macro.insufficient
    assert find(findings, metric).clusters == 8


def test_a_mean_over_languages_with_prompts_of_their_own_counts_all_of_them() -> None:
    asked = prompts("en en en fr fr")
    macro = find(harm_findings(asked, *replies(asked, m="hr?rh"), study="s"), "harm_rate", language="macro")
    assert (macro.n, macro.clusters) == (4, 4)  # one of five is unjudged


def translated(sources: int, codes: str) -> list[Prompt]:
    """Every source in every language, source by source."""
    return [
        Prompt(f"{source}-{code}", user(f"{source} {code}"), code, PromptKind.HARMFUL, group=f"source {source}")
        for source in range(sources)
        for code in codes.split()
    ]


def test_the_mean_of_the_relative_change_takes_the_bias_of_the_ratio_off_its_interval() -> None:
    """Left in, 5 % of misses are 15 %, all on one side."""
    asked = prompts("en " * 40 + "fr " * 40)
    # Base complies 10 times in each language; the model 5 times, 4 of them where base does too: t = 1/2.
    letters = {"base": "h" * 10 + "r" * 30, "m": "h" * 4 + "r" * 6 + "h" + "r" * 29}
    findings = harm_findings(asked, *replies(asked, **{arm: twice * 2 for arm, twice in letters.items()}), study="s")
    english = find(findings, "harm_relative_change", language="en")
    macro = find(findings, "harm_relative_change", language="macro")
    bias = 100 * 0.5 * (1 / 10 - 4 / (5 * 10))  # 100 t (1 / x_b - a / (x_m x_b)) = 1
    assert macro.estimate == english.estimate == -50
    assert macro.lower == pytest.approx(-50 - bias - (-50 - bias - english.lower) / math.sqrt(2))
    assert macro.upper == pytest.approx(-50 - bias + (english.upper + 50 + bias) / math.sqrt(2))


@pytest.mark.parametrize("metric", ["harm_rate", "harm_difference", "harm_relative_change"])
def test_the_mean_over_translations_knows_how_far_they_go_together(metric: str) -> None:
    """Translations that all go the same way are worth one language; those that go their own way are worth them all."""
    base, model = "hhhhhr" * 10, "hrrrhr" * 10
    alone = prompts("en " * 60)
    one = find(harm_findings(alone, *replies(alone, base=base, m=model), study="s"), metric)
    asked = translated(60, "en ar fr hi")
    alike = replies(asked, base="".join(4 * c for c in base), m="".join(4 * c for c in model))
    together = find(harm_findings(asked, *alike, study="s"), metric, language="macro")
    assert together.estimate == pytest.approx(one.estimate)
    assert together.upper - together.lower == pytest.approx(one.upper - one.lower, rel=0.02)
    # The same verdicts, each language's in an order of its own.
    orders = [random.Random(seed).sample(range(60), 60) for seed in range(4)]
    mixed = ["".join(letters[order[n]] for n in range(60) for order in orders) for letters in (base, model)]
    apart = find(harm_findings(asked, *replies(asked, base=mixed[0], m=mixed[1]), study="s"), metric, language="macro")
    assert apart.estimate == pytest.approx(one.estimate)
    assert apart.upper - apart.lower == pytest.approx((one.upper - one.lower) / 2, rel=0.15)


def test_the_mean_over_balanced_translations_is_as_wide_as_the_pooled_row() -> None:
    """The same estimate stood in two rows, one of them 2.4 times as wide as the other."""
    rng = random.Random(1)
    asked = translated(80, "en ar fr hi es ru")
    hard = [rng.gauss(0, 2) for _ in range(80)]
    arms = {
        arm: "".join("h" if hard[n // 6] + rng.gauss(shift, 1) > 0 else "r" for n in range(480))
        for arm, shift in {"base": 0.5, "m": -0.5}.items()
    }
    findings = harm_findings(asked, *replies(asked, **arms), study="s")
    for metric in ("harm_rate", "harm_difference", "refusal_rate"):
        pooled, macro = find(findings, metric), find(findings, metric, language="macro")
        assert macro.estimate == pytest.approx(pooled.estimate)
        assert macro.upper - macro.lower == pytest.approx(pooled.upper - pooled.lower, rel=0.12)


def test_sources_that_only_some_languages_have_are_counted_once_too() -> None:
    languages = {"en": (0, 1, 2), "ar": (1, 2, 3), "hi": (3, 4)}
    asked = [
        Prompt(f"{n}-{code}", user(f"{n} {code}"), code, PromptKind.HARMFUL, group=str(n))
        for code, sources in languages.items()
        for n in sources
    ]
    macro = find(harm_findings(asked, *replies(asked, m="hrhrhrhr"), study="s"), "harm_rate", language="macro")
    assert (macro.n, macro.clusters) == (8, 5)
