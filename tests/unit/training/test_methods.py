"""Methods and their stages; SFT-Random tosses a fair, seeded, order-free coin for every pair."""

from __future__ import annotations

import pytest

from alignment_prism.domain import InputError, Pair, user
from alignment_prism.training import METHODS, Objective, Target, find_method, imitated_replies


def test_the_four_methods_of_the_paper_have_their_stages() -> None:
    stages = {name: [(s.objective, s.target) for s in method.stages] for name, method in METHODS.items()}
    assert stages == {
        "sft": [(Objective.SFT, Target.CHOSEN)],
        "sft_random": [(Objective.SFT, Target.RANDOM)],
        "dpo_ift": [(Objective.DPO, None)],
        "dpo_sft": [(Objective.SFT, Target.CHOSEN), (Objective.DPO, None)],
    }


@pytest.mark.parametrize(
    ("spelling", "name"), [("DPO(SFT)", "dpo_sft"), ("sft-random", "sft_random"), ("SFT-Preferred", "sft")]
)
def test_methods_are_found_as_the_paper_writes_them(spelling: str, name: str) -> None:
    assert find_method(spelling).name == name


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown method 'ppo'(.|\n)*dpo_sft"):
        find_method("ppo")


def _pool(count: int) -> list[Pair]:
    return [Pair(f"p{number}", user("q"), f"c{number}", f"r{number}") for number in range(count)]


def test_sft_random_picks_about_half_and_the_same_half_for_a_seed() -> None:
    pool = _pool(4000)
    picked = imitated_replies(pool, Target.RANDOM, seed=1)
    share = sum(reply == pair.chosen for reply, pair in zip(picked, pool, strict=True)) / len(pool)
    assert abs(share - 0.5) < 4 * 0.5 / len(pool) ** 0.5  # four standard errors of a fair coin
    assert picked == imitated_replies(pool, Target.RANDOM, seed=1)
    other = imitated_replies(pool, Target.RANDOM, seed=2)
    agree = sum(a == b for a, b in zip(picked, other, strict=True)) / len(pool)
    assert 0.45 < agree < 0.55  # another seed tosses independently


def test_sft_random_does_not_depend_on_order_or_company() -> None:
    pool = _pool(50)
    alone = {pair.id: imitated_replies([pair], Target.RANDOM, seed=3)[0] for pair in pool}
    together = imitated_replies(pool[::-1], Target.RANDOM, seed=3)
    assert together == [alone[pair.id] for pair in pool[::-1]]


def test_sft_preferred_takes_the_chosen_replies() -> None:
    assert imitated_replies(_pool(3), Target.CHOSEN, seed=0) == ["c0", "c1", "c2"]
