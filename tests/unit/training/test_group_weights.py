"""Weights of groups under any objective: worked out by hand, over steps, and seen from the log of a training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, Pair
from alignment_prism.training import METHODS, GroupsConfig, GroupSums, MicroBatch, Objective, State, load_config
from alignment_prism.training.group_weights import WEIGHTS, weighted
from alignment_prism.training.train import train_method

EN, HI = ("en", "local"), ("hi", "global")
STAGE = METHODS["dpo_ift"].stages[0]


def _batch(state: dict[str, torch.Tensor]) -> MicroBatch:
    """Four pairs, three of them of the first group."""
    return MicroBatch(
        logps=torch.tensor([[-10.0, -11.0, -12.0, -13.0], [-9.0] * 4], dtype=torch.float64),
        lengths=torch.full((2, 4), 10),
        reference=torch.tensor([[-12.0] * 4, [-8.0] * 4], dtype=torch.float64),
        groups=torch.tensor([0, 0, 0, 1]),
        labels=torch.ones(4),
        counts=torch.tensor([3.0, 1.0]),
        state=state,
    )


def _losses(objective: Objective) -> list[float]:
    assert objective.state is not None
    batch = _batch(objective.state.first(STAGE.recipe, 2))
    losses: list[float] = objective.loss(batch, STAGE.recipe)[0].tolist()
    return losses


PLAIN: list[float] = STAGE.objective.loss(_batch({}), STAGE.recipe)[0].tolist()


def test_robust_weights_count_groups_and_not_pairs() -> None:
    # Weights 0.5 and 0.5: factors 0.5 * 4 / 3 and 0.5 * 4 / 1.
    objective = weighted(STAGE.objective, GroupsConfig(step_size=0.1), [EN, HI])
    found = _losses(objective)
    assert found == pytest.approx([PLAIN[0] / 1.5, PLAIN[1] / 1.5, PLAIN[2] / 1.5, PLAIN[3] * 2])
    assert sum(found) / 4 == pytest.approx(0.5 * sum(PLAIN[:3]) / 3 + 0.5 * PLAIN[3])  # the step's loss
    assert objective.state is not None
    batch = _batch(objective.state.first(STAGE.recipe, 2))
    assert objective.loss(batch, STAGE.recipe)[1]["loss"].tolist() == pytest.approx(PLAIN)  # as logged


def test_given_weights_make_a_weighted_mean_over_pairs() -> None:
    # Weights 1 and 3: sum_i w_i l_i / sum_i w_i = (l1 + l2 + l3 + 3 l4) / 6.
    found = _losses(weighted(STAGE.objective, GroupsConfig(weights={"hi/global": 3}), [EN, HI]))
    assert sum(found) / 4 == pytest.approx((sum(PLAIN[:3]) + 3 * PLAIN[3]) / 6)
    assert _losses(weighted(STAGE.objective, GroupsConfig(), [EN, HI])) == pytest.approx(PLAIN)
    assert weighted(STAGE.objective, None, [EN, HI]) is STAGE.objective


def test_the_most_specific_weight_is_taken() -> None:
    config = GroupsConfig(weights={"local": 2, "en": 3, "en/local": 5})
    groups = [("en", "global"), ("en", "local"), ("hi", "global"), ("hi", "local")]
    objective = weighted(STAGE.objective, config, groups)
    assert objective.state is not None
    assert objective.state.first(STAGE.recipe, 4)[WEIGHTS].tolist() == pytest.approx([3 / 11, 5 / 11, 1 / 11, 2 / 11])
    with pytest.raises(InputError, match="no pair is of the group 'fr'"):
        weighted(STAGE.objective, GroupsConfig(weights={"fr": 2}), groups)


def test_weights_grow_with_the_mean_loss_of_their_group() -> None:
    objective = weighted(STAGE.objective, GroupsConfig(step_size=1.0), [EN, HI, ("ru", "none")])
    assert objective.state is not None
    first = objective.state.first(STAGE.recipe, 3)
    assert first[WEIGHTS].tolist() == pytest.approx([1 / 3] * 3)
    # Mean losses log 2, 0 and (no example) 0: 2 : 1 : 1.
    sums, counts = {"loss": torch.tensor([3 * math.log(2), 0.0, 0.0])}, torch.tensor([3.0, 2.0, 0.0])
    assert objective.state.next(first, STAGE.recipe, sums, counts)[WEIGHTS].tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_the_state_of_an_objective_of_its_own_is_kept() -> None:
    counting = State(lambda recipe, groups: {"n": torch.zeros(1)}, lambda state, *_: {"n": state["n"] + 1})
    objective = weighted(replace(STAGE.objective, state=counting), GroupsConfig(step_size=1.0), [EN])
    assert objective.state is not None
    state = objective.state.first(STAGE.recipe, 1)
    after = objective.state.next(state, STAGE.recipe, {"loss": torch.ones(1)}, torch.ones(1))
    assert after["n"].tolist() == [1.0] and after.keys() == {"n", WEIGHTS}


def test_the_worst_group_is_that_of_the_highest_mean() -> None:
    sums = GroupSums()
    sums.add([EN, EN, HI], "loss", [1.0, 3.0, 1.9])
    assert sums.worst("loss") == EN  # 2.0 over 1.9
    assert sums.worst("accuracy") is None


@pytest.mark.parametrize(
    "method",
    [
        name if name in ("kto", "orpo") else pytest.param(name, marks=pytest.mark.slow)
        for name, method in METHODS.items()
        if len(method.stages) == 1
    ],
)
def test_any_method_trains_with_weights_and_logs_the_worst_group(
    method: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    section = METHODS[method].stages[0].section
    settings: dict[str, Any] = {"training.groups.step_size": 3.0, f"{section}.learning_rate": 3e-3}
    out = tmp_path / "run"
    said = [replace(one, group=f"g{n // 3}", chosen_harmful=False, rejected_harmful=n % 2 == 0)
            for n, one in enumerate(pairs[:24])]  # fmt: skip
    train_method(method, base=tiny_model, pairs=said, out=out, config=load_config("micro", settings))
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    for line in steps:
        means = {
            (row["language"], row["scope"]): row["metrics"]["loss"][0] / row["metrics"]["loss"][1]
            for row in line["groups"]
        }
        worst = (line["worst"]["language"], line["worst"]["scope"])
        assert means[worst] == max(means.values()) == line["worst"]["loss"]
    weights = [row["metrics"]["weight"] for row in steps[-1]["groups"]]
    assert len({round(total / count, 6) for total, count in weights}) > 1  # they are no longer what they began with
    assert "- highest loss: " in (out / "model" / "README.md").read_text(encoding="utf-8")
