"""Replying: from prompts and a model, trained by the study or there before, to replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import public_address
from alignment_prism.domain import Generation, Message, Prompt, Role, Sampling
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.store.names import GENERATIONS, PROMPTS
from alignment_prism.studies.arms import ModelArm
from alignment_prism.studies.generation import GenerationSpec
from alignment_prism.studies.steps.direct import VECTOR
from alignment_prism.studies.steps.kind import Context, StepKind, lacks_replies
from alignment_prism.studies.steps.step import Step, folder_name
from alignment_prism.studies.steps.train import MODEL

_HOW = {"batch_tokens", "device", "max_connections", "retries", "timeout"}
"""Settings of the generation that change how replies come about and not what they are."""


def reply_step_of_training(name: str, seed: int, model: Step, prompts: Step, generation: GenerationSpec) -> Step:
    """Replies of a model that the study trains."""
    return Step(
        "reply",
        f"replies of {name}, seed {seed}",
        f"{folder_name(name)}-seed{seed}",
        _settings(name, generation),
        {"prompts": prompts, "model": model},
        arm=name,
        options=_options(generation),
    )


def reply_step_of_model(
    arm: ModelArm,
    found: ModelRef,
    digest: str,
    prompts: Step,
    generation: GenerationSpec,
    direction: Step | None = None,
) -> Step:
    """Replies of a model that exists; the address of an API is in the key, since another server may have another model
    under the same name; that of a server that has loaded a model's files too, since it computes in another way."""
    address = {"base_url": arm.base_url} if arm.base_url else {}
    shown = {name: public_address(url) for name, url in address.items()}
    return Step(
        "reply",
        f"replies of {arm.name}",
        folder_name(arm.name),
        {**_settings(arm.name, generation), **shown, **({"system": arm.system} if arm.system else {})},
        {"prompts": prompts} if direction is None else {"prompts": prompts, "direction": direction},
        {"model": digest},
        arm=arm.name,
        options={**_options(generation), **address, "model": [found.kind.value, found.name, found.id]},
    )


def _settings(arm: str, generation: GenerationSpec) -> dict[str, Any]:
    """What shapes replies; the arm's name is written into them."""
    return {"arm": arm, **generation.model_dump(mode="json", exclude=_HOW)}


def _options(generation: GenerationSpec) -> dict[str, Any]:
    return {name: value for name, value in generation.model_dump(include=_HOW).items() if value is not None}


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Let the model reply."""
    from alignment_prism.generation import reply

    options = {"connections" if name == "max_connections" else name: value for name, value in step.options.items()}
    options.pop("model", None)
    settings = {name: value for name, value in step.settings.items() if name not in ("arm", "base_url", "system")}
    replies = reply(
        _model(step) or inputs["model"] / MODEL,
        _with_system(read_records(inputs["prompts"] / PROMPTS, Prompt), step.settings.get("system", "")),
        Sampling(**settings),
        arm=step.arm,
        journal=context.journal,
        progress=progress,
        direction=inputs["direction"] / VECTOR if "direction" in inputs else None,
        **options,
    )
    write_records(folder / GENERATIONS, replies, Generation)


def _with_system(prompts: Sequence[Prompt], system: str) -> Sequence[Prompt]:
    """The prompts with a system turn before those that have none."""
    if not system:
        return prompts
    turn = Message(Role.SYSTEM, system)
    return [
        prompt if prompt.messages[0].role is Role.SYSTEM else replace(prompt, messages=(turn, *prompt.messages))
        for prompt in prompts
    ]


def _model(step: Step) -> ModelRef | None:
    """The model that exists, None where the study trains it."""
    if "model" not in step.options:
        return None
    kind, name, id = step.options["model"]
    return ModelRef(ModelKind(kind), name, id)


def _endpoints(step: Step) -> tuple[Endpoint, ...]:
    model = _model(step)
    if model is None or not model.is_api:
        return ()
    return (Endpoint(model.id, step.options.get("base_url", "")),)


def _computes_with(step: Step) -> str | None:
    """The model, or the base of one that is trained first: it is about as large."""
    model = _model(step)
    if model is None:
        return str(step.needs["model"].options["base"])
    return None if model.is_api or step.options.get("base_url") else model.id


REPLY = StepKind(
    "reply",
    do,
    endpoints=_endpoints,
    computes_with=_computes_with,
    has_gaps=lambda folder: lacks_replies(folder, GENERATIONS),
)
