"""The packing probe sees wrong masks in whatever precision is trained, and on the sequences where they matter."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import torch

from alignment_prism.training import Example
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.attention import FLAT_ATTENTION, register_flat_attention
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.probe import why_not_packed
from alignment_prism.training.layouts.trees import MaskPlan, TreeBatch, mask_plan

WINDOW = 16


def _examples(lengths: list[tuple[int, int]]) -> list[Example]:
    rng = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(3, 512) for _ in range(count))

    return [Example(str(n), ("en", "none"), tokens(p), (tokens(c), tokens(c + 2))) for n, (p, c) in enumerate(lengths)]


def _model(attention: str, held: torch.dtype, **changes: Any) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    register_flat_attention()
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": 512, "hidden_size": 192, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": WINDOW,
        "attn_implementation": attention, **changes,
    }  # fmt: skip
    model = MistralForCausalLM(MistralConfig(**settings)).to(held)  # weights of std 0.02: attention is nearly uniform
    assert add_completion_head(model, [range(1, 9)]) is None
    return model


def _plan(model: Any, attention: str) -> MaskPlan:
    plan = mask_plan(model.config, attention, "bf16")
    assert not isinstance(plan, str)
    return plan


class Forgetful(TreeBatch):
    """Its mask is lost on the way."""

    def inputs(self, members: Any) -> dict[str, Any]:
        batch = super().inputs(members)
        del batch["attention_mask"]
        return batch


class Siblings(TreeBatch):
    """Its branches see one another."""

    def inputs(self, members: Any) -> dict[str, Any]:
        from alignment_prism.training.layouts.packing import pack, tree_mask

        rows = pack(members, budget=self.budget, pad_token_id=self.pad_token_id)
        merged = dataclasses.replace(rows, branch=rows.branch.clamp(max=1))
        batch = super().inputs(members)
        mask = tree_mask(merged, WINDOW)[:, None]
        batch["attention_mask"] = torch.zeros(mask.shape).masked_fill_(~mask, -1e30)
        return batch


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
def test_wrong_masks_are_seen_in_a_training_in_bfloat16(held: torch.dtype) -> None:
    examples = _examples([(20, 12), (24, 9), (30, 14), (12, 8), (26, 11)])
    model = _model("eager", held)
    padded, plan = PaddedBatch(examples, 0), _plan(model, "eager")
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 160), padded, "bf16") is None
    boolean = dataclasses.replace(plan, kind="boolean")
    no_window = dataclasses.replace(plan, windows={"full_attention": None})
    for wrong in (
        Forgetful(examples, 0, plan, 160),
        TreeBatch(examples, 0, boolean, 160),
        TreeBatch(examples, 0, no_window, 160),
        Siblings(examples, 0, plan, 160),
    ):
        assert why_not_packed(model, wrong, padded, "bf16") == "MistralForCausalLM does not follow a mask of our own"
    assert {parameter.dtype for parameter in model.parameters()} == {held}


@pytest.mark.parametrize("attention", ["sdpa", FLAT_ATTENTION])
@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
def test_right_masks_are_accepted_in_bfloat16_by_every_kernel(attention: str, held: torch.dtype) -> None:
    examples = _examples([(20, 12), (24, 9), (30, 14)])
    model = _model(attention, held)
    plan = _plan(model, attention)
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 160), PaddedBatch(examples, 0), "bf16") is None
    no_window = dataclasses.replace(plan, windows={"full_attention": None})
    assert why_not_packed(model, TreeBatch(examples, 0, no_window, 160), PaddedBatch(examples, 0), "bf16")


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
def test_flex_attention_is_tried_in_float32_and_without_its_compiler_on_a_cpu(held: torch.dtype) -> None:
    """There a model only waits to be sharded over GPUs. Compiling took two minutes, and then failed, where tried."""
    from torch._dynamo.utils import counters

    counters.clear()
    examples = _examples([(20, 12), (24, 9)])
    model = _model("flex_attention", held)
    plan, padded = _plan(model, "flex_attention"), PaddedBatch(examples, 0)
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 160), padded, "bf16") is None
    no_window = dataclasses.replace(plan, windows={"full_attention": None})
    wrong = why_not_packed(model, TreeBatch(examples, 0, no_window, 160), padded, "bf16")
    assert wrong == "MistralForCausalLM does not follow a mask of our own"
    assert not counters["stats"]


@pytest.mark.parametrize("where", ["prompt", "reply"])
def test_the_longest_example_is_tried_where_alone_the_window_matters(where: str) -> None:
    longest = (40, 4) if where == "prompt" else (4, 40)
    examples = _examples([(5, 4)] * 9 + [longest])
    model = _model("eager", torch.float32)
    plan, padded = _plan(model, "eager"), PaddedBatch(examples, 0)
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 160), padded, "fp32") is None
    no_window = dataclasses.replace(plan, windows={"full_attention": None})
    assert why_not_packed(model, TreeBatch(examples, 0, no_window, 160), padded, "fp32")


def test_the_probe_leaves_mode_and_random_numbers_as_they_were() -> None:
    examples = _examples([(6, 4), (8, 5)])
    model = _model("eager", torch.float32, attention_dropout=0.3).train()
    before = torch.get_rng_state()
    plan = _plan(model, "eager")
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 0), PaddedBatch(examples, 0), "fp32") is None
    assert model.training and torch.equal(before, torch.get_rng_state())


def test_what_fails_only_in_the_precision_of_the_training_is_seen() -> None:
    examples = _examples([(6, 4), (8, 5)])
    model = _model("eager", torch.float32)

    class Unhappy(TreeBatch):
        def inputs(self, members: Any) -> dict[str, Any]:
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("no kernel for this")
            return super().inputs(members)

    trees = Unhappy(examples, 0, _plan(model, "eager"), 0)
    assert why_not_packed(model, trees, PaddedBatch(examples, 0), "fp32") is None
    assert "no kernel for this" in str(why_not_packed(model, trees, PaddedBatch(examples, 0), "bf16"))


def test_a_fault_of_padded_rows_is_raised() -> None:
    examples = _examples([(6, 4), (8, 5)])
    model = _model("eager", torch.float32)
    out_of_reach = [dataclasses.replace(examples[0], prompt=(10**6,)), examples[1]]
    trees = TreeBatch(out_of_reach, 0, _plan(model, "eager"), 0)
    with pytest.raises(IndexError):
        why_not_packed(model, trees, PaddedBatch(out_of_reach, 0), "fp32")
