"""The shared step: what is counted, what is logged, and the check before the first step, at values worked out."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alignment_prism.domain import TrainingError
from alignment_prism.training import METHODS, Example, MicroBatch
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.objectives.dpo import DpoRecipe, dpo_loss
from alignment_prism.training.references import check_first_batch
from alignment_prism.training.steps import GlobalBatchLoss, StepContext

EXAMPLES = [
    Example("x", ("en", "none"), (1, 2), ((3, 4, 5), (6, 7))),
    Example("y", ("ru", "none"), (1,), ((3,), (6, 7, 8, 9))),
]


def _trainer(method: str, examples: list[Example] = EXAMPLES, **recipe: Any) -> Any:
    """What of a trainer the step reads."""
    stage = METHODS[method].stages[0]
    recipe = stage.recipe.model_copy(update=recipe)
    context = StepContext(stage.name, stage.objective, recipe, examples, None, "fp64", None)  # type: ignore[arg-type]
    trainer = GlobalBatchLoss()
    trainer.context = context
    trainer.state = SimpleNamespace(global_step=1)
    trainer.accelerator = SimpleNamespace(num_processes=1)
    return trainer


def test_blanks_count_for_nothing() -> None:
    collator = PaddedBatch(EXAMPLES, 0)
    batches = [collator([0, 2]), collator([1, 2]), collator([2, 2])]  # the index after the last is a blank
    trainer = _trainer("dpo_ift")
    assert trainer._get_num_items_in_batch(batches, "cpu") == 2
    assert trainer.context.counts.tolist() == [1, 1]  # of each group
    single = [Example(e.pair_id, e.group, e.prompt, e.completions[:1]) for e in EXAMPLES]
    collator = PaddedBatch(single, 0)
    batches = [collator([0, 2]), collator([1, 2]), collator([2, 2])]
    trainer = _trainer("sft", single)
    assert trainer._get_num_items_in_batch(batches, "cpu") == 4
    assert trainer._get_num_items_in_batch(batches[2:], "cpu") == 1  # nothing is divided by 0


def test_references_keep_their_digits_under_deepspeed() -> None:
    """transformers takes all numbers of a batch to the model's precision there: -100.2 would be -100."""
    from transformers import Trainer

    class OurTrainer(GlobalBatchLoss, Trainer):  # type: ignore[misc]
        def __init__(self) -> None:
            self.args = SimpleNamespace(device="cpu")
            self.is_deepspeed_enabled = True
            plugin = SimpleNamespace(hf_ds_config=SimpleNamespace(dtype=lambda: torch.bfloat16))
            self.accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))

    batch = PaddedBatch(EXAMPLES, 0, [[-100.2, -90.0], [-31.7, -2.0]])([0, 1])
    prepared = OurTrainer()._prepare_inputs({**batch, "other": torch.tensor([-100.2])})
    assert prepared["references"].tolist() == [[-100.2, -90.0], [-31.7, -2.0]]
    assert prepared["other"].tolist() == [-100.0]  # or transformers has changed, and ours may go
    assert prepared.keys() == {*batch, "other"}


TOKENS = [-1.0, -2.0, -3.0, -9.0, -4.0, -4.0, -1.0, -1.0, -1.0, -2.0]
OWNERS = [0, 0, 0, 1, 2, 2, 3, 3, 3, 3]  # chosen x, chosen y, rejected x, rejected y


def _batch(references: list[list[float]]) -> MicroBatch:
    inputs = {"index": torch.tensor([0, 1]), "owners": torch.tensor(OWNERS), "references": torch.tensor(references)}
    batch: MicroBatch = _trainer("dpo_ift").micro_batch(inputs, torch.tensor(TOKENS, dtype=torch.float64))
    return batch


def test_a_loss_sees_sums_lengths_references_and_groups_of_every_reply() -> None:
    batch = _batch([[-7.0, -6.0], [-8.0, -7.0]])  # (chosen, rejected) of x and y
    assert batch.logps.tolist() == [[-6.0, -9.0], [-8.0, -5.0]]
    assert batch.lengths.tolist() == [[3, 1], [2, 4]]
    assert batch.reference is not None and batch.reference.tolist() == [[-7.0, -8.0], [-6.0, -7.0]]
    assert batch.groups.tolist() == [0, 1] and batch.labels.tolist() == [1.0, 1.0]
    assert batch.per_token(batch.logps).tolist() == [[-2.0, -9.0], [-4.0, -1.25]]


