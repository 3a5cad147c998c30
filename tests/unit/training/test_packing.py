"""Packed trees give the log-probabilities and gradients of unpacked sequences, on seven architectures."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment_prism.domain import ModelError
from alignment_prism.training import Example
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts import attention as flat
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.packing import additive, fill_rows, flat_layout, pack, tree_length, tree_mask
from alignment_prism.training.layouts.probe import why_not_packed
from alignment_prism.training.layouts.trees import TreeBatch, mask_plan, model_inputs
from alignment_prism.training.logps import sums_per_example

VOCABULARY = 97
WINDOW = 7


def _examples(count: int, *, seed: int = 0, longest: int = 14, branches: int = 2) -> list[Example]:
    rng = random.Random(seed)

    def tokens() -> tuple[int, ...]:
        return tuple(rng.randrange(3, VOCABULARY) for _ in range(rng.randint(1, longest)))

    return [Example(str(n), ("en", "none"), tokens(), tuple(tokens() for _ in range(branches))) for n in range(count)]


def _model(name: str, attention: str, dtype: torch.dtype = torch.float64) -> Any:
    import transformers

    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attn_implementation": attention,
    }
    own: dict[str, dict[str, Any]] = {
        "Cohere": {"logit_scale": 0.25},
        "Cohere2": {
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "full_attention"],
            "logit_scale": 0.25,
        },
        "Llama": {},
        "Qwen3": {"head_dim": 8},
        "Gemma3Text": {
            "head_dim": 8,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
        },
        "Mistral": {"sliding_window": WINDOW, "head_dim": 8},
        "Olmo2": {},
        "Olmo3": {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
        "SmolLM3": {"no_rope_layers": [1, 0]},
        "Granite": {"logits_scaling": 4.0, "residual_multiplier": 0.5, "attention_multiplier": 0.25},
    }
    config = getattr(transformers, f"{name}Config")(**common, **own[name])
    model_class = getattr(transformers, f"{name.removesuffix('Text')}ForCausalLM")
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)  # logits spread over several nats: uniform ones would hide errors
    return model.to(dtype).train()


ARCHITECTURES = (
    "Cohere", "Cohere2", "Llama", "Qwen3", "Gemma3Text", "Mistral", "Olmo2", "Olmo3", "SmolLM3", "Granite",
)  # fmt: skip


def _sums_and_gradient(model: Any, batch: dict[str, Any], sequences: int) -> tuple[torch.Tensor, torch.Tensor]:
    logps = model(**model_inputs(batch)).logps
    sums = sums_per_example(logps, batch["owners"], sequences)
    weights = torch.linspace(-1, 2, sequences, dtype=sums.dtype)  # every sequence pulls with another strength
    gradients = torch.autograd.grad((sums * weights).sum(), [p for p in model.parameters() if p.requires_grad])
    return sums.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def _one_by_one(model: Any, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Each sequence alone, by the architecture's own forward and logits: no packing, no padding, no head of ours."""
    sums = []
    for which in range(len(examples[0].completions)):
        for example in examples:
            ids = torch.tensor([[*example.prompt, *example.completions[which]]])
            logps = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0, :-1], -1)
            picked = logps.gather(1, ids[0, 1:, None])[len(example.prompt) - 1 :, 0]
            sums.append(picked.sum())
    stacked = torch.stack(sums)
    weights = torch.linspace(-1, 2, len(sums), dtype=stacked.dtype)
    gradients = torch.autograd.grad((stacked * weights).sum(), [p for p in model.parameters() if p.requires_grad])
    return stacked.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@pytest.fixture
