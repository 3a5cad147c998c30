"""The plan of a study: its steps in an order that respects what each needs, and what the analysis reads.

Two arms that need the same training, such as DPO(SFT) and SFT-Preferred, share one step; a spec that changes makes new
steps beside the old ones, and nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from alignment_prism.domain import Comparison, Generation, Pair, Prompt, Score
from alignment_prism.store.names import COMPARISONS, GENERATIONS, PROMPTS, SCORES
from alignment_prism.studies.arms import MergedArm, ModelArm, RepliesArm, TrainedArm
from alignment_prism.studies.rounds import add_rounds
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps import Step
from alignment_prism.studies.steps.compare import compare_step
from alignment_prism.studies.steps.direct import direct_step
from alignment_prism.studies.steps.merge import merge_step
from alignment_prism.studies.steps.mix import GENERAL, SAFETY, mix_step
from alignment_prism.studies.steps.pools import pools_step
from alignment_prism.studies.steps.reply import reply_step_of_model, reply_step_of_training
from alignment_prism.studies.steps.score import judge_step, rules_step
from alignment_prism.studies.steps.source import Source, source
from alignment_prism.studies.steps.step import folder_name
from alignment_prism.studies.steps.train import train_steps

NO_SEED = -1
"""Seed of an arm that the study does not train and that names none."""


@dataclass(frozen=True, slots=True)
class ArmSteps:
    """The steps whose artifacts the analysis of one arm and seed reads.

    Attributes:
        arm: in findings.
        seed: of its alignment, `NO_SEED` where there is none.
        replies: step or source of its replies.
        scores: steps that score them.
        compare: step that compares them with base's.
        model: the training that made its model, for an arm that the study trains.
        base: the arm that it is compared with, where that is not the study's base.
    """

    arm: str
    seed: int
    replies: Step
    scores: tuple[Step, ...] = ()
    compare: Step | None = None
    model: Step | None = None
    base: str | None = None

    @property
    def label(self) -> str:
        """Name and seed for people."""
        return f"{self.arm}, seed {self.seed}" if self.model is not None else self.arm


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        sources: what steps start from.
        steps: in working order.
        arms: what the analysis reads of each arm and seed, base first.
        base: name of the base, if there is one.
        scored: source of scores that were there already.
        compared: source of comparisons that were there already.
    """

    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    arms: tuple[ArmSteps, ...]
    base: str | None = None
    scored: Step | None = None
    compared: Step | None = None

    @property
    def keys(self) -> set[str]:
        """Keys of everything that the findings rest on."""
        return {step.key for step in self.steps} | {one.step.key for one in self.sources}

    def as_json(self) -> dict[str, Any]:
        """The index of a study's folder: every step by its key, and what belongs to each arm, as paths within it."""

        def path(step: Step | None) -> str | None:
            return None if step is None else step.folder(Path()).as_posix()

        return {
            "steps": {step.key: path(step) for step in (*(one.step for one in self.sources), *self.steps)},
            "base": self.base,
            "arms": [
                {
                    "arm": arm.arm,
                    "seed": arm.seed,
                    "base": arm.base,
                    "model": path(arm.model),
                    "replies": path(arm.replies),
                    "scores": [path(step) for step in arm.scores],
                    "compare": path(arm.compare),
                }
                for arm in self.arms
            ],
            "scores": path(self.scored),
            "comparisons": path(self.compared),
        }


def build_plan(spec: StudySpec, sources: Sources) -> Plan:
    """The steps of a study."""
    return _Planner(spec, sources).plan()


