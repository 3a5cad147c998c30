"""Token log-probabilities against torch's own, in one piece and in chunks, and their sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from alignment_prism.training.logps import sums_per_example, token_logps


def test_sums_per_example_leave_out_nothing_and_mix_nothing() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0])
    assert sums_per_example(values, torch.tensor([0, 2, 2, 0]), 4).tolist() == [9.0, 0.0, 6.0, 0.0]


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("with_bias", [False, True])
def test_chunked_log_probabilities_and_gradients_equal_those_in_one_piece(
    softcap: float | None, with_bias: bool
) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(37, 8, dtype=torch.float64)
    weight = torch.randn(50, 8, dtype=torch.float64)
    bias = torch.randn(50, dtype=torch.float64) if with_bias else None
    targets = torch.randint(0, 50, (37,))
    upstream = torch.randn(37, dtype=torch.float64)

    def run(logits_at_once: int) -> list[torch.Tensor]:
        leaves = [value.clone().requires_grad_() for value in (hidden, weight, bias) if value is not None]
        logps = token_logps(
            leaves[0],
            leaves[1],
            targets,
            bias=leaves[2] if with_bias else None,
            scale=0.7,
            softcap=softcap,
            logits_at_once=logits_at_once,
        )
        return [logps, *torch.autograd.grad(logps, leaves, upstream)]

    logits = 0.7 * (hidden @ weight.T + (0 if bias is None else bias))
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    expected = torch.log_softmax(logits, -1)[torch.arange(37), targets]
    whole, chunked = run(10**9), run(50 * 5)
    assert torch.allclose(whole[0], expected, rtol=0, atol=1e-12)
    for one, other in zip(whole, chunked, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_chunks_work_where_only_the_hidden_states_are_trained() -> None:
    hidden = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, dtype=torch.float64)
    targets = torch.randint(0, 7, (9,))
    (chunked,) = torch.autograd.grad(token_logps(hidden, weight, targets, logits_at_once=14).sum(), hidden)
    (whole,) = torch.autograd.grad(token_logps(hidden, weight, targets).sum(), hidden)
    assert torch.allclose(chunked, whole, rtol=0, atol=1e-12)


def test_chunks_compute_forward_and_backward_in_the_precision_of_autocast() -> None:
    torch.manual_seed(0)
    hidden, weight, upstream = torch.randn(24, 16), torch.randn(40, 16), torch.randn(24)
    targets = torch.randint(0, 40, (24,))

    def run(logits_at_once: int, bfloat16: bool = True) -> tuple[torch.Tensor, ...]:
        leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logps = token_logps(leaves[0], leaves[1], targets, logits_at_once=logits_at_once)
        return (logps.detach(), *torch.autograd.grad(logps, leaves, upstream))

    whole, chunked, full = run(10**9), run(40 * 6), run(10**9, bfloat16=False)
    assert torch.allclose(chunked[0], whole[0], rtol=0, atol=1e-6)
    assert torch.allclose(chunked[1], whole[1], rtol=0, atol=1e-6)
    assert float((whole[1] - full[1]).abs().max()) > 1e-3  # what another precision would have given
    # The weight's gradient is rounded to bfloat16 once a chunk.
    assert float((chunked[2] - whole[2]).norm() / whole[2].norm()) < 1e-2


def test_log_probabilities_of_bfloat16_are_taken_in_float32() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(30, 16).bfloat16(), torch.randn(200, 16).bfloat16()
    targets = torch.randint(0, 200, (30,))
    expected = torch.log_softmax((hidden @ weight.T).float(), -1)[torch.arange(30), targets]
    for at_once in (10**9, 200 * 7):
        found = token_logps(hidden, weight, targets, logits_at_once=at_once)
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected, rtol=0, atol=1e-3)


def test_gradients_of_many_chunks_are_not_rounded_to_bfloat16_at_each() -> None:
    """A gradient of a shard in bfloat16 (FSDP) would lose what the last of many chunks adds to it."""
    torch.manual_seed(0)
    hidden, targets = torch.randn(600, 16), torch.zeros(600, dtype=torch.int64)
    weight = (0.1 * torch.randn(40, 16)).bfloat16()

    def gradient(at_once: int, held: torch.Tensor) -> torch.Tensor:
        leaf = held.clone().requires_grad_()
        logps = token_logps(hidden.to(held.dtype), leaf, targets, logits_at_once=at_once)
        return torch.autograd.grad(logps.sum(), leaf)[0].float()

    exact = gradient(10**9, weight.float())
    off = float((gradient(40, weight) - exact).norm() / exact.norm())  # a chunk a token
    assert off < 4e-3  # one rounding to bfloat16, 2^-8; 600 of them come to 2 %


def test_the_weight_is_cast_once_and_not_for_every_chunk() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Casts(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._to_copy.default and args[0].shape == (40, 16) and args[0].dtype == torch.float32:
                Casts.count += 1
            return func(*args, **(kwargs or {}))

    hidden, weight = torch.randn(24, 16, requires_grad=True), torch.randn(40, 16, requires_grad=True)
    with Casts():
        with torch.autocast("cpu", torch.bfloat16):
            logps = token_logps(hidden, weight, torch.zeros(24, dtype=torch.int64), logits_at_once=40 * 2)
        logps.sum().backward()
    assert Casts.count == 2  # forward and backward, of 12 chunks each
