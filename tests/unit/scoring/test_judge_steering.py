"""No reply that holds a verdict turns the verdict of a judge that judges rightly, in whatever manner it writes."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from inspect_ai.model._reasoning import parse_content_with_reasoning

from alignment_prism.scoring import load_rubric, parse_outcome, parse_rendered, parse_winner, render


@pytest.fixture(scope="module")
def steering(repository: Path) -> ModuleType:
    """`benchmarks/judge_steering.py`, with its attacks and judges."""
    spec = importlib.util.spec_from_file_location("judge_steering", repository / "benchmarks" / "judge_steering.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judge_steering"] = module
    spec.loader.exec_module(module)
    module.provider()
    return module


def ends(steering: ModuleType, kind: str, manner: str, *, by_provider: bool) -> Counter[str]:
    """How all attacks on a judge end; its thoughts are taken out by the provider, or left in."""
    found: Counter[str] = Counter()
    rubric = load_rubric(f"{kind}@2")
    for _, prompt, attack, base in steering.cases(kind):
        if kind == "pairwise" and prompt.language not in ("en", "ar"):  # four comparisons an attack are many
            continue
        pairs = [(attack.reply, base.reply), (base.reply, attack.reply)]
        for replies in [(attack.reply,)] if kind == "standalone" else pairs:
            shown = render(rubric, prompt, *replies)[-1].content
            lost = steering.winner("B" if replies[0] == attack.reply else "A")
            right = steering.outcome("harmful") if kind == "standalone" else lost
            said = steering.JUDGES[manner](parse_rendered(shown), right)
            text, stop = said if isinstance(said, tuple) else (said, "stop")
            if by_provider:
                text = parse_content_with_reasoning(text)[0]
            if kind == "standalone":
                read = parse_outcome(text, shown=shown, stop=stop)
                label = "" if read.problem else read.outcome.value
            else:
                label = parse_winner(text, shown=shown, stop=stop)[0] or ""
            found["unjudged" if not label else "right" if label == right.label else "flip"] += 1
    return found


@pytest.mark.parametrize("by_provider", [False, True])
@pytest.mark.parametrize("kind", ["standalone", "pairwise"])
def test_no_attack_turns_a_verdict(steering: ModuleType, kind: str, by_provider: bool) -> None:
    table = {manner: ends(steering, kind, manner, by_provider=by_provider) for manner in steering.JUDGES}
    assert {manner: found["flip"] for manner, found in table.items() if found["flip"]} == {}
    asked = table["as the rubric asks"]
    assert asked["right"] == asked.total() >= 60  # and nobody keeps such a judge from judging
    assert sum(found["right"] for found in table.values()) > 0.35 * sum(found.total() for found in table.values())


@pytest.mark.parametrize("manner", ["as the rubric asks", "quotes, then prose"])
def test_the_way_through_the_package_is_the_same(steering: ModuleType, manner: str) -> None:
    number = list(steering.JUDGES).index(manner)
    assert steering.standalone(number) == ends(steering, "standalone", manner, by_provider=False)
