"""How much memory a training needs per GPU: plain arithmetic on the shape of a model.

What is reckoned is what `alignment_prism.training` does: with adapters the frozen weights are held in the precision
that is computed in, and logits come in chunks of `LOGITS_AT_ONCE`, never all at once.

Weights, gradients and AdamW's two moments follow exactly from the number of parameters. Activations are an estimate:
the tensors that the backward pass of a decoder layer with a gated MLP keeps, attention not counting its square (SDPA
and flash attention do not keep it), after Korthikanti et al. 2022 (arXiv 2205.05198), section 4. Caches, fragmentation
and the libraries' own buffers come on top; `OVERHEAD` stands for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, Literal

from alignment_prism.domain import InputError
from alignment_prism.training.memory import logits_at_once

GB = 10**9

OVERHEAD = 1.5 * GB
"""Context, libraries and fragmentation of one process on one GPU; a rule of thumb."""

LOGIT_BYTES = 12
"""Of each logit in a chunk: its float32 form, the log-softmax, and the gradient."""

HEAD_BYTES = 8
"""Of each weight of the output embedding, where it is trained: the sum of the chunks' gradients in float32, and either
one chunk's in float32 or, in bfloat16, that and the copy that is computed with."""

BLOCK, NESTED = 64, 256
"""Weights in four bits that share a scale of one byte, and scales that share one of four (QLoRA's double
quantisation)."""

TABLES = 4 * (16 + 256 + 1)
"""Bytes of a quantised layer for the sixteen values of NF4, the 256 of its scales, and their mean."""

Precision = Literal["fp32", "bf16"]
"""As in training: fp32 throughout, or weights in float32 and arithmetic in bfloat16."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The numbers of a decoder that memory follows from.

    Attributes:
        layers: decoder layers.
        hidden: width of the residual stream.
        intermediate: width of the gated MLP.
        heads: of attention.
        kv_heads: of keys and values.
        head_size: of one head.
        vocabulary: rows of the embedding.
        tied: whether the output layer is the embedding.
        norms: weight vectors of normalisation a layer.
        parameters: exact count where the weights' files have it, else 0.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    norms: int = 2
    parameters: int = 0

    @classmethod
    def from_config(cls, config: Mapping[str, Any], parameters: int = 0) -> ModelShape:
        """The shape that a `config.json` describes.

        Raises:
            InputError: it lacks the numbers of a decoder.
        """
        text = config.get("text_config")
        found = {**config, **text} if isinstance(text, Mapping) else dict(config)
        try:
            hidden, heads = int(found["hidden_size"]), int(found["num_attention_heads"])
            return cls(
                layers=int(found["num_hidden_layers"]),
                hidden=hidden,
                intermediate=int(found["intermediate_size"]),
                heads=heads,
                kv_heads=int(found.get("num_key_value_heads") or heads),
                head_size=int(found.get("head_dim") or hidden // heads),
                vocabulary=int(found["vocab_size"]),
                tied=bool(found.get("tie_word_embeddings", found.get("model_type") in {"cohere", "cohere2", "gemma"})),
                # Cohere's layers run attention and MLP side by side after one norm.
                norms=1 if found.get("model_type") in {"cohere", "cohere2"} else 2,
                parameters=parameters,
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InputError(
                f"config.json does not describe a decoder that memory can be reckoned for ({error})",
                fix="name a decoder with a gated MLP: hidden_size, num_hidden_layers, num_attention_heads, "
                "intermediate_size, vocab_size",
            ) from error

    @property
    def maps(self) -> tuple[int, ...]:
        """Weights of each linear map of a layer: queries, keys, values, attention's output; gate, up and down."""
        queries, keys = self.hidden * self.head_size * self.heads, self.hidden * self.head_size * self.kv_heads
        return (queries, keys, keys, queries, *(self.hidden * self.intermediate,) * 3)

    @property
    def per_layer(self) -> int:
        """Parameters of one layer."""
        return sum(self.maps) + self.norms * self.hidden

    @property
    def count(self) -> int:
        """Parameters: as the files say, else as the shape says (without biases)."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.parameters or self.layers * self.per_layer + embeddings + self.hidden

    def frozen(self, compute: int, bits: int | None = None) -> float:
        """Bytes of weights that are not trained.

        Args:
            compute: bytes of a number that is computed with.
            bits: 4 where the layers' maps are held so; embeddings, output and norms are not.
        """
        if bits is None:
            return float(compute * self.count)
        scales = [ceil(each / BLOCK) for each in self.maps]
        mapped = sum(ceil(each / 2) for each in self.maps) + sum(scales)
        mapped += sum(4 * ceil(each / NESTED) + TABLES for each in scales)
        return float(self.layers * mapped + compute * (self.count - self.layers * sum(self.maps)))

    def adapter(self, rank: int) -> int:
        """Parameters of low-rank adapters on every linear layer but the output."""
        heads, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        sides = 2 * self.hidden + 2 * heads + 2 * (self.hidden + kv) + 3 * (self.hidden + self.intermediate)
        return self.layers * rank * sides

    @property
    def adapted_inputs(self) -> int:
        """Widths of what goes into a layer's linear maps, all of them together; PEFT copies it for each adapter."""
        return 5 * self.hidden + self.heads * self.head_size + self.intermediate


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is to be trained.

    Attributes:
        branches: sequences of an example (`Objective.branches`): 1 for SFT, 2 for objectives of pairs.
        micro_batch: examples that pass through a GPU together.
        length: tokens of a sequence, prompt and reply.
        precision: see `Precision`.
        gpus: that share weights, gradients and optimiser evenly (FSDP); 1 is one GPU.
        checkpointing: activations are recomputed.
        rank: of LoRA adapters; 0 trains every weight.
        live_reference: a frozen copy is kept beside the model; False has its log-probabilities precomputed.
        bits: 4 holds the frozen weights beside adapters so (QLoRA), whole on every GPU; None as they are computed with.
    """

    branches: int = 2
    micro_batch: int = 1
    length: int = 2048
    precision: Precision = "bf16"
    gpus: int = 1
    checkpointing: bool = False
    rank: int = 0
    live_reference: bool = False
    bits: Literal[4] | None = None


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that one GPU needs, by what for.

    Attributes:
        weights: as they are held, and the copy in bfloat16 that is computed with, of weights in four bits that of the
            largest map.
        gradients: of what is trained.
        optimiser: AdamW's moments.
        reference: a second model, where there is one.
        activations: that the backward pass needs.
        logits: of one chunk, with what is computed from them.
        head: the backward pass of the output embedding, beside the gradients that it leaves.
        overhead: of libraries.
    """

    weights: float
    gradients: float
    optimiser: float
    reference: float
    activations: float
    logits: float
    head: float
    overhead: float = OVERHEAD

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """What for, and bytes."""
        return asdict(self)


