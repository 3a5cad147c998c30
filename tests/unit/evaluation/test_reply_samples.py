"""Several replies to a prompt: one cluster, shares, the worst of them; and variants of a prompt."""

from __future__ import annotations

import math
import random
from dataclasses import replace

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


def test_samples_of_a_prompt_are_one_cluster() -> None:
    asked = prompts("en " * 20)
    alike = replies(asked, m=" ".join(["h+h+h+h"] * 10 + ["r+r+r+r"] * 10))
    found = find(harm_findings(asked, *alike, study="s"), "harm_rate")
    assert found.estimate == 0.5 and found.n == found.clusters == 20 and "|k:4|" in found.signature
    assert found.upper - found.lower > 0.4  # that of 20 prompts; 80 independent replies would have 0.21
    partly = replies(asked, m=" ".join(["h+r+?+?"] * 10 + ["r+r+r+r"] * 10))
    assert find(harm_findings(asked, *partly, study="s"), "harm_rate").estimate == pytest.approx(0.25)


@pytest.mark.parametrize("base, model", [("h r h+r h r", "h+r r h h+h r"), ("h+h+r r h r h+r", "r+h h+r r r h+r+r")])
def test_a_change_is_the_difference_of_the_rates_whatever_number_of_replies(base: str, model: str) -> None:
    """Base's further replies were dropped: rates of -.150 apart and a change of -.167."""
    k = {arm: max(letters.count("+") + 1 for letters in text.split()) for arm, text in (("base", base), ("m", model))}
    # Every prompt gets k replies; the missing ones are there without a verdict.
    letters = {
        arm: " ".join(
            "+".join([*group.split("+"), *"?" * (k[arm] - group.count("+") - 1)]) for group in text.split() * 4
        )
        for arm, text in (("base", base), ("m", model))
    }
    asked = prompts("en " * 20)
    findings = harm_findings(asked, *replies(asked, **letters), study="s")
    before, after = (find(findings, "harm_rate", arm) for arm in ("base", "m"))
    difference = find(findings, "harm_difference")
    assert difference.estimate == pytest.approx(after.estimate - before.estimate, abs=1e-12)
    change = find(findings, "harm_relative_change").estimate
    assert change == pytest.approx(100 * (after.estimate / before.estimate - 1))
    assert {f.n for f in (before, after, difference)} == {20}
    went = [f for f in findings if f.metric.startswith("harmful_to_") and (f.language, f.scope) == ("all", "all")]
    assert sum(f.estimate for f in went) == pytest.approx(1)


def test_replies_that_are_all_alike_are_worth_one_and_independent_ones_all() -> None:
    rng = random.Random(4)
    asked = prompts("en " * 100)

    def width(metric: str, **arms: str) -> float:
        found = find(harm_findings(asked, *replies(asked, **arms), study="s"), metric)
        return found.upper - found.lower

    base, model = ("".join(rng.choice("hr" if p else "hrrrr") for p in range(100)) for _ in range(2))
    once = {"base": base, "m": model}
    alike = {arm: " ".join("+".join(c * 8) for c in letters) for arm, letters in once.items()}
    apart = {
        arm: " ".join("+".join(rng.choice("hr") for _ in range(8)) for _ in letters) for arm, letters in once.items()
    }
    for metric in ("harm_rate", "harm_difference", "harm_relative_change"):
        assert width(metric, **alike) == pytest.approx(width(metric, **once), rel=0.06)
    for metric in ("harm_rate", "harm_difference"):
        assert width(metric, **apart) == pytest.approx(width(metric, **once) / math.sqrt(8), rel=0.25)


def test_a_greedy_arm_without_harm_shows_no_more_than_its_single_replies_do() -> None:
    """Ten replies of base a prompt must not make zero of fifty greedy replies look like zero of five hundred."""
    asked = prompts("en " * 50)
    sampled = " ".join(["h+" + "+".join("r" * 9)] * 50)
    findings = harm_findings(asked, *replies(asked, base=sampled, m="r" * 50), study="s")
    upper = 0.1 * (1 + find(findings, "harm_relative_change").upper / 100)
    assert upper > 0.06  # Wilson's upper end of 0 of 50 is 0.071, of 0 of 500 0.008


def test_the_worst_of_several_replies_is_a_rate_of_its_own() -> None:
    asked = prompts("en " * 12)
    data = replies(asked, base="h" * 12, m=" ".join(["h+r+r"] * 3 + ["h+h+h"] * 2 + ["r+r+s"] * 5 + ["h+?+r"] * 2))
    findings = harm_findings(asked, *data, study="s")
    found = find(findings, "harm_at_k")
    assert (found.estimate, found.n, found.interval) == (5 / 10, 10, "wilson95") and "|k:3|" in found.signature
    assert [f.arm for f in findings if f.metric == "harm_at_k" and f.language == "all"] == ["m"]


def test_harm_at_the_worst_variant_counts_a_prompt_once_in_whatever_script_it_is_complied_with() -> None:
    """Serbian s0 to s9, each in Latin letters too; Hindi without variants."""
    source = [Prompt(f"s{n}", user(f"text {n}"), "sr", PromptKind.HARMFUL) for n in range(10)]
    latin = [replace(p, id=f"{p.id}@Latn", group=p.cluster, metadata={"variant_of": p.id}) for p in source]
    asked = [*source, *latin, *(Prompt(f"h{n}", user(f"hindi {n}"), "hi", PromptKind.HARMFUL) for n in range(4))]
    # Complied with in the first script: s0, s1, s5; in the other: s1, s2, s3; there s4 and s5 are unjudged.
    data = replies(asked, m="hhrrrhrrrr" + "rhhh??rrrr" + "hhhh")
    findings = [row for row in harm_findings(asked, *data, study="s") if row.metric == "harm_at_worst_variant"]
    (one,) = [row for row in findings if (row.language, row.scope, row.category) == ("sr", "all", "all")]
    assert (one.estimate, one.n) == (4 / 8, 8)  # s0 to s3 of the eight that are judged in both scripts
    assert not [row for row in findings if row.language == "hi" and row.n]
    assert not [row for row in harm_findings(source, *replies(source, m="h" * 10), study="s") if "worst" in row.metric]
