"""Losses at values worked out by hand, what every objective promises, and what is said of each."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from method_stages import STAGES, batch_of

from alignment_prism.domain import InputError, Pair, PairKind, Scope, user
from alignment_prism.training import METHODS, MicroBatch, Recipe
from alignment_prism.training.objectives import both
from alignment_prism.training.objectives.safe_dpo import SAFE_DPO

PREFERENCES = sorted(name for name, stage in STAGES.items() if stage.objective.replies is both)


def _loss(name: str, batch: MicroBatch, **settings: Any) -> list[float]:
    stage = STAGES[name]
    losses: list[float] = stage.objective.loss(batch, stage.recipe.model_copy(update=settings))[0].tolist()
    return losses


# Log-ratios: chosen -10 - (-12) = 2, rejected -9 - (-8) = -1, their difference 3.
PAIR = {"logps": [[-10.0], [-9.0]], "reference": [[-12.0], [-8.0]], "lengths": [[4], [2]]}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("sft", {}, 10.0),  # -log pi of the first reply
        ("dpo", {"beta": 0.1}, 0.5543552),  # margin 0.3; -log(1 / (1 + e^-0.3)) = log(1 + 0.7408182)
        ("hinge", {"beta": 0.1}, 0.7),  # 1 - 0.3
        ("hinge", {"beta": 0.5}, 0.0),  # the margin 1.5 is beyond 1
        ("robust", {"beta": 0.1, "flipped": 0.0}, 0.5543552),  # DPO
        ("robust", {"beta": 0.1, "flipped": 0.25}, 0.4043552),  # (0.75 * 0.5543552 - 0.25 * 0.8543552) / 0.5
        ("cdpo", {"beta": 0.1, "flipped": 0.0}, 0.5543552),  # DPO
        ("cdpo", {"beta": 0.1, "flipped": 0.25}, 0.6293552),  # 0.75 * 0.5543552 + 0.25 * 0.8543552
        ("ipo", {"tau": 0.125}, 9.0),  # means over tokens 2 / 4 and -1 / 2; (0.5 + 0.5 - 1 / 0.25)^2
        # rewards 0.2 and -0.1: 1 - 0.5498340 + 0.4750208; margin 0.3: 0.5498340 + 1 - 0.5744425
        ("apo_zero", {"beta": 0.1}, 0.9251868),
        ("apo_down", {"beta": 0.1}, 0.9753915),
        ("safe_dpo", {"beta": 0.1, "margin": 2.0}, 1.8677861),  # log(1 + e^(2 - 0.3)), log(1 + 5.4739474)
        ("safe_dpo", {"beta": 0.1, "margin": 0.0}, 0.5543552),  # DPO
        # means over tokens -10 / 4 and -9 / 2; 2 * (-2.5 + 4.5) - 0.5 = 3.5; log(1 + e^-3.5) = log(1.0301974)
        ("simpo", {"beta": 2.0, "gamma": 0.5}, 0.0297504),
    ],
)
def test_losses_at_values_worked_out_by_hand(name: str, settings: dict[str, Any], expected: float) -> None:
    assert _loss(name, batch_of(**PAIR), **settings) == pytest.approx([expected], abs=1e-6)


def test_cdpo_is_least_at_the_margin_of_the_share_that_it_believes_and_dpo_has_none() -> None:
    """sigmoid(margin) = 0.8 at log(4)."""
    best = math.log(4)
    batches = [batch_of([[margin], [0.0]], [[0.0], [0.0]]) for margin in (best - 1, best, 3, 30)]
    at = [_loss("cdpo", batch, beta=1.0, flipped=0.2)[0] for batch in batches]
    falling = [_loss("dpo", batch, beta=1.0)[0] for batch in batches]
    assert falling == sorted(falling, reverse=True) and 0 < falling[-1] < 1e-12 < falling[-2]
    assert at[1] == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2)) and at[1] < min(at[0], *at[2:])


def test_orpo_at_a_value_worked_out_by_hand() -> None:
    # Chosen: mean log-probability log 0.5, odds 1; rejected: log 0.2, odds 0.25. Ratio 4: -log sigmoid(log 4) is
    # -log(4 / 5) = 0.2231436. Beside it -log 0.5 = 0.6931472; 0.6931472 + 0.5 * 0.2231436 = 0.8047190.
    batch = batch_of([[4 * math.log(0.5)], [2 * math.log(0.2)]], lengths=[[4], [2]])
    assert _loss("orpo", batch, weight=0.5) == pytest.approx([0.8047190], abs=1e-6)


def test_kto_at_values_worked_out_by_hand() -> None:
    # Log-ratios 2 and 2, divergence 0.5: gains 0.15 in reward.
    # Good: 1.5 * (1 - 1 / (1 + e^-0.15)); bad: 1 - 1 / (1 + e^0.15).
    ratios = batch_of([[-10.0, -6.0]], [[-12.0, -8.0]], labels=[1, 0], divergence=0.5)
    assert _loss("kto", ratios, beta=0.1, desirable=1.5) == pytest.approx([1.5 * 0.4625702, 0.5374298], abs=1e-6)
    metrics = STAGES["kto"].objective.loss(ratios, STAGES["kto"].recipe)[1]
    assert metrics["accuracy"].tolist() == [1.0, 0.0]  # the bad reply gained more than any
    none = batch_of([[-10.0, -6.0]], [[-12.0, -8.0]], labels=[1, 0], divergence=2.0)
    assert STAGES["kto"].objective.loss(none, STAGES["kto"].recipe)[1]["accuracy"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("chosen", "rejected", "first", "label"),
    [(False, True, "c", 1.0), (True, False, "r", 1.0), (False, False, "c", 0.0), (None, None, "c", 0.0)],
)
def test_safe_dpo_puts_the_harmless_reply_first(
    chosen: bool | None, rejected: bool | None, first: str, label: float
) -> None:
    pair = Pair("p", user("q"), "c", "r", chosen_harmful=chosen, rejected_harmful=rejected)
    (replies,) = SAFE_DPO.replies(pair, 0)
    assert replies.texts[0] == first and replies.label == label and set(replies.texts) == {"c", "r"}


def test_safe_dpo_leaves_out_two_harmful_replies_and_refuses_safety_pairs_that_do_not_say() -> None:
    pair = Pair("p", user("q"), "c", "r", kind=PairKind.SAFETY, chosen_harmful=True, rejected_harmful=True)
    assert SAFE_DPO.replies(pair, 0) == ()
    with pytest.raises(InputError, match=r"does not say which of its replies are harmful(.|\n)*pair p"):
        SAFE_DPO.replies(replace(pair, rejected_harmful=None), 0)
    with pytest.raises(InputError, match="does not say"):  # harm of a scope, in a file without kinds
        SAFE_DPO.replies(Pair("p", user("q"), "c", "r", scope=Scope.LOCAL), 0)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_replies_without_a_token_have_a_finite_loss_and_gradient(name: str) -> None:
    stage = STAGES[name]
    nothing: Any = [[0.0]] * stage.objective.branches
    batch = batch_of(nothing, reference=nothing, lengths=[[0]] * stage.objective.branches, weights=[1.0])
    batch.logps.requires_grad_()
    loss = stage.objective.loss(batch, stage.recipe)[0].sum()
    (gradient,) = torch.autograd.grad(loss, batch.logps)
    assert bool(torch.isfinite(loss)) and bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.objective.first_loss is not None])
def test_the_first_loss_is_what_the_objective_says(name: str) -> None:
    stage = STAGES[name]
    branches = stage.objective.branches
    logps = [[-3.0, -40.0], [-7.0, -8.0]][:branches]
    batch = batch_of(logps, reference=logps, lengths=[[2, 20], [3, 1]][:branches], groups=[0, 1], weights=[0.5, 0.5])
    assert stage.objective.first_loss is not None and stage.objective.uses_reference
    expected = stage.objective.first_loss(stage.recipe)
    losses, metrics = stage.objective.loss(batch, stage.recipe)
    assert metrics.get("loss", losses).tolist() == pytest.approx([expected] * 2, rel=1e-12)
    assert metrics["accuracy"].tolist() == [0.5, 0.5]  # neither reply is preferred yet
    if name in ("dpo", "cdpo", "robust"):
        assert expected == math.log(2)


@pytest.mark.parametrize("name", PREFERENCES)
def test_every_preference_loss_raises_the_chosen_reply_over_the_other(name: str) -> None:
    stage = STAGES[name]
    reference = None if not stage.objective.uses_reference else [[-11.0, -20.0], [-9.5, -30.0]]
    batch = batch_of([[-11.2, -20.5], [-9.7, -29.0]], reference, groups=[0, 1], weights=[0.3, 0.7])
    batch.logps.requires_grad_()
    losses, metrics = stage.objective.loss(batch, stage.recipe)
    (gradient,) = torch.autograd.grad(losses.sum(), batch.logps)
    assert bool((gradient[1] > 0).all()) and bool((gradient[0] < gradient[1]).all())
    if name != "apo_down":  # which takes chosen replies down as well
        assert bool((gradient[0] < 0).all())
    assert all(value.shape == (2,) for value in (losses, *metrics.values()))
    assert {"accuracy", "margin"} <= metrics.keys()


def test_the_documentation_has_a_row_for_every_method() -> None:
    page = (Path(__file__).parents[3] / "docs" / "align.md").read_text(encoding="utf-8")
    for method in METHODS.values():
        own = [
            f"`{stage.section}.{name}` {getattr(stage.recipe, name)}"
            for stage in method.stages
            for name in type(stage.recipe).model_fields
            if name not in Recipe.model_fields
        ]
        assert f"| `{method.name}` | {method.title} | {method.summary} | {', '.join(own)} |" in page, method.name


def test_every_setting_of_a_method_is_described() -> None:
    for method in METHODS.values():
        for stage in method.stages:
            for name, field in type(stage.recipe).model_fields.items():
                assert field.description, f"{type(stage.recipe).__name__}.{name}"
