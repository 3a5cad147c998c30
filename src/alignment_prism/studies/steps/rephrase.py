"""Rephrasing: from seeds to prompts, those that a model words anew among them, each checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.domain import LANGUAGES, Generation, Languages, Message, Prompt, Role, StopReason
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.models.names import resolve
from alignment_prism.preferences.rephrasing import (
    Rephrasing,
    check_rephrasings,
    diversity,
    prompts_of,
    rephrasing_id,
    wordings,
)
from alignment_prism.preferences.tables import write_table
from alignment_prism.preferences.templates import Template, load_template
from alignment_prism.store.names import GENERATIONS, PROMPTS
from alignment_prism.studies.steps.kind import Context, StepKind, lacks_replies
from alignment_prism.studies.steps.seeds import EVALUATION
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.steps.writer import endpoints_of, local_model_of, writer_options, writer_settings
from alignment_prism.studies.synthesis.spec import RephraseSpec

REPHRASINGS = "rephrasings.parquet"
"""Every wording that was given, with its status."""

COLUMNS = tuple(Rephrasing.__dataclass_fields__)


def rephrase_step(rephrase: RephraseSpec, seeds: Step, given: Step, languages: str) -> Step:
    """Rephrasings of seeds.

    Args:
        rephrase: who rephrases.
        seeds: step that draws them.
        given: source with the evaluation sets.
        languages: path of a file with further languages, empty for none.
    """
    template = load_template(rephrase.template, ("instruction",))
    settings = {
        **writer_settings(rephrase),
        "threshold": seeds.settings["threshold"],
        "per_seed": rephrase.per_seed,
        "include_seeds": rephrase.include_seeds,
        "template": template.id,
        "template_digest": template.digest,
    }
    options = {**writer_options(rephrase), "template": rephrase.template, "languages": languages}
    title = f"rephrase each seed {rephrase.per_seed} times with {rephrase.model}"
    return Step("rephrase", title, "rephrasings", settings, {"seeds": seeds, "given": given}, options=options)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Ask for wordings of every seed, and keep those that may become prompts."""
    from alignment_prism.generation import reply
    from alignment_prism.io.languages import read_languages
    from alignment_prism.scoring.reply_language import in_language

    languages = read_languages(step.options["languages"]) if step.options["languages"] else LANGUAGES
    spec = RephraseSpec.model_validate(step.options["writer"])
    template = load_template(step.options["template"], ("instruction",))
    seeds = read_records(inputs["seeds"] / PROMPTS, Prompt)
    evaluation = [
        *read_records(inputs["given"] / EVALUATION, Prompt),
        *read_records(inputs["seeds"] / EVALUATION, Prompt),
    ]
    asked = [_asked(seed, template, spec, languages) for seed in seeds]
    answers = reply(
        resolve(spec.model), asked, spec.sampling(), arm="rephrase", journal=context.journal, progress=progress,
        **spec.how(),
    )  # fmt: skip
    drafts = [
        draft for seed, answer in zip(seeds, answers, strict=True) for draft in _drafts(seed, answer, template, spec)
    ]
    checked = check_rephrasings(
        drafts,
        seeds,
        evaluation,
        lambda text, code: code not in languages or in_language(text, languages.find(code)),
        threshold=step.settings["threshold"],
    )
    write_records(folder / GENERATIONS, answers, Generation)
    write_table(folder / REPHRASINGS, [one.as_dict() for one in checked], COLUMNS)
    write_records(folder / PROMPTS, prompts_of(checked, seeds, include_seeds=spec.include_seeds), Prompt)
    write_json(folder / "diversity.json", diversity(checked))


def _asked(seed: Prompt, template: Template, spec: RephraseSpec, languages: Languages) -> Prompt:
    name = languages.find(seed.language).name if seed.language in languages else seed.language
    words = template.text("instruction", seed.language, native=spec.instructions == "prompt")
    instruction = words.replace("{number}", str(spec.per_seed)).replace("{language}", name).strip()
    messages = (Message(Role.SYSTEM, instruction), Message(Role.USER, seed.text))
    return Prompt(seed.id, messages, seed.language, seed.kind)


def _drafts(seed: Prompt, answer: Generation, template: Template, spec: RephraseSpec) -> list[Rephrasing]:
    failed = answer.stop_reason in (StopReason.ERROR, StopReason.CONTEXT)
    texts = [] if failed else wordings(answer.reply)[: spec.per_seed]
    return [
        Rephrasing(
            id=rephrasing_id(seed.id, text),
            seed_id=seed.id,
            order=order,
            text=text,
            language=seed.language,
            scope=seed.scope.value if seed.scope else "",
            categories=seed.categories,
            generator=spec.model,
            template=f"{template.id}#{template.digest}",
            temperature=answer.temperature,
            seed=answer.seed,
        )
        for order, text in enumerate(texts or [""])
    ]


def _endpoints(step: Step) -> tuple[Endpoint, ...]:
    return endpoints_of(step)


REPHRASE = StepKind(
    "rephrase",
    do,
    endpoints=_endpoints,
    computes_with=local_model_of,
    has_gaps=lambda folder: lacks_replies(folder, GENERATIONS),
)
