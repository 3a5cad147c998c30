"""Computing more exactly than the training does, to compare two ways of computing the same thing.

The rounding of bfloat16 is as large as what a wrong mask or a forgotten cap on logits does to many models, so a
comparison in bfloat16 lets both pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from alignment_prism.training.layouts.trees import FLEX_ATTENTION


@contextmanager
def full_precision(model: Any) -> Iterator[None]:
    """Compute with a model in float32, or in float64 where its weights are held in that, as long as the block lasts.

    That holds for weights in bfloat16 too, without autocast or TensorFloat-32. FlexAttention runs as torch computes
    it without a compiler: that takes memory quadratic in the length, works on every device, and needs neither the
    minutes that compilation takes nor a C++ compiler that can do it.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(next(model.parameters()).device.type, enabled=False))
        stack.enter_context(_full_products())
        if str(model.config._attn_implementation) == FLEX_ATTENTION:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if model.get_input_embeddings().weight.dtype == torch.bfloat16:
            stack.enter_context(_Float32())  # type: ignore[no-untyped-call]
            stack.enter_context(_Float32Calls())
        yield


@contextmanager
def _full_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Float32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes in float32 what would be computed in bfloat16: each operation sees its tensors converted.

    A float32 copy of the model would take twice its memory; here one operation's weights are converted at a time.
    """

    supports_higher_order_operators = True
    """FlexAttention is one: its tensors are converted like those of any other operation."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*tree_map(_widened, args), **tree_map(_widened, kwargs or {}))


class _Float32Calls(TorchFunctionMode):
    """The same one level above, where convolutions compare the types of input and weights before they compute."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name.endswith("_"):  # in place, or reading and writing an attribute: it is the tensor itself that counts
            return func(*args, **(kwargs or {}))
        return func(*tree_map(_widened, args), **tree_map(_widened, kwargs or {}))


def _widened(value: Any) -> Any:
    if value is torch.bfloat16:
        return torch.float32
    if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
        return value.float()
    return value
