"""The plan of a build: what it starts from, and its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import LANGUAGES, Comparison, InputError, Prompt
from alignment_prism.io import read_records
from alignment_prism.models.names import resolve
from alignment_prism.store.names import COMPARISONS, PROMPTS
from alignment_prism.studies.spec import NANO
from alignment_prism.studies.steps.complete import complete_step
from alignment_prism.studies.steps.pairs import pairs_step
from alignment_prism.studies.steps.rank import rank_step
from alignment_prism.studies.steps.rephrase import rephrase_step
from alignment_prism.studies.steps.score import judge_step
from alignment_prism.studies.steps.seeds import EVALUATION, seeds_step
from alignment_prism.studies.steps.source import Source, source
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.synthesis.spec import BuildSpec, Prompts


@dataclass(frozen=True, slots=True)
class BuildSources:
    """What a build starts from.

    Attributes:
        prompts: the set that seeds are drawn from.
        evaluation: prompts that nothing may be near.
        labels: comparisons by people.
        notes: what is to be said of them: what the nano lab says of itself, prompts in another language than they say.
    """

    prompts: Sequence[Prompt]
    evaluation: Sequence[Prompt]
    labels: Sequence[Comparison] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The steps of a build.

    Attributes:
        sources: what they start from.
        steps: in working order.
        seeds: the step that draws seeds.
        prompts: the step that leaves the prompts that are answered.
        pairs: the step that leaves the pairs.
    """

    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    seeds: Step
    prompts: Step
    pairs: Step

    @property
    def keys(self) -> set[str]:
        """Keys of everything that the pairs rest on."""
        return {step.key for step in self.steps} | {one.step.key for one in self.sources}

    def as_json(self) -> dict[str, Any]:
        """The index of a build's folder: every step by its key, as a path within it."""
        steps = (*(one.step for one in self.sources), *self.steps)
        return {"steps": {step.key: step.folder(Path()).as_posix() for step in steps}}


def load_build_sources(spec: BuildSpec, evaluation: Sequence[Prompt] = ()) -> BuildSources:
    """Read what a build starts from; generates and fetches nothing but sets of prompts.

    Args:
        spec: of the build.
        evaluation: further prompts that nothing may be near: those of a study that starts from the build.

    Raises:
        InputError: a file is not what it should be, or there are no prompts.
        ModelError: a model is not there.
    """
    seeds = spec.seeds
    notes: list[str] = []
    for name in spec.models:
        resolve(name)
    if NANO in (seeds.prompts, seeds.evaluation):
        from alignment_prism.nano import world

        notes.append(world(base=None if spec.world == NANO else Path(spec.world)).describe())
    return BuildSources(
        _read(seeds.prompts, spec, notes, seeds=True),
        [*_read(seeds.evaluation, spec, notes, seeds=False), *evaluation],
        [one for file in spec.rank.labels for one in read_records(file, Comparison)],
        tuple(notes),
    )


def _read(prompts: Prompts | tuple[()], spec: BuildSpec, notes: list[str], *, seeds: bool) -> list[Prompt]:
    if isinstance(prompts, str):
        from alignment_prism.nano import world

        lab = world(base=None if spec.world == NANO else Path(spec.world))
        return lab.seed_prompts() if seeds else lab.evaluation_prompts()
    from alignment_prism.io.languages import read_languages
    from alignment_prism.prompts import load_prompts
    from alignment_prism.scoring.prompt_language import check_prompt_languages

    languages = read_languages(spec.languages) if spec.languages else LANGUAGES
    found = [
        prompt
        for entry in prompts
        for prompt in load_prompts(
            entry.file,
            mapping=entry.map or None,
            defaults=entry.defaults or None,
            format_name=entry.format,
            languages=languages,
        )
    ]
    if seeds and not found:
        where = ", ".join(entry.file for entry in prompts)
        raise InputError("no prompts to draw seeds from", where=where, fix="check that the file is the right one")
    notes += check_prompt_languages(found, languages)
    return found


def plan_build(spec: BuildSpec, sources: BuildSources) -> BuildPlan:
    """The steps of a build: seeds, rephrasings, the replies of each side, comparisons, verdicts on each, pairs."""
    tables = {PROMPTS: (Prompt, sources.prompts), EVALUATION: (Prompt, sources.evaluation)}
    given = source("seed-set", tables)
    labels = source("labels", {COMPARISONS: (Comparison, sources.labels)}) if sources.labels else None
    seeds = seeds_step(spec.seeds, given.step)
    steps = [seeds]
    prompts = seeds
    if spec.rephrase is not None:
        prompts = rephrase_step(spec.rephrase, seeds, given.step, spec.languages or "")
        steps.append(prompts)
    sides: dict[str, Step] = {}
    for side in spec.complete:
        sides[side.name] = complete_step(side, prompts, sides.get(side.of), spec.languages or "")
        steps.append(sides[side.name])
    compared = rank_step(spec.rank, prompts, list(sides.values()))
    steps.append(compared)
    scores = []
    if spec.rank.outcomes is not None:
        for side_step in sides.values():
            scores.append(judge_step(spec.rank.outcomes, side_step.arm, side_step, prompts, spec.languages))
        steps += scores
    pairs = pairs_step(spec.rank, prompts, list(sides.values()), compared, scores, labels.step if labels else None)
    steps.append(pairs)
    return BuildPlan((given, *([labels] if labels else [])), tuple(steps), seeds, prompts, pairs)


def size_of(spec: BuildSpec, sources: BuildSources) -> tuple[int, int, int]:
    """Most seeds, most prompts that are answered, and mean tokens of one (three characters each)."""
    each, languages = spec.seeds.per_language, {prompt.language for prompt in sources.prompts}
    seeds = len(sources.prompts) if each is None else each * len(languages)
    per_seed = (spec.rephrase.per_seed + spec.rephrase.include_seeds) if spec.rephrase else 1
    texts = [prompt.text for prompt in sources.prompts]
    return seeds, seeds * per_seed, sum(map(len, texts)) // (3 * max(len(texts), 1))


def largest(spec: BuildSpec, sources: BuildSources) -> tuple[int, float, float, float]:
    """Most pairs that a build gives, and most tokens of prompt, chosen and rejected reply."""
    _, prompts, length = size_of(spec, sources)
    most = max(side.max_tokens for side in spec.complete)
    return prompts * spec.rank.per_prompt, length, most, most
