"""What a step takes, in calls, tokens, hours of a GPU and money; whoever reckons with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignment_prism.domain import Pair
from alignment_prism.studies.prices import Gpu, Prices

if TYPE_CHECKING:
    from alignment_prism.training.objectives import Objective

CHARACTERS = 3
"""Of a token: about 4 of English, 2 of Hindi or Arabic in most vocabularies."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the steps of one kind take with one model.

    Attributes:
        what: `train`, `reply`, `judge`, `translate` or `compare`, and the model.
        steps: how many.
        calls: of a model behind an API.
        tokens_in: that are read, over all calls or trainings and their epochs.
        tokens_out: that are written, at most.
        gpu_hours: of a model on this machine; None where its parameters are not known.
        dollars: None where no price is known.
        at_most: whether there may be fewer calls, since they hang on replies that are not there yet.
    """

    what: str
    steps: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    gpu_hours: float | None = 0.0
    dollars: float | None = 0.0
    at_most: bool = False

    def __add__(self, other: Estimate) -> Estimate:
        """Both together; what is not known of one is not known of both."""
        hours = None if self.gpu_hours is None or other.gpu_hours is None else self.gpu_hours + other.gpu_hours
        dollars = None if self.dollars is None or other.dollars is None else self.dollars + other.dollars
        return Estimate(
            self.what,
            self.steps + other.steps,
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            hours,
            dollars,
            self.at_most or other.at_most,
        )


def called(what: str, model: str, calls: int, read: int, written: int, prices: Prices) -> Estimate:
    """What one step takes that calls a model behind an API."""
    price = prices.of(model)
    dollars = None if price is None else (read * price[0] + written * price[1]) / 1e6
    return Estimate(what, 1, calls, read, written, 0.0, dollars)


def computed(what: str, read: int, written: int, operations: float, gpu: Gpu, utilisation: float) -> Estimate:
    """What one step takes that computes on this machine."""
    hours = operations / (gpu.tflops * 1e12 * utilisation) / 3600 if operations else None
    return Estimate(what, 1, 0, read, written, hours, None if hours is None else hours * gpu.per_hour)


def in_all_languages(pairs: Sequence[Pair]) -> int:
    """Characters of the prompts of pairs, each in its own language and in those that a method may compare it with: what
    a pair names as translations, else the other languages of its group."""
    from alignment_prism.training.examples import pair_translations

    of_group: dict[str, dict[str, int]] = {}
    for pair in pairs:
        of_group.setdefault(pair.group or pair.id, {}).setdefault(pair.language, _length(pair))
    found = 0
    for pair in pairs:
        named = [len(text) for _, text in pair_translations(pair)]
        group = of_group[pair.group or pair.id]
        found += _length(pair) + (sum(named) or sum(group.values()) - group[pair.language])
    return found


def _length(pair: Pair) -> int:
    return sum(len(message.content) for message in pair.messages)


def learned(epochs: float, *, checkpointing: bool) -> float:
    """Operations a parameter and token of what is read with gradient, once an epoch: 6, or 8 with checkpointing."""
    return (8 if checkpointing else 6) * epochs


def passes(objective: Objective, epochs: float, *, checkpointing: bool) -> float:
    """Operations a parameter and token of a training that reads each token once an epoch: 6 with gradient, 2 without.

    Args:
        objective: of the stage.
        epochs: how many.
        checkpointing: whether activations are computed again, which takes 2 more.
    """
    reference = 2 if objective.uses_reference else 0
    # Replies to other prompts: once for their references, and then in each step.
    return (
        learned(epochs, checkpointing=checkpointing)
        + reference
        + (2 * (1 + epochs) if objective.uses_divergence else 0)
    )