def all_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures take softmax, norms and rotations in float32 whatever they are in; here they stay in float64."""
    softmax, to, single = torch.nn.functional.softmax, torch.Tensor.to, torch.Tensor.float

    def own_softmax(scores: torch.Tensor, dim: int, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
        return softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)

    def own_to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if tensor.dtype == torch.float64 and args == (torch.float32,):
            return tensor
        return to(tensor, *args, **kwargs)

    def own_float(tensor: torch.Tensor) -> torch.Tensor:
        return single(tensor) if tensor.dtype in (torch.float32, torch.bfloat16) else tensor.double()

    monkeypatch.setattr(torch.nn.functional, "softmax", own_softmax)
    monkeypatch.setattr(torch.Tensor, "to", own_to)
    monkeypatch.setattr(torch.Tensor, "float", own_float)


@pytest.mark.parametrize("attention", ["eager", "sdpa", flat.FLAT_ATTENTION])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_equals_one_by_one_in_float64(
    name: str, attention: str, all_float64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flat, "TILE", 5)  # several tiles a sequence
    flat.register_flat_attention()
    examples = _examples(7)
    model = _model(name, attention)
    wanted, gradient = _one_by_one(model, examples)
    assert add_completion_head(model, [range(1, 9)]) is None
    plan = mask_plan(model.config, attention, "fp64")
    assert not isinstance(plan, str)
    for collator in (
        TreeBatch(examples, 0, plan, budget=64),
        TreeBatch(examples, 0, plan, budget=0),
        PaddedBatch(examples, 0),
    ):
        sums, found = _sums_and_gradient(model, collator(list(range(7))), 14)
        assert float((sums - wanted).abs().max()) < 1e-12 * float(wanted.abs().max()) + 1e-11
        assert float((found - gradient).norm() / gradient.norm()) < 1e-12


@pytest.mark.parametrize("attention", ["eager", "sdpa", flat.FLAT_ATTENTION])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_equals_one_by_one_in_float32(name: str, attention: str) -> None:
    flat.register_flat_attention()
    examples = _examples(5, seed=3)
    model = _model(name, attention, torch.float32)
    wanted, gradient = _one_by_one(model, examples)
    add_completion_head(model, [range(1, 9)])
    plan = mask_plan(model.config, attention, "fp32")
    assert not isinstance(plan, str)
    sums, found = _sums_and_gradient(model, TreeBatch(examples, 0, plan, 64)(list(range(5))), 10)
    assert float(((sums - wanted).abs() / wanted.abs()).max()) < 1e-5
    assert float((found - gradient).norm() / gradient.norm()) < 1e-4


def test_the_probe_notices_a_forgotten_mask_a_boolean_one_under_eager_and_a_window_along_the_row() -> None:
    import dataclasses

    examples = _examples(8, seed=5)
    model = _model("Mistral", "eager", torch.float32)
    add_completion_head(model, [range(1, 9)])
    padded = PaddedBatch(examples, 0)
    plan = mask_plan(model.config, "eager", "fp32")
    assert not isinstance(plan, str)
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 64), padded, "fp32") is None
    boolean = dataclasses.replace(plan, kind="boolean")
    assert why_not_packed(model, TreeBatch(examples, 0, boolean, 64), padded, "fp32")
    no_window = dataclasses.replace(plan, windows={"full_attention": None})
    assert why_not_packed(model, TreeBatch(examples, 0, no_window, 64), padded, "fp32")

    class Forgetful(TreeBatch):
        def inputs(self, members: Any) -> dict[str, Any]:
            batch = super().inputs(members)
            del batch["attention_mask"]
            return batch

    assert why_not_packed(model, Forgetful(examples, 0, plan, 64), padded, "fp32")


@pytest.mark.parametrize("name", ["Cohere", "Mistral"])
def test_flat_layouts_with_a_wrong_window_or_a_branch_that_sees_its_sibling_are_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    flat.register_flat_attention()
    examples = _examples(8, seed=5)
    model = _model(name, flat.FLAT_ATTENTION, torch.float32)
    add_completion_head(model, [range(1, 9)])
    padded = PaddedBatch(examples, 0)
    plan = mask_plan(model.config, flat.FLAT_ATTENTION, "fp32")
    assert not isinstance(plan, str) and plan.kind == "flat"
    assert why_not_packed(model, TreeBatch(examples, 0, plan, 0), padded, "fp32") is None
    other = dataclasses.replace(plan, windows={"full_attention": 3})
    assert why_not_packed(model, TreeBatch(examples, 0, other, 0), padded, "fp32")

    class Merged(TreeBatch):
        def inputs(self, members: Any) -> dict[str, Any]:
            batch = super().inputs(members)
            layout = batch["attention_mask"]
            batch["attention_mask"] = torch.cat([layout[..., :2], layout[..., 2:].sum(-1, keepdim=True)], -1)
            return batch

    assert why_not_packed(model, Merged(examples, 0, plan, 0), padded, "fp32")


def test_flat_attention_refuses_what_it_does_not_know() -> None:
    from transformers import CohereConfig, Gemma2Config

    assert "attention_dropout" in str(mask_plan(CohereConfig(attention_dropout=0.1), flat.FLAT_ATTENTION, "fp32"))
    assert "attn_logit_softcapping" in str(mask_plan(Gemma2Config(), flat.FLAT_ATTENTION, "fp32"))
    ones = torch.ones(1, 2, 3, 4)
    with pytest.raises(ModelError, match="no dropout"):
        flat.flat_attention(None, ones, ones, ones, torch.tensor([[[[0, 1, 2]]]]), dropout=0.1)


def test_the_flat_layout_of_two_trees_written_out() -> None:
    first = Example("x", ("en", "none"), (10, 11), ((12, 13, 14), (15, 16)))
    second = Example("y", ("en", "none"), (20,), ((21,), (22, 23)))
    rows = pack([second, first], budget=7, pad_token_id=0)
    assert rows.input_ids.tolist() == [[10, 11, 12, 13, 15, 20, 22]]
    assert flat_layout([second, first], rows, 4).tolist() == [[[[4, 2, 2, 1], [4, 1, 0, 1]]]]


@pytest.fixture
def flex_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention as torch computes it without a compiler, which needs no GPU and knows no backward pass there."""
    from torch.nn.attention.flex_attention import flex_attention
    from transformers.integrations import flex_attention as theirs

    monkeypatch.setattr(theirs.WrappedFlexAttention, "__init__", lambda self, training: None)
    monkeypatch.setattr(theirs.WrappedFlexAttention, "__call__", lambda self: flex_attention)


