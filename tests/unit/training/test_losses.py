"""Token log-probabilities against torch's own, in one piece and in chunks, and their sums."""

from __future__ import annotations

import pytest
import torch

from alignment_prism.training.losses import sums_per_example, token_logps


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