def memory_need(shape: ModelShape, plan: Plan) -> MemoryNeed:
    """Bytes that one GPU needs to train a model by a plan.

    Trained weights and their gradients take 4 bytes a parameter, AdamW's moments 8; computing in bf16 keeps a copy of
    2 bytes on one GPU. Frozen weights beside adapters are held in the precision of computing, or in four bits, with
    their scales, of which one map at a time is unpacked to bfloat16. Several GPUs share all
    of that (FSDP2), and each gathers what it computes with: two layers at a time and the embeddings; one layer's
    gradient is whole, in float32, before it is shared. Logits are those of completion tokens, at most of all tokens.
    """
    compute = 2 if plan.precision == "bf16" else 4
    trained = shape.adapter(plan.rank) if plan.rank else shape.count
    gpus = 1 if plan.bits else plan.gpus  # which weights in four bits are not spread over
    weights = (4.0 * trained + (shape.frozen(compute, plan.bits) if plan.rank else 0)) / gpus
    gradients = 4.0 * trained / gpus
    embedding = shape.vocabulary * shape.hidden
    if gpus > 1:
        weights += compute * (2 * shape.per_layer + embedding * (1 if shape.tied else 2))
        gradients += 0 if plan.rank else 4 * shape.per_layer
    elif plan.precision == "bf16":
        weights += 2 * trained
    if plan.bits:
        weights += 2 * max(shape.maps)
    tokens = plan.micro_batch * plan.length * plan.branches
    full = layer_activations(shape, compute) + (2 * shape.adapted_inputs if plan.rank and compute == 2 else 0)
    kept = shape.layers * compute * shape.hidden + full if plan.checkpointing else shape.layers * full
    return MemoryNeed(
        weights=weights,
        gradients=gradients,
        optimiser=8 * trained / gpus,
        reference=4 * shape.count / gpus if plan.live_reference and not plan.rank else 0.0,
        activations=float(tokens * kept),
        logits=float(min(tokens * shape.vocabulary, logits_at_once("cuda")) * LOGIT_BYTES),
        head=0.0 if plan.rank else float(HEAD_BYTES * embedding),
    )


def layer_activations(shape: ModelShape, compute: int) -> float:
    """Bytes a token that the backward pass of one layer keeps: inputs of every product and of every non-linearity.

    The residual stream before and after each norm (4 widths, 2 where one norm serves both halves), queries, keys,
    values, attention's output; gate, up, the activated gate and their product.
    """
    width = 2 * shape.norms * shape.hidden
    attention = shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    return compute * (width + attention + 4 * shape.intermediate)


def remedies(shape: ModelShape, plan: Plan, available: float) -> list[tuple[str, Plan, MemoryNeed]]:
    """Changes of a plan that make it fit into the bytes there are, cheapest first; each alone, then all together."""
    changes: list[tuple[str, Plan]] = []
    changed = plan
    if plan.live_reference:
        changed = replace(changed, live_reference=False)
        changes.append(("precompute the reference's log-probabilities", changed))
    if plan.micro_batch > 1:
        changed = replace(changed, micro_batch=1)
        changes.append(("set training.micro_batch_size: 1 (same result, more steps between updates)", changed))
    if not plan.checkpointing:
        changed = replace(changed, checkpointing=True)
        changes.append(("set training.gradient_checkpointing: true (about a third more time)", changed))
    if plan.length > 1024:
        shorter = replace(changed, length=1024)
        changes.append(("set training.max_length: 1024 (longer examples are cut or skipped, and counted)", shorter))
        changed = shorter
    for gpus in (2, 4, 8, 16):
        if gpus > plan.gpus and not plan.bits:
            changes.append(
                (f"spread over {gpus} GPUs (accelerate launch with the FSDP2 config)", replace(changed, gpus=gpus))
            )
    if not plan.rank:
        changed = replace(changed, rank=32)
        changes.append(("train adapters: training.adapter (LoRA, rank 32)", changed))
    if not plan.bits:
        held = replace(changed, bits=4, gpus=1)
        changes.append(("hold the weights beside adapters in four bits: training.adapter.bits: 4 (QLoRA)", held))
    fitting = []
    for words, option in changes:
        need = memory_need(shape, option)
        if need.total <= available:
            fitting.append((words, option, need))
    return fitting
