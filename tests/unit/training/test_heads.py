"""The completion head: logits of completion tokens only, never all of them at once, whatever wraps the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.memory import LOGITS_AT_ONCE, logits_at_once

VOCABULARY = 256_000
"""That of Aya 23."""

SAMPLES = [list(range(1, 9)), list(range(20, 40))]
"""Texts on which a head is compared with the model's own logits."""


class Sizes(TorchDispatchMode):
    """Sees every operation: the most rows of logits that any of them makes."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.dim() > 1 and tensor.shape[-1] == VOCABULARY:
                self.rows = max(self.rows, tensor.numel() // VOCABULARY)
        return made


@pytest.fixture(scope="module")
def wide() -> Iterator[Any]:
    """Two narrow layers under a vocabulary of 256,000 entries."""
    from transformers import CohereConfig, CohereForCausalLM

    torch.manual_seed(0)
    yield CohereForCausalLM(
        CohereConfig(
            vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, attn_implementation="eager", pad_token_id=0,
        )
    )  # fmt: skip


def test_a_vocabulary_of_256_000_never_has_all_its_logits_at_once(wide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add_completion_head(wide, SAMPLES) is None
    monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", 16 * VOCABULARY)
    tokens = torch.randint(1, VOCABULARY, (2, 60))
    positions = torch.arange(20, 60).repeat(2) + torch.tensor([0] * 40 + [60] * 40)
    targets = torch.randint(1, VOCABULARY, (80,))
    with Sizes() as seen:
        wide(input_ids=tokens, positions=positions, targets=targets).logps.sum().backward()
    # 120 positions, 80 of them completion tokens: never more than 16 rows of logits, forward or backward.
    assert seen.rows == 16
    with Sizes() as whole:
        wide(input_ids=tokens)
    assert whole.rows == 120  # what the architecture itself does


@pytest.mark.parametrize(
    ("device", "rows", "memory"), [("cpu", 262, 2**28), ("cuda", 1048, 2**30), ("mps", 262, 2**28)]
)
def test_the_default_chunk_of_such_a_vocabulary_is_small(device: str, rows: int, memory: int) -> None:
    assert logits_at_once(device) // VOCABULARY == rows
    assert rows * VOCABULARY * 4 <= memory  # in float32, where 16,384 tokens at once would take 15.6 GiB


def test_the_output_embedding_is_called_as_a_module(wide: Any) -> None:
    """FSDP gathers weights in hooks around a module's call; a weight read past them is a shard."""
    add_completion_head(wide, SAMPLES)
    called = []
    handle = wide.get_output_embeddings().register_forward_pre_hook(lambda *_: called.append(True))
    try:
        wide(input_ids=torch.tensor([[1, 2, 3]]), positions=torch.tensor([0, 1]), targets=torch.tensor([2, 3]))
    finally:
        handle.remove()
    assert called == [True]
    assert wide(input_ids=torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, VOCABULARY)  # and is what it was otherwise


def _tiny(name: str, **settings: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager", **settings,
    )  # fmt: skip
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.4)
    return model.eval()


IDS = torch.arange(3, 15).view(1, -1)


def _wanted(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits[0, :-1].double(), -1)[torch.arange(11), IDS[0, 1:]]


def _check(model: Any, wanted: torch.Tensor) -> None:
    found = model(input_ids=IDS, positions=torch.arange(11), targets=IDS[0, 1:]).logps
    assert torch.allclose(found.double(), wanted, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_cap_on_logits_and_a_bias_of_the_head_are_known() -> None:
    capped = _tiny("Gemma2", head_dim=8, num_key_value_heads=2, final_logit_softcapping=5.0)
    wanted = _wanted(capped(IDS).logits)
    assert float(capped(IDS).logits.abs().max()) > 4  # the cap has something to do
    assert add_completion_head(capped, SAMPLES) is None
    _check(capped, wanted)
    biased = _tiny("Phi")
    biased.lm_head.bias.normal_(std=2.0)
    wanted = _wanted(biased(IDS).logits)
    assert add_completion_head(biased, SAMPLES) is None
    _check(biased, wanted)


@torch.no_grad()
def test_a_model_that_treats_its_logits_in_a_way_of_its_own_keeps_it_and_says_so() -> None:
    model = _tiny("Llama")
    plain = model.forward

    def odd(*args: Any, **kwargs: Any) -> Any:
        output = plain(*args, **kwargs)
        output.logits = output.logits - 0.3 * output.logits.relu()
        return output

    model.forward = odd
    wanted = _wanted(model(IDS).logits)
    notice = add_completion_head(model, SAMPLES)
    assert notice is not None and "LlamaForCausalLM treats its hidden states in a way of its own" in notice
    _check(model, wanted)


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_a_head_that_is_off_by_a_thousandth_is_seen_in_whatever_precision_weights_are_held(held: torch.dtype) -> None:
    """A forgotten cap or scale of an architecture that nobody has tried yet: about 0.01 nats a token."""
    assert add_completion_head(_tiny("Llama").to(held), SAMPLES) is None
    model = _tiny("Llama").to(held)
    plain = model.forward

    def scaled(*args: Any, **kwargs: Any) -> Any:
        output = plain(*args, **kwargs)
        output.logits = output.logits * 1.001
        return output

    model.forward = scaled
    assert "treats its hidden states in a way of its own" in str(add_completion_head(model, SAMPLES))
    assert {parameter.dtype for parameter in model.parameters()} == {held}


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_what_other_architectures_call_their_cap_and_their_scale_is_known(held: torch.dtype) -> None:
    for model, large in (
        (_tiny("RecurrentGemma", num_key_value_heads=1, logits_soft_cap=5.0, lru_width=32,
               block_types=("recurrent", "attention"), attention_window_size=16), 4.0),
        (_tiny("HyperCLOVAX", num_key_value_heads=2, logits_scaling=3.0), 0.0),
        (_tiny("Granite", num_key_value_heads=2, logits_scaling=3.0), 0.0),
    ):  # fmt: skip
        assert float(model(IDS).logits.abs().max()) > large  # the cap has something to do
        assert add_completion_head(model.to(held), SAMPLES) is None


def test_a_scale_that_is_the_name_of_a_rule_is_left_to_the_comparison() -> None:
    from transformers import MptConfig, MptForCausalLM

    model = MptForCausalLM(MptConfig(d_model=16, n_layers=1, n_heads=2, vocab_size=64, logit_scale="inv_sqrt_d_model"))
    assert add_completion_head(model, SAMPLES) is None  # transformers' MPT does not scale either


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_check_that_is_interrupted_or_out_of_memory_is_no_verdict(fault: BaseException) -> None:
    model = _tiny("Llama")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise fault

    model.model.norm.forward = lambda hidden: hidden if model.checking else fail()
    model.checking = True
    inherited = model.forward

    def first_whole(*args: Any, **kwargs: Any) -> Any:
        output = inherited(*args, **kwargs)
        model.checking = False
        return output

    model.forward = first_whole
    with pytest.raises(type(fault)):
        add_completion_head(model, SAMPLES)