def test_a_loss_of_single_replies_knows_which_of_them_are_the_preferred_ones() -> None:
    some = [Example(str(n), ("en", "none"), (1,), ((2, 3),), label=float(n % 2)) for n in range(3)]
    trainer = _trainer("sft_random", some)
    inputs = {"index": torch.tensor([1, 2, 3]), "owners": torch.tensor([0, 0, 1, 1, 2, 2])}  # the last is a blank
    batch = trainer.micro_batch(inputs, torch.full((6,), -1.0))
    assert batch.labels.tolist() == [1.0, 0.0, 0.0] and batch.logps.tolist() == [[-2.0, -2.0, -2.0]]


def test_sums_over_tokens_are_not_taken_in_bfloat16() -> None:
    # 300 tokens of -0.5: bfloat16 has steps of 1 at -150, so that -0.5 more would change nothing from -128 on.
    tokens = torch.full((300,), -0.5, dtype=torch.bfloat16)
    inputs = {"index": torch.tensor([0]), "owners": torch.arange(300) % 2}
    batch = _trainer("dpo_ift").micro_batch({**inputs, "references": torch.tensor([[-75.25, -75.0]])}, tokens)
    assert batch.logps.dtype == torch.float32 and batch.logps.tolist() == [[-75.0], [-75.0]]
    assert batch.reference.tolist() == [[-75.25], [-75.0]]


def test_preference_metrics_are_those_of_their_definitions() -> None:
    recipe = DpoRecipe(learning_rate=1, epochs=1, beta=0.5)
    losses, metrics = dpo_loss(_batch([[-7.0, -6.0], [-8.0, -7.0]]), recipe)
    assert metrics["logp_chosen"].tolist() == [-6.0, -9.0]
    assert metrics["logp_rejected"].tolist() == [-8.0, -5.0]
    assert metrics["reward_chosen"].tolist() == [0.5, -0.5]  # 0.5 * (-6 + 7), 0.5 * (-9 + 8)
    assert metrics["reward_rejected"].tolist() == [-1.0, 1.0]
    assert metrics["margin"].tolist() == [1.5, -1.5]
    assert metrics["accuracy"].tolist() == [1.0, 0.0]
    assert losses.tolist() == pytest.approx([0.2014133, 1.7014133], abs=1e-6)  # log(1 + e^-1.5), log(1 + e^1.5)
    _, metrics = dpo_loss(_batch([[-6.0, -8.0], [-9.0, -5.0]]), recipe)
    assert metrics["accuracy"].tolist() == [0.5, 0.5]  # neither is preferred yet


def _pair(deviation: float) -> MicroBatch:
    logps = torch.tensor([[-5.0], [-5.0]])
    ones = torch.ones(1)
    return MicroBatch(logps, torch.ones(2, 1), logps - deviation, torch.zeros(1, dtype=torch.int64), ones, ones)


@pytest.mark.parametrize(("precision", "fine", "too_much"), [("bf16", 0.06, 0.08), ("fp32", 1e-4, 2e-4)])
def test_policy_and_reference_may_differ_by_rounding_only(precision: str, fine: float, too_much: float) -> None:
    stage, real = METHODS["dpo_ift"].stages[0], torch.tensor([True])
    check_first_batch(_pair(fine), real, stage.objective, stage.recipe, precision)
    with pytest.raises(TrainingError, match="policy and reference differ"):
        check_first_batch(_pair(too_much), real, stage.objective, stage.recipe, precision)
    check_first_batch(_pair(too_much), torch.tensor([False]), stage.objective, stage.recipe, precision)  # a blank


def test_references_of_other_batches_may_move_the_first_loss_as_far_as_rounding_does() -> None:
    # Chosen 0.06 nats up, rejected 0.06 down: with beta 1 the loss is log(1 + e^-0.12) = 0.635, well away from ln 2.
    pair = _pair(0.0)
    moved = replace(pair, reference=pair.logps + torch.tensor([[-0.06], [0.06]]))
    stage = METHODS["dpo_ift"].stages[0]
    recipe = stage.recipe.model_copy(update={"beta": 1.0})
    assert float(dpo_loss(moved, recipe)[0]) == pytest.approx(0.635, abs=1e-3)
    check_first_batch(moved, torch.tensor([True]), stage.objective, recipe, "bf16")


def test_an_objective_that_is_wrong_about_its_first_loss_is_found_out() -> None:
    stage = METHODS["dpo_ift"].stages[0]
    wrong = replace(stage.objective, name="mine", first_loss=lambda recipe: 25.0)
    with pytest.raises(TrainingError, match=r"the loss of mine is 0\.693147 and not 25"):
        check_first_batch(_pair(0.0), torch.tensor([True]), wrong, stage.recipe, "fp32")
