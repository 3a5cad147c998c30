"""Fused norms: the model's own function or none at all."""

from __future__ import annotations

import types
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alignment_prism.training.norms import fuse_norms

SHAPE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def model(name: str, **more: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    made = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**SHAPE, **more))
    for parameter in made.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 1, 0.3)  # weights that are all 1 would hide where they are applied
    return made


def gradients(made: Any) -> list[Tensor]:
    tokens = torch.arange(3, 43).view(2, 20)
    loss = torch.log_softmax(made(input_ids=tokens).logits[:, :-1], -1).gather(2, tokens[:, 1:, None]).sum()
    found = torch.autograd.grad(loss, list(made.parameters()))
    return [loss.detach(), *found]


@pytest.mark.parametrize(("name", "more"), [("Cohere", {}), ("Cohere", {"use_qk_norm": True}), ("Cohere2", {})])
def test_loss_and_gradients_are_those_of_the_models_own_code(name: str, more: dict[str, Any]) -> None:
    own = model(name, **more)
    fused = model(name, **more)
    assert fuse_norms(fused) == 3  # one a layer and the last one; norms of each head are not of this kind
    for one, other in zip(gradients(own), gradients(fused), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    assert own.state_dict().keys() == fused.state_dict().keys()


class Norm(nn.Module):
    """Looks like the norm that is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 16))
        self.variance_epsilon = 1e-5
        self.kind = ""

    def forward(self, hidden: Tensor) -> Tensor:
        wide = hidden.float()
        shift = 0 if self.kind == "root mean square" else wide.mean(-1, keepdim=True)
        variance = (wide - shift).pow(2).mean(-1, keepdim=True)
        eps = self.variance_epsilon * (10 if self.kind == "another epsilon" else 1)
        normed = (wide - shift) * torch.rsqrt(variance + eps)
        weight = self.weight.detach() if self.kind == "frozen within" else self.weight
        weight = 1 + weight if self.kind == "one is added" else weight
        return (weight * normed).to(torch.bfloat16 if self.kind == "other dtype" else hidden.dtype)


KINDS = ("", "root mean square", "another epsilon", "frozen within", "one is added", "other dtype")


@pytest.mark.parametrize("kind", KINDS)
def test_a_norm_that_differs_is_left_as_it_is(kind: str) -> None:
    norm = Norm()
    norm.kind = kind
    assert fuse_norms(norm) == (kind == "")
    assert isinstance(norm.forward, types.MethodType) and ("forward" in vars(norm)) == (kind == "")


def test_the_dtype_that_comes_in_goes_out() -> None:
    own, fused = (model("Cohere").to(torch.bfloat16) for _ in range(2))
    assert fuse_norms(fused) == 3
    hidden = torch.randn(4, 32, dtype=torch.bfloat16)
    wanted, found = own.model.norm(hidden), fused.model.norm(hidden)
    assert found.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, rtol=8e-3, atol=1e-3)  # one unit in the last place of bfloat16


def test_llamas_norms_have_nothing_to_gain() -> None:
    assert fuse_norms(model("Llama")) == 0
