"""Weights of groups (language x scope) in the loss of a step, for any objective: given ones, or those of group DRO.

Group DRO (Sagawa et al. 2020, arXiv 1911.08731, algorithm 1; for preferences Ramesh et al. 2024, arXiv 2405.20304)
minimises the loss of the worst group: weights that grow exponentially with the losses of their groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alignment_prism.domain import InputError
from alignment_prism.training.groups import Group
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, State
from alignment_prism.training.settings import GroupsConfig

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "group_weights"
"""Of the state of a weighted objective: one weight a group, which sum to 1, shape (groups,)."""


def weighted(objective: Objective, config: GroupsConfig | None, groups: Sequence[Group]) -> Objective:
    """The objective with weights of the groups, which are state: they are in every checkpoint.

    With a step size, the loss of a step is sum_g q_g (mean loss of group g), where q begins with the given weights and
    after every step becomes q_g exp(step size * mean loss of group g), normalised. Without one it is the mean over
    examples (or tokens) with the given weights. A group without an example in the batch has no part in the step.

    Args:
        objective: what is minimised.
        config: None leaves it as it is.
        groups: of the examples, in the order of their numbers.

    Raises:
        InputError: a weight is given to a group that no example is of.
    """
    if config is None:
        return objective
    given = _given(config, groups)

    def first(recipe: Any, count: int) -> dict[str, Tensor]:
        from torch import tensor

        own = {} if objective.state is None else objective.state.first(recipe, count)
        return {**own, WEIGHTS: tensor(given) / sum(given)}

    def following(
        state: Mapping[str, Tensor], recipe: Any, sums: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        own = {} if objective.state is None else objective.state.next(state, recipe, sums, counts)
        grown = state[WEIGHTS] * (config.step_size * sums["loss"] / counts.clamp(min=1)).exp()
        return {**own, WEIGHTS: grown / grown.sum()}

    def loss(batch: MicroBatch, recipe: Any) -> LossAndMetrics:
        losses, metrics = objective.losses(batch, recipe)
        weights, counts = batch.state[WEIGHTS], batch.counts
        if config.step_size:
            factors = weights * counts.sum() / counts.clamp(min=1)
        else:
            factors = weights * counts.sum() / (weights * counts).sum()
        return losses * factors[batch.groups].to(losses.dtype), {
            "loss": losses,
            "weight": weights[batch.groups],
            **metrics,
        }

    return replace(objective, loss=loss, state=State(first, following))


def _given(config: GroupsConfig, groups: Sequence[Group]) -> list[float]:
    """The weight of each group: by `language/scope`, else by language, else by scope, else 1."""
    names = [(f"{language}/{scope}", language, scope) for language, scope in groups]
    known = {name for one in names for name in one}
    for name in config.weights:
        if name not in known:
            raise InputError(
                f"no pair is of the group {name!r}",
                where="key training.groups.weights",
                fix=f"name a language, a scope, or one of {', '.join(one[0] for one in names)}",
            )
    return [next((config.weights[name] for name in one if name in config.weights), 1.0) for one in names]