@pytest.mark.parametrize("name", ["Cohere", "Cohere2", "Mistral"])
def test_block_masks_are_tree_masks_and_give_the_log_probabilities_of_one_by_one(name: str, flex_on_cpu: None) -> None:
    examples = _examples(6, seed=2)
    wanted, _ = _one_by_one(_model(name, "eager"), examples)
    model = _model(name, "flex_attention").requires_grad_(False).eval()
    assert add_completion_head(model, [range(1, 9)]) is None
    plan = mask_plan(model.config, "flex_attention", "fp64")
    assert not isinstance(plan, str) and plan.kind == "blocks"
    trees = TreeBatch(examples, 0, plan, budget=64)
    batch = trees(list(range(6)))
    assert batch["input_ids"].shape[1] == 128
    inputs = model_inputs(batch)
    masks = inputs["attention_mask"] if plan.by_layer_type else {"full_attention": inputs["attention_mask"]}
    rows = pack(examples, budget=64, pad_token_id=0, multiple=128)
    row, query, key = torch.meshgrid(*(torch.arange(n) for n in (len(rows.tree), 128, 128)), indexing="ij")
    for kind, window in plan.windows.items():
        assert torch.equal(masks[kind].mask_mod(row, None, query, key), tree_mask(rows, window))
    sums = sums_per_example(model(**inputs).logps, batch["owners"], 12)
    assert float(((sums - wanted).abs() / wanted.abs()).max()) < 1e-6


