"""Memory of one training step of an 8 B model by tensors that hold nothing, beside what `prism doctor` reckons.

    python benchmarks/step_memory.py                # Aya 23 8B: adapters and all weights, micro-batches of 2 pairs
    python benchmarks/step_memory.py --layers 4     # fewer layers, seconds

Every operation of forward and backward pass runs on fake tensors, which have shapes and no numbers; every storage that
is alive counts. So the peak is that of the tensors: not of a GPU's allocator, kernels' workspaces or fragmentation, and
attention is the kernel for CPUs that keeps no scores, as those of GPUs do. Nothing runs on a GPU. Prints the table of
`step_memory.md`.
"""

from __future__ import annotations

import argparse
import weakref
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alignment_prism.doctor.memory import GB, ModelShape, Plan, memory_need
from alignment_prism.domain.text import markdown_table
from alignment_prism.training import heads, memory

AYA: dict[str, Any] = {
    "vocab_size": 256_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32,
    "num_key_value_heads": 8, "tie_word_embeddings": True, "pad_token_id": 0, "max_position_embeddings": 8192,
}  # fmt: skip
"""The shape of Aya 23 8B; its layers are counted apart."""


class Alive(TorchDispatchMode):
    """Bytes of all storages that operations have made and nobody has let go of, now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor):
                self._see(one.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak(layers: int, rank: int, checkpointing: bool, pairs: int, length: int) -> tuple[float, float]:
    """Bytes at the peak of a step, AdamW's moments among them, and what the doctor reckons without its overhead.

    Half of every sequence is its reply. Adapters have their base in bfloat16, a full training its weights in float32.
    """
    from transformers import CohereConfig, CohereForCausalLM

    config = CohereConfig(num_hidden_layers=layers, **AYA)
    config._attn_implementation, config.use_cache = "sdpa", False
    before = heads._agrees, dict(memory.LOGITS_AT_ONCE), torch.get_default_dtype()
    heads._agrees = lambda *_: True  # without numbers there is nothing to compare
    memory.LOGITS_AT_ONCE["cpu"] = memory.LOGITS_AT_ONCE["cuda"]
    try:
        torch.set_default_dtype(torch.bfloat16 if rank else torch.float32)
        with torch.device("meta"):
            model: Any = CohereForCausalLM(config)
            torch.set_default_dtype(torch.float32)
            model.tie_weights()
            heads.add_completion_head(model, [])
            if rank:
                from peft import LoraConfig, get_peft_model

                lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
                model = get_peft_model(model, lora)
        if checkpointing:
            if rank:
                model.enable_input_require_grads()
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        alive = Alive()
        with FakeTensorMode(allow_non_fake_inputs=True), alive:
            _fill(model)
            trained = [one for one in model.parameters() if one.requires_grad]
            moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in trained]
            ids = torch.zeros(2 * pairs, length, dtype=torch.int64)
            replies = [torch.arange(length // 2 - 1, length - 1) + row * length for row in range(2 * pairs)]
            positions = torch.cat(replies)
            targets = torch.zeros(len(positions), dtype=torch.int64)
            with torch.autocast("cpu", torch.bfloat16):
                logps = model.train()(input_ids=ids, positions=positions, targets=targets).logps
            logps.sum().backward()
            assert len(moments) == len(trained)
            most = alive.most
    finally:
        heads._agrees, memory.LOGITS_AT_ONCE = before[0], before[1]
        torch.set_default_dtype(before[2])
    plan = Plan(micro_batch=pairs, length=length, checkpointing=checkpointing, rank=rank)
    need = memory_need(ModelShape.from_config(config.to_dict()), plan)
    return float(most), need.total - need.overhead


def _fill(model: nn.Module) -> None:
    """Give a model that is on no device tensors of the mode that is active; tied weights stay tied."""
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, one in module._parameters.items():
            if one is not None:
                new = nn.Parameter(torch.empty(one.shape, dtype=one.dtype), requires_grad=one.requires_grad)
                module._parameters[name] = made.setdefault(id(one), new)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=2, help="of a micro-batch")
    parser.add_argument("--length", type=int, default=2048, help="tokens of each sequence")
    options = parser.parse_args()
    rows = []
    for rank, checkpointing in ((32, True), (32, False), (0, True)):
        found, reckoned = peak(options.layers, rank, checkpointing, options.pairs, options.length)
        how = f"adapters of rank {rank}" if rank else "all weights"
        sizes = [f"{found / GB:.1f}", f"{reckoned / GB:.1f}", f"{reckoned / found:.2f}"]
        rows.append([how, "yes" if checkpointing else "no", *sizes])
    print(markdown_table(["trained", "checkpointing", "tensors, GB", "doctor, GB", "doctor / tensors"], rows))


if __name__ == "__main__":
    main()
