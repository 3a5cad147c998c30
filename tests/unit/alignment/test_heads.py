"""The completion head: logits of completion tokens only, never all of them at once, whatever wraps the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment_prism.alignment import losses
from alignment_prism.engines.training.heads import add_completion_head

VOCABULARY = 256_000
"""That of Aya 23."""


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
    assert add_completion_head(wide) is None
    defaults = losses.token_logps.__kwdefaults__
    assert defaults["logits_at_once"] == losses.LOGITS_AT_ONCE
    monkeypatch.setitem(defaults, "logits_at_once", 16 * VOCABULARY)
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


def test_the_default_chunk_of_such_a_vocabulary_is_small() -> None:
    rows = losses.LOGITS_AT_ONCE // VOCABULARY
    assert rows == 262
    assert rows * VOCABULARY * 4 <= 2**28  # 256 MiB in float32, where 16,384 tokens at once would take 15.6 GiB


def test_the_output_embedding_is_called_as_a_module(wide: Any) -> None:
    """FSDP gathers weights in hooks around a module's call; a weight read past them is a shard."""
    add_completion_head(wide)
    called = []
    handle = wide.get_output_embeddings().register_forward_pre_hook(lambda *_: called.append(True))
    try:
        wide(input_ids=torch.tensor([[1, 2, 3]]), positions=torch.tensor([0, 1]), targets=torch.tensor([2, 3]))
    finally:
        handle.remove()
    assert called == [True]
    assert wide(input_ids=torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, VOCABULARY)  # and is what it was otherwise