def test_rows_of_many_shapes_compile_few_graphs_and_no_more_of_shapes_seen_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._dynamo.testing import CompileCounter
    from torch.nn.attention.flex_attention import flex_attention
    from transformers.integrations import flex_attention as theirs

    torch._dynamo.reset()
    counter = CompileCounter()  # dynamo's part of compiling, which decides on graphs; they run as they are
    compiled = torch.compile(flex_attention, backend=counter)
    monkeypatch.setattr(theirs.WrappedFlexAttention, "__init__", lambda self, training: None)
    monkeypatch.setattr(theirs.WrappedFlexAttention, "__call__", lambda self: compiled)
    examples = _examples(12, seed=4)
    model = _model("Cohere2", "flex_attention").float().requires_grad_(False).eval()
    add_completion_head(model, [range(1, 9)])
    plan = mask_plan(model.config, "flex_attention", "fp32")
    assert not isinstance(plan, str)
    shapes, graphs = set(), []
    for _ in range(2):
        for count, budget in ((12, 64), (9, 64), (7, 64), (12, 200), (5, 200), (12, 300), (3, 64)):
            inputs = model_inputs(TreeBatch(examples, 0, plan, budget=budget)(list(range(count))))
            shapes.add(tuple(inputs["input_ids"].shape))
            model(**inputs)
        graphs.append(counter.frame_count)
    torch._dynamo.reset()
    assert len(shapes) >= 4
    assert graphs[0] == graphs[1] <= 2 * len(plan.windows) * 2  # two kinds of masks, static at first and then not


def test_architectures_that_take_no_mask_are_not_packed() -> None:
    from transformers import LlamaConfig

    assert "flash_attention_2" in str(mask_plan(LlamaConfig(), "flash_attention_2", "bf16"))
    assert "linear_attention" in str(mask_plan(LlamaConfig(layer_types=["linear_attention"] * 32), "sdpa", "bf16"))


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 50))
def test_rows_hold_every_tree_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    rows = fill_rows(lengths, budget)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[index] for index in row) <= budget


def test_a_tree_longer_than_the_budget_goes_alone_and_widens_the_rows_of_the_others() -> None:
    def example(prompt: int, reply: int) -> Example:
        return Example("x", ("en", "none"), (5,) * prompt, ((6,) * reply, (7,) * reply))

    examples = [example(4, 3), example(30, 11), example(4, 4), example(5, 3), example(6, 3)]
    assert list(map(tree_length, examples)) == [8, 50, 10, 9, 10]
    rows = pack(examples, budget=20, pad_token_id=0)
    assert rows.tree.shape == (2, 50)
    together = [sorted(set(row) - {-1}) for row in rows.tree.tolist()]
    assert together == [[1], [0, 2, 3, 4]]


@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 60), st.integers(0, 10**6))
def test_every_completion_token_is_a_target_once(count: int, branches: int, budget: int, seed: int) -> None:
    examples = _examples(count, seed=seed, branches=branches, longest=6)
    rows = pack(examples, budget=budget, pad_token_id=0)
    assert int((rows.tree >= 0).sum()) == sum(map(tree_length, examples))
    for which in range(branches):
        for index, example in enumerate(examples):
            mine = rows.owners == which * count + index
            assert rows.targets[mine].tolist() == list(example.completions[which])
            columns = rows.positions[mine]
            # What predicts a token stands one place before it in the sequence, in the same tree.
            assert rows.position_ids.flatten()[columns].tolist() == list(
                range(len(example.prompt) - 1, len(example.prompt) + len(example.completions[which]) - 1)
            )
            assert set(rows.tree.flatten()[columns].tolist()) <= {index}


def test_the_mask_of_a_small_tree_written_out() -> None:
    # prompt a b, chosen c d e (e predicts nothing), rejected f g (g predicts nothing), one padding column
    example = Example("x", ("en", "none"), (10, 11), ((12, 13, 14), (15, 16)))
    longer = Example("y", ("en", "none"), (20, 21, 22, 23, 24, 25), ((26,), (27,)))
    rows = pack([example, longer], budget=0, pad_token_id=0)
    row = rows.input_ids.tolist().index([10, 11, 12, 13, 15, 0])
    assert rows.position_ids[row].tolist() == [0, 1, 2, 3, 2, 0]
    assert tree_mask(rows)[row].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert tree_mask(rows, window=2)[row, 4].int().tolist() == [0, 1, 0, 0, 1, 0]
    assert additive(torch.tensor([True, False]), torch.float32).tolist() == [0.0, torch.finfo(torch.float32).min]
