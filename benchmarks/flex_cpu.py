"""FlexAttention compiled on a CPU with the masks of packed pairs: whether torch can, and whether it gives the same.

    python benchmarks/flex_cpu.py

torch compiles its forward pass for CPUs and knows no backward pass there, so that nothing trains with it: this is to
see our masks go through the compiler, which on a GPU they go through too. Prints what happened.
"""

from __future__ import annotations

import platform
import time

import torch
from transformers import Cohere2Config, Cohere2ForCausalLM

from alignment_prism.training import Example
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.trees import TreeBatch, mask_plan, model_inputs
from alignment_prism.training.logps import sums_per_example


def main() -> None:
    torch.manual_seed(0)
    config = Cohere2Config(
        vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=16, layer_types=["sliding_attention", "full_attention"], pad_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "flex_attention"
    model = Cohere2ForCausalLM(config).eval()
    add_completion_head(model, [range(1, 9)])
    examples = [
        Example(f"p{n}", ("en", "none"), tuple(range(1, 20 + n)), (tuple(range(5, 30)), tuple(range(9, 20))))
        for n in range(8)
    ]
    plan = mask_plan(config, "flex_attention", "fp32")
    assert not isinstance(plan, str)
    packed, padded = TreeBatch(examples, 0, plan, 256), PaddedBatch(examples, 0)
    found = []
    with torch.no_grad():
        for collator, attention in ((padded, "eager"), (packed, "flex_attention")):
            model.config._attn_implementation = attention
            batch, start = collator(list(range(8))), time.process_time()
            found.append(sums_per_example(model(**model_inputs(batch)).logps.double(), batch["owners"], 16))
            print(f"{attention}: {time.process_time() - start:.1f} s of processor time, compiling included")
    far = float((found[0] - found[1]).abs().max())
    print(f"{platform.machine()}, torch {torch.__version__}: log-probabilities of 16 replies differ by {far:.1e} nats")


if __name__ == "__main__":
    main()
