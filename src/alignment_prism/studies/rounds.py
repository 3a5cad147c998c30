"""The steps of on-policy training: each round has prompts, replies, comparisons, pairs and a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alignment_prism.domain import content_digest
from alignment_prism.models.names import ModelRef
from alignment_prism.studies.arms import ModelArm, TrainedArm
from alignment_prism.studies.generation import GenerationSpec
from alignment_prism.studies.on_policy import OnPolicySpec
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps import Step
from alignment_prism.studies.steps.ask import ask_step
from alignment_prism.studies.steps.pairs import pairs_step
from alignment_prism.studies.steps.rank import rank_step
from alignment_prism.studies.steps.reply import reply_step_of_model, reply_step_of_training
from alignment_prism.studies.steps.score import judge_step
from alignment_prism.studies.steps.train import train_steps
from alignment_prism.studies.synthesis.spec import RankSpec

POLICY = "policy"
"""Arm of the replies of the model that is being trained."""


def add_rounds(
    spec: StudySpec,
    arm: TrainedArm,
    mixture: Step,
    base: tuple[ModelRef, str],
    start: Step | None,
    seed: int,
    add: Callable[[Step], Step],
) -> Step:
    """The training of the last round, after the steps of all rounds.

    Args:
        spec: of the study.
        arm: that is trained on-policy.
        mixture: whose prompts are replied to.
        base: the model that the arm is compared with, and its digest.
        start: step that leaves the model of the first round; None starts from the base.
        seed: of the alignment.
        add: puts a step into the plan.
    """
    rules = arm.on_policy
    assert rules is not None
    ranking = RankSpec(
        judges=rules.judges,
        outcomes=rules.outcomes,
        couples=rules.couples,
        per_prompt=rules.per_prompt,
        refusal_cap=rules.refusal_cap,
        seed=seed,
    )
    current = start
    for number in range(1, rules.rounds + 1):
        prompts = add(ask_step(mixture, rules.prompts, number, seed))
        drawing = _generation(rules, spec.generation, number, seed)
        if current is None:
            own = ModelArm(name=POLICY, model=base[0].name)
            replies = reply_step_of_model(own, base[0], base[1], prompts, drawing)
        else:
            replies = reply_step_of_training(POLICY, seed, current, prompts, drawing)
        label = f"round {number}, seed {seed}"
        replies = add(replace(replies, title=f"{rules.samples} replies of the model of {label}"))
        compared = add(rank_step(ranking, prompts, [replies]))
        scores = []
        if rules.outcomes is not None:
            scores.append(add(judge_step(rules.outcomes, label, replies, prompts, spec.languages)))
        pairs = add(pairs_step(ranking, prompts, [replies], compared, scores, None))
        (training,) = train_steps(spec, arm, pairs, (base[1], base[0].id), seed, current)
        current = add(
            replace(training, title=f"{training.title}, round {number}", name=f"round{number}-{training.name}")
        )
    assert current is not None
    return current


def _generation(rules: OnPolicySpec, evaluation: GenerationSpec, number: int, seed: int) -> GenerationSpec:
    """How replies of a round are drawn: on the device that the evaluation's are drawn on, by other random numbers."""
    return evaluation.model_copy(
        update={
            **{name: getattr(rules, name) for name in ("temperature", "top_p", "max_tokens", "samples")},
            "seed": int(content_digest("round", seed, number)[:7], 16),
        }
    )
