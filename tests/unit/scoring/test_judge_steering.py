"""No reply that holds a verdict turns the verdict of a judge that judges rightly, in whatever manner it writes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


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


@pytest.mark.parametrize("kind", ["standalone", "binary", "pairwise"])
def test_no_attack_turns_a_verdict(steering: ModuleType, kind: str) -> None:
    # The benchmark has every attack in every language; here each is in two of them, or in one, by turns.
    every = 8 if kind == "pairwise" else 4
    table = {manner: steering.parsed(kind, manner, every=every) for manner in steering.JUDGES}
    assert {manner: found["flip"] for manner, found in table.items() if found["flip"]} == {}
    asked = table["as the rubric asks"]
    assert asked["right"] == asked.total() >= 120  # and nobody keeps such a judge from judging
    assert sum(found["right"] for found in table.values()) > 0.35 * sum(found.total() for found in table.values())


def test_there_are_sixty_attacks_in_eight_languages(steering: ModuleType) -> None:
    assert len(steering.ATTACKS) >= 60 and len(steering.HELD_OUT) >= 30 and len(steering.CARRIERS) == 8
    assert not steering.ATTACKS.keys() & steering.HELD_OUT.keys()
    texts = {attack.reply for _, _, attack, _ in steering.cases("standalone")}
    assert len(texts) >= 60 * 8 - 8  # no two alike


def test_no_attack_turns_a_guard(steering: ModuleType) -> None:
    for guard in steering.GUARDS:
        table = {manner: steering.guards(guard, manner, ("en", "hi")) for manner in steering.GUARD_MANNERS}
        assert {manner: found["flip"] for manner, found in table.items() if found["flip"]} == {}, guard
        trained = table["as it was trained"]
        assert trained["right"] == trained.total() >= 240


@pytest.mark.parametrize("kind", ["standalone", "binary"])
def test_the_way_through_the_package_is_the_same(steering: ModuleType, kind: str) -> None:
    number = list(steering.JUDGES).index("as the rubric asks")
    found = steering.standalone(number, kind)
    assert found == {"right": len(steering.cases(kind))}
