"""What tests of objectives share: the stages of every method, batches of given tensors, trainings of a study."""

from __future__ import annotations

from typing import Any

import torch

from alignment_prism.studies import build_plan, load_sources, load_spec
from alignment_prism.studies.steps import Step
from alignment_prism.training import METHODS, MicroBatch

STAGES = {stage.objective.name: stage for method in METHODS.values() for stage in method.stages}


def batch_of(
    logps: Any, reference: Any = None, lengths: Any = None, groups: Any = None, counts: Any = None, **state: Any
) -> MicroBatch:
    """Tensors of shape (branches, examples) in float64; replies of 10 tokens in one group unless said otherwise."""
    policy = torch.tensor(logps, dtype=torch.float64)
    examples = policy.shape[1]
    groups = torch.tensor(groups or [0] * examples)
    labels = state.pop("labels", [1] * examples)
    divergence = state.pop("divergence", 0.0)
    return MicroBatch(
        logps=policy,
        lengths=torch.full_like(policy, 10) if lengths is None else torch.tensor(lengths),
        reference=None if reference is None else torch.tensor(reference, dtype=torch.float64),
        groups=groups,
        labels=torch.tensor(labels, dtype=torch.float64),
        divergence=torch.tensor(divergence, dtype=torch.float64),
        counts=torch.tensor(counts or torch.bincount(groups).tolist(), dtype=torch.float64),
        state={name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()},
    )


def trainings(arms: list[dict[str, Any]]) -> dict[str, Step]:
    """Method -> its training in a study of these arms."""
    spec = load_spec("quickstart", arms=arms)
    steps = build_plan(spec, load_sources(spec)).steps
    return {str(step.settings["method"]): step for step in steps if step.kind == "train"}
