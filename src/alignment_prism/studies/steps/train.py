"""Training: from a base, or the model of another training, and a mixture to a model."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment_prism.domain import Pair, TrainingError, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records
from alignment_prism.store.names import PAIRS
from alignment_prism.studies.arms import TrainedArm
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps.kind import Context, StepKind
from alignment_prism.studies.steps.mix import data_name, data_title
from alignment_prism.studies.steps.step import Step
from alignment_prism.training.methods import METHODS, Method, Stage, find_method
from alignment_prism.training.settings import MethodConfig

MODEL = "model"
"""Folder of the model within that of a training."""

FIRST = "first"
"""Role of the training whose model a method of two stages goes on from."""

START = "start"
"""Role of the step whose model is trained in place of the base: a merge, or another training."""

LONGEST = 60
"""Characters of settings in the title of a training."""


def train_steps(
    spec: StudySpec, arm: TrainedArm, mixture: Step, base: tuple[str, str], seed: int, start: Step | None = None
) -> tuple[Step, ...]:
    """The trainings of an arm, the last of which leaves its model: each stage that another arm may share is a step.

    Args:
        spec: of the study.
        arm: to train.
        mixture: that it is trained on.
        base: digest of the base, and where it is.
        seed: of the alignment.
        start: step that leaves the model to start from, in place of the base; None starts from that.
    """
    method = find_method(arm.method)
    needs = {"mixture": mixture} if start is None else {"mixture": mixture, START: start}
    before = _before(method)
    if before is None:
        return (_train_step(spec, arm, method, needs, base, seed),)
    first = _train_step(spec, arm, before, needs, base, seed)
    return first, _train_step(spec, arm, method, {**needs, FIRST: first}, base, seed)


def _train_step(
    spec: StudySpec, arm: TrainedArm, method: Method, needs: dict[str, Step], base: tuple[str, str], seed: int
) -> Step:
    """A training whose key holds the recipes of its own stages: of the last one, where the first is a step of its own,
    and else of all, the others under `earlier`."""
    config = spec.method_config(arm)
    *earlier, last = _own_stages(method)
    settings = {
        "method": method.name,
        "recipe": config.recipe(last).model_dump(mode="json"),
        "training": config.training.result_settings(),
        "engine": spec.engine,
    }
    if earlier:
        settings["earlier"] = {stage.section: config.recipe(stage).model_dump(mode="json") for stage in earlier}
    if code := _code(method):
        settings["code"] = code
    digest, place = base
    options = {"base": place, "training": config.training.model_dump(mode="json")}
    source = f"from {arm.base} " if arm.base else ""
    usual = spec.method_config(arm.model_copy(update={"config": {}}))
    return Step(
        "train",
        f"train {method.title} {source}on {data_title(arm, seed)}{_own(method, usual, config)}",
        f"{method.name}-{data_name(arm)}-seed{seed}",
        settings,
        needs,
        {"base": digest},
        seed,
        options=options,
    )


def _before(method: Method) -> Method | None:
    """The method that makes what the second of two stages starts from, where there is one: arms may share its model."""
    return method.preceding if len(method.stages) == 2 else None


def _own_stages(method: Method) -> tuple[Stage, ...]:
    """The stages that a training of a method does itself."""
    return method.stages if _before(method) is None else method.stages[-1:]


def _code(method: Method) -> str:
    """Of the objectives of those stages."""
    codes = [METHODS.code(stage.objective) for stage in _own_stages(method)]
    return codes[0] if len(codes) == 1 else content_digest(*codes) if any(codes) else ""


def _method_here(step: Step) -> Method:
    """The method of a training, in the process that is to train.

    Raises:
        TrainingError: it is not there: another process has registered it.
    """
    name = step.settings["method"]
    if name not in METHODS:
        raise TrainingError(
            f"the process that is to train does not know the method {name!r}",
            where=f"{step.title}, on {socket.gethostname()}",
            fix="METHODS.register adds it to one process: let that one do one step after the other, with one job, one "
            "GPU and no cluster; or install a package, on every node, that names it under the entry point "
            "alignment_prism.objectives",
        )
    return METHODS[name]


def _own(method: Method, usual: MethodConfig, config: MethodConfig) -> str:
    """What is set otherwise than in the study's other arms, as the title of a training has it.

    The log of a study, and so its status, knows steps by their titles: what makes another key makes another title, and
    which arm of several with one training comes first does not.
    """

    def values(found: MethodConfig, training: dict[str, Any]) -> dict[str, Any]:
        stages = {stage.section: found.recipe(stage).model_dump(mode="json") for stage in method.stages}
        sections = {**stages, "training": training}
        return {f"{section}.{name}": value for section, of in sections.items() for name, value in of.items()}

    before = values(usual, usual.training.model_dump(mode="json"))  # of which not every setting is in its key
    own = values(config, config.training.result_settings())
    changed = {name: value for name, value in own.items() if value != before[name]}
    words = ", ".join(f"{name} {json.dumps(value).removesuffix('.0')}" for name, value in changed.items())
    if len(words) > LONGEST:
        words = f"{len(changed)} own settings {content_digest(changed)[:8]}"
    return f", with {words}" if words else ""


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Train, or go on with a training that was stopped: the run folder is made, and resumed, by the training.

    Reference log-probabilities are the training's own. Their last digits depend on the pairs that they were computed
    together with, so that with a store for all trainings a result would depend on which of them came first.
    """
    from alignment_prism.training.train import train_method

    method = _method_here(step)
    if _code(method) != step.settings.get("code", ""):  # which this process has read later, or elsewhere
        raise TrainingError(
            f"the loss of {method.name} is not the one that the study was planned with",
            where=f"{step.title}, on {socket.gethostname()}",
            fix="run the same again, which plans with the loss as it is; nodes of a cluster need one version of it",
        )
    recipes = {**step.settings.get("earlier", {}), method.stages[-1].section: step.settings["recipe"]}
    config = {**recipes, "training": step.options["training"]}
    train_method(
        step.settings["method"],
        engine=step.settings["engine"],
        base=inputs[START] / MODEL if START in inputs else step.options["base"],
        pairs=read_records(inputs["mixture"] / PAIRS, Pair),
        out=folder,
        config=MethodConfig.model_validate(config),
        seed=step.seed or 0,
        sft_checkpoint=inputs[FIRST] / MODEL if FIRST in inputs else None,
        progress=progress,
    )


TRAIN = StepKind("train", do, computes_with=lambda step: str(step.options["base"]), makes_folder=True)
