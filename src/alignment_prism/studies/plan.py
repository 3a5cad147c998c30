"""The plan of a study: its steps in an order that respects what each needs, and which of them are done already.

A step is named by what it is made from. Two arms that need the same training, such as DPO(SFT) and SFT-Preferred,
share one step; a spec that changes makes new steps beside the old ones, and nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.scoring.rubric import load_rubric
from alignment_prism.store import artifact_key, is_complete
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import Arm, JudgeSpec, StudySpec
from alignment_prism.training.methods import find_method
from alignment_prism.training.settings import MethodConfig

BASE = "base"


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work that leaves one artifact.

    Attributes:
        kind: `mixture`, `train`, `generate`, `judge` or `compare`.
        title: what it does, for people.
        name: of its folder, without the digits of its key.
        spec: settings, plain JSON values.
        needs: role -> the step that plays it (`mixture`, `sft`, `model`, `candidate`, `base`).
        inputs: digests of what it needs besides steps.
        seed: of its random numbers.
        arm: in findings, where it belongs to one.
    """

    kind: str
    title: str
    name: str
    spec: Mapping[str, Any]
    needs: Mapping[str, Step] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    arm: str = ""

    key: str = field(init=False)
    """Digest of kind, settings, inputs and seed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", artifact_key(self.kind, self.spec, self.all_inputs, self.seed))

    @property
    def all_inputs(self) -> dict[str, str]:
        """Digests of everything that it is made from."""
        return {**self.inputs, **{role: step.key for role, step in self.needs.items()}}

    def folder(self, out: Path) -> Path:
        """Where its artifact lies within a study's folder."""
        return out / f"{self.kind}" / f"{self.name}-{self.key[:10]}"

    def is_done(self, out: Path) -> bool:
        """Whether its artifact is there, complete, and made from the same things.

        A training writes its manifest itself, with a key of its own; ours is in the folder's name.
        """
        return is_complete(self.folder(out), None if self.kind == "train" else self.key)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The steps whose artifacts the analysis of one arm and seed reads."""

    arm: str
    seed: int
    generate: Step
    judge: Step
    compare: Step | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in working order, and for each arm and seed those that the analysis reads."""

    steps: tuple[Step, ...]
    base: Outcomes
    arms: tuple[Outcomes, ...]


def build_plan(spec: StudySpec, sources: Sources) -> Plan:
    """The steps of a study."""
    steps: dict[str, Step] = {}

    def add(step: Step) -> Step:
        return steps.setdefault(step.key, step)

    prompts = {"prompts": sources.prompts_digest}
    base_inputs = {**prompts, "base": sources.base_digest}

    # Trainings first, then replies, then scores: an engine is loaded for one kind of work at a time.
    models = {(arm.name, seed): _training(spec, sources, arm, seed, add) for seed in spec.seeds for arm in spec.arms}
    base_replies = add(Step("generate", "replies of base", BASE, _generation(spec, BASE), inputs=base_inputs, arm=BASE))
    replies = {}
    for (name, seed), model in models.items():
        title = f"replies of {name}, seed {seed}"
        settings = _generation(spec, name)
        step = Step("generate", title, f"{name}-seed{seed}", settings, {"model": model}, prompts, arm=name)
        replies[name, seed] = add(step)
    base = Outcomes(BASE, -1, base_replies, add(_judging(spec, base_replies, prompts)))
    arms = []
    for (name, seed), generated in replies.items():
        judged = add(_judging(spec, generated, prompts))
        compared = add(_comparing(spec.compare, generated, base_replies, prompts)) if spec.compare else None
        arms.append(Outcomes(name, seed, generated, judged, compared))
    return Plan(tuple(steps.values()), base, tuple(arms))


def _training(spec: StudySpec, sources: Sources, arm: Arm, seed: int, add: Any) -> Step:
    """The step that trains an arm, after those that it needs."""
    config = spec.method_config(arm)
    scopes = sorted(arm.scopes) if arm.scopes is not None else None
    of = "" if scopes is None else f" ({' and '.join(scopes)} only)"
    data = f"share{arm.share:g}" + "".join(f"-{scope}" for scope in scopes or ())
    mixture = add(
        Step(
            "mixture",
            f"mixture with {100 * arm.share:g} % safety pairs{of}, seed {seed}",
            f"{data}-seed{seed}",
            {"share": arm.share, "scopes": scopes, **spec.mixture.model_dump()},
            inputs={"pairs": sources.pairs_digest},
            seed=seed,
        )
    )
    base = {"base": sources.base_digest}
    method = find_method(arm.method)
    needs: dict[str, Step] = {"mixture": mixture}
    if method.preceding is not None:
        needs["sft"] = add(
            _train_step(method.preceding.name, data, config, spec.engine, {"mixture": mixture}, base, seed)
        )
    trained: Step = add(_train_step(method.name, data, config, spec.engine, needs, base, seed))
    return trained


def _train_step(
    method: str, data: str, config: MethodConfig, engine: str, needs: dict[str, Step], inputs: dict[str, str], seed: int
) -> Step:
    """A training whose key holds only the recipe of its own last stage: an earlier one is in the key of `sft`."""
    chosen = find_method(method)
    settings = {
        "method": method,
        "engine": engine,
        "recipe": config.recipe(chosen.stages[-1]).model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
    }
    title = f"train {chosen.title} on {needs['mixture'].title.removeprefix('mixture with ')}"
    return Step("train", title, f"{method}-{data}-seed{seed}", settings, needs, inputs, seed)


def _generation(spec: StudySpec, arm: str) -> dict[str, Any]:
    """Settings that shape replies; how they are batched does not, and the arm's name is written into them."""
    return {"arm": arm, **spec.generation.model_dump(mode="json", exclude={"batch_tokens"})}


def _judging(spec: StudySpec, generated: Step, prompts: dict[str, str]) -> Step:
    settings = _judge(spec.judge)
    title = generated.title.replace("replies of", "judge", 1)
    return Step("judge", title, generated.name, settings, {"replies": generated}, prompts, arm=generated.arm)


def _judge(judge: JudgeSpec) -> dict[str, str]:
    """What of a judge shapes its verdicts; the rubric by its words, wherever they are."""
    rubric = load_rubric(judge.rubric)
    return {"model": judge.model, "base_url": judge.base_url, "rubric": rubric.id, "rubric_digest": rubric.digest}


def _comparing(judge: JudgeSpec, generated: Step, base: Step, prompts: dict[str, str]) -> Step:
    settings = _judge(judge)
    title = generated.title.replace("replies of", "compare with base:", 1)
    needs = {"candidate": generated, "base": base}
    return Step("compare", title, generated.name, settings, needs, prompts, arm=generated.arm)
