"""Which attention `auto` means: the rule and what it is measured on a CPU."""

from __future__ import annotations

import pytest
import torch

from alignment_prism.training import load_config
from alignment_prism.training.base_model import resolve_attention


@pytest.mark.skipif(torch.cuda.is_available(), reason="the rule is another where there is a GPU")
@pytest.mark.parametrize(
    ("asked", "precision", "tokens", "given"),
    [
        ("auto", "bf16", 40, "eager"),
        ("auto", "bf16", 400, "sdpa"),
        ("auto", "fp32", 40, "sdpa"),
        ("sdpa", "bf16", 40, "sdpa"),
        ("eager", "fp32", 400, "eager"),
    ],
)
def test_auto_is_eager_only_for_short_rows_in_bfloat16(asked: str, precision: str, tokens: int, given: str) -> None:
    settings = load_config("nano", {"training.attention": asked}).training
    assert resolve_attention(settings, precision, tokens) == given
