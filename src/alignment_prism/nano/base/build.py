"""Build a nano base, check it and write it as a model folder."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment_prism.domain import ModelError, PromptKind, TrainingError
from alignment_prism.domain.errors import reason
from alignment_prism.domain.progress import Progress
from alignment_prism.models.shipped import shipped_base
from alignment_prism.nano.world.facts import Facts, WorldSpec
from alignment_prism.nano.world.prompts import evaluation_prompts

if TYPE_CHECKING:
    from alignment_prism.nano.base.criteria import Criterion
    from alignment_prism.nano.base.train import BaseRecipe

MANIFEST = "nano.json"
"""File beside the weights: world, digest of its facts, recipe, criteria, digest of the weights."""
KIND = "nano-base"
"""Of the artifact."""
KNOWN_HARMFUL = "probability of refusing, harmful, known"
"""The criterion that holds the declared rate of refusal."""


def read_world(folder: Path | None = None) -> WorldSpec:
    """The world that a nano base was trained in; that of the shipped one by default.

    Raises:
        ModelError: the folder is no nano base, or one of a version that drew other facts from the same knobs.
    """
    folder = folder or shipped_base()
    record = _record(folder)
    world = record["world"].items()
    knobs: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in world}
    spec = WorldSpec(**{field.name: knobs[field.name] for field in fields(WorldSpec) if field.name in knobs})
    if record["facts"] != Facts(spec).digest:
        raise ModelError(
            "the base was trained in a world that this version draws differently, so that its oracle would be wrong",
            where=str(folder / MANIFEST),
            fix=f"build it anew in another folder: prism nano build, with seed {spec.seed}",
        )
    return spec


def measured_refusal(folder: Path | None = None) -> float:
    """Mean probability that a base refuses a held-out request that it knows to be harmful, as measured when built.

    Raises:
        ModelError: the folder is no nano base.
    """
    return float(_record(folder or shipped_base())["criteria"][KNOWN_HARMFUL])


def _record(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = {"world", "facts", "criteria"} - set(record)
        if not missing:
            return dict(record)
        fault = f"its record has no {', '.join(sorted(missing))}"
    except FileNotFoundError:
        fault = "there is no such file"
    except (OSError, ValueError, TypeError) as error:
        fault = reason(error)
    raise ModelError(
        f"not a nano base: {fault}", where=str(path), fix="name a folder that prism nano build has written"
    )


def build_base(
    spec: WorldSpec,
    recipe: BaseRecipe,
    out: Path,
    progress: Progress | None = None,
    *,
    force: bool = False,
    replace: bool = False,
) -> list[Criterion]:
    """Train a base in a world, hold it against its criteria, and write it.

    Args:
        spec: the world.
        recipe: of the training; the same spec, recipe and machine give the same digest.
        out: folder to write.
        progress: called every 20 steps of the training.
        force: write the base even though it misses a criterion.
        replace: replace a base that was built there before; nothing else is ever replaced.

    Returns:
        The criteria, as measured on the weights that were written.

    Raises:
        TrainingError: the base misses a criterion.
        StoreError: the folder holds something, or cannot be written; found out before the training.
    """
    from alignment_prism.store.artifacts import check_folder, write_artifact

    check_folder(out, kind=KIND, replace=replace)
    import torch
    from transformers import AutoModelForCausalLM

    from alignment_prism.models.weights import weights_digest
    from alignment_prism.nano.base.train import train_base

    facts = Facts(spec)
    model, tokenizer = train_base(facts, recipe, progress)
    with write_artifact(out, kind=KIND, replace=replace) as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        # The criteria are held against what was written: rounding to bf16 is part of the base.
        written = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False
        )
        criteria = measure_criteria(written, tokenizer, facts, folder)
        missed = [criterion for criterion in criteria if not criterion.passed]
        if missed and not force:
            named = "; ".join(f"{each.name}: {each.value:.4f} not in [{each.low}, {each.high}]" for each in missed)
            raise TrainingError(
                f"the base misses {len(missed)} criteria: {named}",
                where=str(out),
                fix="train longer, or write it all the same",
                settings={"force": "True"},
            )
        record = {
            "world": asdict(spec),
            "facts": facts.digest,
            "recipe": recipe.as_dict(),
            "criteria": {criterion.name: round(criterion.value, 4) for criterion in criteria},
            "weights": weights_digest(folder),
        }
        (folder / MANIFEST).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return criteria


def check_base(folder: Path) -> list[Criterion]:
    """Every criterion of a base, measured anew.

    Raises:
        ModelError: the folder is no nano base.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    facts = Facts(read_world(folder))
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False
    )
    return measure_criteria(model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False), facts, folder)


def measure_criteria(model: Any, tokenizer: Any, facts: Facts, folder: Path) -> list[Criterion]:
    """Every criterion of a base, on the evaluation set of its world."""
    from alignment_prism.domain import Sampling
    from alignment_prism.generation.backends.transformers import generate_local
    from alignment_prism.nano.base import criteria as measured
    from alignment_prism.nano.oracle import Oracle

    prompts = evaluation_prompts(facts)
    replies = generate_local(folder, prompts, arm="base", sampling=Sampling(max_tokens=48))
    oracle = Oracle(facts)
    by_prompt = {reply.prompt_id: reply.reply for reply in replies}
    readings = [oracle.read(prompt, by_prompt[prompt.id]) for prompt in prompts]
    requests = [p for p in prompts if p.kind is not PromptKind.GENERAL]
    probabilities = measured.refusal_probabilities(model, tokenizer, facts, requests)
    return measured.reply_criteria(prompts, readings) + measured.refusal_criteria(requests, probabilities)


def describe(spec: WorldSpec, measured: float | None = None) -> str:
    """The first line of every nano report: what the lab is not, and at what rate its base refuses.

    Args:
        spec: the world; its rate is the declared one.
        measured: mean probability of a refusal on held-out requests, where a base was measured.
    """
    found = "" if measured is None else f", {measured:.0%} as measured on held-out requests"
    return (
        "Nano is a toy world: nothing measured in it is evidence about real models. "
        "Its base refuses what it knows to be harmful at a declared median rate of "
        f"{spec.refusal_median:.0%} of samples{found} "
        f"(world {spec.seed}; {', '.join(spec.languages)})."
    )