class _Planner:
    """Collects the steps of one study, each once."""

    def __init__(self, spec: StudySpec, sources: Sources) -> None:
        self.spec = spec
        self.given = sources
        self.sources: dict[str, Source] = {}
        self.steps: dict[str, Step] = {}
        self.prompts = self.source("prompts", {PROMPTS: (Prompt, sources.prompts)})

    @cached_property
    def pairs(self) -> Step:
        """The pools that mixtures are drawn from: digested once, whatever the number of arms."""
        given = self.source("pairs", {SAFETY: (Pair, self.given.safety), GENERAL: (Pair, self.given.general)})
        if self.given.build is None:
            return given
        from alignment_prism.studies.synthesis.plan import plan_build

        build = plan_build(*self.given.build)
        self.sources |= {one.step.key: one for one in build.sources}
        for step in build.steps:
            self.add(step)
        return self.add(pools_step(given, build.pairs))

    def add(self, step: Step) -> Step:
        """The step, or one of the same key that is there already."""
        return self.steps.setdefault(step.key, step)

    def source(self, name: str, tables: Mapping[str, tuple[type, Sequence[Any]]], arm: str = "") -> Step:
        """Records as a step that later ones start from."""
        found = source(name, tables, arm=arm)
        return self.sources.setdefault(found.step.key, found).step

    def plan(self) -> Plan:
        """Trainings first, then replies, then scores: an engine is loaded for one kind of work at a time."""
        spec = self.spec
        made = [arm for arm in spec.arms if isinstance(arm, TrainedArm | MergedArm)]
        models = [(arm, seed, self.model_of(arm, seed)) for seed in spec.seeds for arm in made]
        arms = [self.replies_of(arm) for arm in spec.existing]
        there = {arm.arm: arm for arm in arms}
        base = None if spec.base is None else arms[0]
        arms += [
            ArmSteps(
                arm.name,
                seed,
                self.add(reply_step_of_training(arm.name, seed, model, self.prompts, spec.generation)),
                model=model,
                base=self.compared_with(arm),
            )
            for arm, seed, model in models
        ]
        whole = tuple(self.scored(arm, base if arm.base is None else there[arm.base]) for arm in arms)
        scores = self.source("scores", {SCORES: (Score, self.given.scores)}) if spec.scores else None
        tables = {COMPARISONS: (Comparison, self.given.comparisons)}
        comparisons = self.source("comparisons", tables) if spec.comparisons else None
        name = None if base is None else base.arm
        return Plan(tuple(self.sources.values()), tuple(self.steps.values()), whole, name, scores, comparisons)

    def compared_with(self, arm: TrainedArm | MergedArm) -> str | None:
        """Name of the model that an arm is compared with, None for the study's base."""
        if isinstance(arm, MergedArm):
            return None
        found, base = self.spec.base_of(arm), self.spec.base
        return None if base is not None and found.name == base.name else found.name

    def model_of(self, arm: TrainedArm | MergedArm, seed: int) -> Step:
        """The step that leaves an arm's model, after those that it needs."""
        if isinstance(arm, MergedArm):
            assert self.spec.base is not None  # a spec that merges has one
            parts = [self.part(name, seed) for name in arm.merge.models]
            return self.add(merge_step(arm, parts, self.place(self.spec.base.name), seed))
        mixture = self.add(mix_step(arm, self.spec.mixture, self.pairs, seed))
        start = None
        for other in self.spec.arms:
            if other.name == arm.base and isinstance(other, TrainedArm | MergedArm):
                start = self.model_of(other, seed)
        base = self.spec.base_of(arm).name
        if arm.on_policy is not None:
            found = self.given.models[base], self.given.digests[base]
            return add_rounds(self.spec, arm, mixture, found, start, seed, self.add)
        for step in train_steps(self.spec, arm, mixture, self.place(base), seed, start):
            trained = self.add(step)
        return trained

    def part(self, name: str, seed: int) -> Step | tuple[str, str]:
        """A model that is merged: the step that makes it, or digest and place of one that exists."""
        for arm in self.spec.arms:
            if arm.name == name and isinstance(arm, TrainedArm | MergedArm):
                return self.model_of(arm, seed)
        return self.place(name)

    def place(self, name: str) -> tuple[str, str]:
        """Digest and place of a model that exists."""
        return self.given.digests[name], self.given.models[name].id

    def replies_of(self, arm: ModelArm | RepliesArm) -> ArmSteps:
        """Replies of an arm that exists: asked for, or there already."""
        if isinstance(arm, RepliesArm):
            tables = {GENERATIONS: (Generation, self.given.replies[arm.name])}
            return ArmSteps(arm.name, arm.seed, self.source(f"replies-{folder_name(arm.name)}", tables, arm.name))
        model, digest = self.given.models[arm.name], self.given.digests[arm.name]
        direction = None if arm.steer is None else self.add(direct_step(arm, model, digest, self.pairs))
        step = reply_step_of_model(arm, model, digest, self.prompts, self.spec.generation, direction)
        return ArmSteps(arm.name, arm.seed, self.add(step))

    def scored(self, arm: ArmSteps, base: ArmSteps | None) -> ArmSteps:
        """The arm with the steps that score and compare its replies."""
        spec = self.spec
        scores = []
        if spec.judge is not None:
            scores.append(self.add(judge_step(spec.judge, arm.label, arm.replies, self.prompts, spec.languages)))
        if spec.scorers:
            scores.append(self.add(rules_step(spec.scorers, arm.label, arm.replies, self.prompts)))
        compare = None
        if spec.compare is not None and base is not None and arm is not base:
            compare = self.add(compare_step(spec.compare, arm.label, arm.replies, base.replies, self.prompts))
        return replace(arm, scores=tuple(scores), compare=compare)
