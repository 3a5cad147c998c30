"""The shared step: what is counted, what is logged, and the check before the first step, at values worked out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alignment_prism.domain import TrainingError
from alignment_prism.training import Example
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.methods import Objective
from alignment_prism.training.references import check_first_batch
from alignment_prism.training.steps import ExactSteps

EXAMPLES = [
    Example("x", ("en", "none"), (1, 2), ((3, 4, 5), (6, 7))),
    Example("y", ("ru", "none"), (1,), ((3,), (6, 7, 8, 9))),
]


def _trainer(objective: Objective, **plan: Any) -> Any:
    known = SimpleNamespace(objective=objective, examples=EXAMPLES, **plan)
    return SimpleNamespace(
        plan=known, state=SimpleNamespace(global_step=1), accelerator=SimpleNamespace(num_processes=1)
    )


def test_blanks_count_for_nothing() -> None:
    collator = PaddedBatch(EXAMPLES, 0)
    batches = [collator([0, 2]), collator([1, 2]), collator([2, 2])]  # the index after the last is a blank
    count = ExactSteps._get_num_items_in_batch
    assert count(_trainer(Objective.DPO), batches, "cpu") == 2
    single = [Example(e.pair_id, e.group, e.prompt, e.completions[:1]) for e in EXAMPLES]
    collator = PaddedBatch(single, 0)
    batches = [collator([0, 2]), collator([1, 2]), collator([2, 2])]
    assert count(_trainer(Objective.SFT), batches, "cpu") == 4
    assert count(_trainer(Objective.SFT), batches[2:], "cpu") == 1  # nothing is divided by 0


def test_preference_metrics_are_those_of_their_definitions() -> None:
    tokens = torch.tensor([-1.0, -2.0, -3.0, -9.0, -4.0, -4.0, -1.0, -1.0, -1.0, -2.0], dtype=torch.float64)
    owners = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])  # chosen x, chosen y, rejected x, rejected y
    references = torch.tensor([[-7.0, -6.0], [-8.0, -7.0]], dtype=torch.float64)  # (chosen, rejected) of x and y
    inputs = {"index": torch.tensor([0, 1]), "owners": owners, "references": references}
    losses, metrics = ExactSteps._preference_losses(_trainer(Objective.DPO, beta=0.5), inputs, tokens)
    assert metrics["logp_chosen"].tolist() == [-6.0, -9.0]
    assert metrics["logp_rejected"].tolist() == [-8.0, -5.0]
    assert metrics["reward_chosen"].tolist() == [0.5, -0.5]  # 0.5 * (-6 + 7), 0.5 * (-9 + 8)
    assert metrics["reward_rejected"].tolist() == [-1.0, 1.0]
    assert metrics["margin"].tolist() == [1.5, -1.5]
    assert metrics["accuracy"].tolist() == [1.0, 0.0]
    assert losses.tolist() == pytest.approx([0.2014133, 1.7014133], abs=1e-6)  # log(1 + e^-1.5), log(1 + e^1.5)
    assert torch.equal(metrics["loss"], losses)
    inputs["references"] = torch.tensor([[-6.0, -8.0], [-9.0, -5.0]], dtype=torch.float64)
    _, metrics = ExactSteps._preference_losses(_trainer(Objective.DPO, beta=0.5), inputs, tokens)
    assert metrics["accuracy"].tolist() == [0.5, 0.5]  # neither is preferred yet


@pytest.mark.parametrize(("precision", "fine", "too_much"), [("bf16", 0.06, 0.08), ("fp32", 1e-4, 2e-4)])
def test_policy_and_reference_may_differ_by_rounding_only(precision: str, fine: float, too_much: float) -> None:
    policy, tokens, losses = torch.tensor([-5.0]), torch.tensor([1]), torch.tensor([0.69314718])
    check_first_batch(policy, policy - fine, losses, tokens, precision)
    with pytest.raises(TrainingError, match="policy and reference differ"):
        check_first_batch(policy, policy - too_much, losses, tokens, precision)
