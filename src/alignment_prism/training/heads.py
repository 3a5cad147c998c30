"""A causal language model that returns log-probabilities of completion tokens instead of logits of everything.

Prompts and padding are most of a batch, and a vocabulary of 256,000 entries makes logits the largest tensor of a
training. Here the trunk runs as the architecture defines it, and the output embedding only sees the positions that
predict a completion token.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils.generic import ModelOutput

from alignment_prism.training.devices import ask_first, is_fatal
from alignment_prism.training.logps import token_logps
from alignment_prism.training.numerics import full_precision

HEAD_TOLERANCE = 1e-4
"""How far the log-probability of a token may lie from the model's own, in nats by 1 + its size. Both are computed in
float32 at least; architectures that this head knows agree to about 1e-6."""


@dataclass
class CompletionOutput(ModelOutput):  # type: ignore[misc]
    """Log-probability of each target token, shape (targets,); or hidden states, shape (positions, width)."""

    logps: Tensor | None = None
    states: Tensor | None = None


def add_completion_head(model: Any, samples: Sequence[Sequence[int]]) -> str | None:
    """Teach `model(input_ids=..., positions=..., targets=...)` to return a `CompletionOutput`.

    With `depth` in place of `targets` it returns the hidden states behind that share of the layers.

    `positions` are flat indices into the (rows * length) grid of hidden states, `targets` the token ids that these
    positions predict. Called without them, the model is what it was. The forward of the instance is replaced, not
    that of the class, and before DDP or FSDP wraps it, so that their hooks run.

    Some architectures do more to hidden states than multiply, scale and cap, or have no trunk that can be called
    apart. The head is therefore compared with the model's own logits once; where they differ, or it fails, the model's
    own are used, which costs memory and time.

    Args:
        model: a causal language model of transformers.
        samples: token ids of a few short texts to compare on, of the kind that is trained on: a cap or a scale shows
            where logits are as large as they are in use. All logits of a text are computed at once.

    Returns:
        A notice in that case, else None.
    """
    inherited = model.forward
    head = _head_of(model)

    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        *args: Any,
        positions: Tensor | None = None,
        targets: Tensor | None = None,
        depth: float | None = None,
        **kwargs: Any,
    ) -> Any:
        if positions is None or (targets is None and depth is None):
            return inherited(*args, **kwargs)
        for unused in ("labels", "logits_to_keep", "return_dict", "output_hidden_states", "output_attentions"):
            kwargs.pop(unused, None)  # PEFT passes them as None
        if depth is not None:
            return CompletionOutput(states=_states(self, args, {**kwargs, "use_cache": False}, positions, depth))
        return CompletionOutput(logps=head(self, args, {**kwargs, "use_cache": False}, positions, targets))

    model.forward = types.MethodType(forward, model)
    if ask_first(model, lambda: _agrees(model, samples)):
        return None
    head = _own_logits(inherited)
    return (
        f"{type(model).__name__} treats its hidden states in a way of its own: "
        "all logits are computed, which costs memory and time"
    )


def _states(model: Any, args: Any, kwargs: dict[str, Any], positions: Tensor, depth: float) -> Tensor:
    """Hidden states behind a share of the layers; behind all of them and the last norm at 1."""
    layers = model.base_model(*args, **kwargs, output_hidden_states=True).hidden_states
    hidden: Tensor = layers[max(1, round(depth * (len(layers) - 1)))]
    return hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions)


def _head_of(model: Any) -> Any:
    config = model.config.get_text_config()
    scale = _logit_scale(config)
    softcap = _softcap(config)

    def head(self: Any, args: Any, kwargs: dict[str, Any], positions: Tensor, targets: Tensor) -> Tensor:
        # The trunk and the embedding are looked up on each call: FSDP and PEFT replace them after this.
        hidden = self.base_model(*args, **kwargs).last_hidden_state
        output = self.get_output_embeddings()
        if not getattr(output, "_knows_targets", False):
            output.forward = types.MethodType(_projecting(output.forward, scale, softcap), output)
            output._knows_targets = True
        logps: Tensor = output(hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions), targets=targets)
        return logps

    return head


def _projecting(inherited: Any, scale: float, softcap: float | None) -> Any:
    """A forward for the output embedding that gives log-probabilities where it is told the targets.

    It is called as a module, so that whatever shards its weights (FSDP) gathers them, and reduces their gradients,
    in the hooks that it has put around every module.
    """

    def forward(self: Any, hidden: Tensor, *, targets: Tensor | None = None) -> Tensor:
        if targets is None:
            logits: Tensor = inherited(hidden)
            return logits
        bias = getattr(self, "bias", None)
        return token_logps(hidden, self.weight, targets, bias=bias, scale=scale, softcap=softcap)

    return forward


def _own_logits(inherited: Any) -> Any:
    def head(_: Any, args: Any, kwargs: dict[str, Any], positions: Tensor, targets: Tensor) -> Tensor:
        logits = inherited(*args, **kwargs).logits
        chosen = logits.reshape(-1, logits.shape[-1]).index_select(0, positions)
        chosen = chosen if chosen.dtype == torch.float64 else chosen.float()
        return -torch.nn.functional.cross_entropy(chosen, targets, reduction="none")

    return head


def _logit_scale(config: Any) -> float:
    """What the architecture multiplies its logits with: Cohere's scale, Granite's divisor; 1 for most.

    The names are those that TRL 1.16 knows too. A name that is unknown here, or means something else, shows in the
    comparison with the model's own logits.
    """
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):  # Cohere, Muse, Falcon-H1
        scale = getattr(config, name, None)
        if isinstance(scale, int | float):  # MPT's may be the name of a rule
            return float(scale)
    scaling = getattr(config, "logits_scaling", None)
    if not scaling:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)


def _softcap(config: Any) -> float | None:
    """The architecture's cap on logits: Gemma's, RecurrentGemma's; None for most."""
    for name in ("final_logit_softcapping", "logits_soft_cap"):
        cap = getattr(config, name, None)
        if cap is not None:
            return float(cap)
    return None


def _agrees(model: Any, samples: Sequence[Sequence[int]]) -> bool:
    """Whether the head gives the model's own log-probabilities."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()  # dropout would make two passes differ
    try:
        with torch.no_grad(), full_precision(model):
            return all(_agrees_on(model, torch.tensor([list(ids)], device=device)) for ids in samples if len(ids) > 1)
    finally:
        model.train(training)


def _agrees_on(model: Any, ids: Tensor) -> bool:
    count = ids.shape[1] - 1
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].double()
    theirs = torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0]
    try:
        ours = model(input_ids=ids, positions=torch.arange(count, device=ids.device), targets=ids[0, 1:]).logps
    except Exception as error:  # Llama 4 has no trunk under the name that others give it
        if is_fatal(error):
            raise
        return False
    return bool(((ours.double() - theirs).abs() <= HEAD_TOLERANCE * (1 + theirs.abs())).all())
