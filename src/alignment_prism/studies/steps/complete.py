"""Completing: from prompts to the replies of one side: as the model replies, asked to help safely, or self-revised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from alignment_prism.domain import LANGUAGES, Generation, Languages, Message, Prompt, Role
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.models.names import resolve
from alignment_prism.preferences.templates import Template, load_template
from alignment_prism.store.names import GENERATIONS, PROMPTS
from alignment_prism.studies.steps.kind import Context, StepKind, lacks_replies
from alignment_prism.studies.steps.step import Step, folder_name
from alignment_prism.studies.steps.writer import endpoints_of, local_model_of, writer_options, writer_settings
from alignment_prism.studies.synthesis.spec import SideSpec

CRITIQUES = "critiques.parquet"
"""What a side that revises said of the replies, as replies."""

DRAFTS = "drafts"
"""Role of the side whose replies are revised."""


def complete_step(side: SideSpec, prompts: Step, drafts: Step | None, languages: str) -> Step:
    """Replies of one side.

    Args:
        side: who replies, and in which way.
        prompts: step that leaves them.
        drafts: of a side that revises: the step whose replies it revises.
        languages: path of a file with further languages, empty for none.
    """
    name, roles = side.asks
    settings = {**writer_settings(side), "side": side.name, "way": side.way, "samples": side.samples}
    if name:
        template = load_template(name, roles)
        settings |= {"template": template.id, "template_digest": template.digest}
    needs = {"prompts": prompts, **({DRAFTS: drafts} if drafts else {})}
    title = f"complete: {side.name}, {side.way}, with {side.model}"
    options = {**writer_options(side), "languages": languages}
    return Step("complete", title, folder_name(side.name), settings, needs, arm=side.name, options=options)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Let the side reply."""
    from alignment_prism.generation import reply
    from alignment_prism.io.languages import read_languages

    languages = read_languages(step.options["languages"]) if step.options["languages"] else LANGUAGES
    side = SideSpec.model_validate(step.options["writer"])
    prompts = read_records(inputs["prompts"] / PROMPTS, Prompt)
    model, how = resolve(side.model), {**side.how(), "journal": context.journal, "progress": progress}
    name, roles = side.asks
    template = load_template(name, roles) if name else None
    if side.way != "revise" or template is None:
        asked = prompts if template is None else [_safe(prompt, template, side, languages) for prompt in prompts]
        replies = reply(model, asked, side.sampling(side.samples), arm=side.name, **how)
        write_records(folder / GENERATIONS, _named(replies, side), Generation)
        return
    drafts = [one for one in read_records(inputs[DRAFTS] / GENERATIONS, Generation) if one.reply]
    asked = _turns(prompts, drafts, template, side, languages, "critique")
    critiques = reply(model, asked, side.sampling(), arm=side.name, **how)
    said = [one for one in critiques if one.reply]
    whole = {prompt.id: prompt for prompt in asked}
    revised = [
        replace(
            whole[one.prompt_id],
            messages=(
                *whole[one.prompt_id].messages,
                Message(Role.ASSISTANT, one.reply),
                Message(Role.USER, _words(template, "revision", whole[one.prompt_id].language, side, languages)),
            ),
        )
        for one in said
    ]
    replies = reply(model, revised, side.sampling(), arm=side.name, **how)
    by_key = {_key(draft): draft for draft in drafts}
    found = [
        replace(one, prompt_id=by_key[one.prompt_id].prompt_id, sample=by_key[one.prompt_id].sample) for one in replies
    ]
    write_records(folder / CRITIQUES, critiques, Generation)
    write_records(folder / GENERATIONS, _named(found, side), Generation)


def _named(replies: Sequence[Generation], side: SideSpec) -> list[Generation]:
    """The replies with the model by its name in the spec, which pairs repeat, and not by its folder here."""
    return [replace(one, model=side.model) for one in replies]


def _words(template: Template, role: str, language: str, side: SideSpec, languages: Languages) -> str:
    name = languages.find(language).name if language in languages else language
    return template.text(role, language, native=side.instructions == "prompt").replace("{language}", name).strip()


def _safe(prompt: Prompt, template: Template, side: SideSpec, languages: Languages) -> Prompt:
    """The prompt with an instruction before it that is in no pair."""
    words = _words(template, "instruction", prompt.language, side, languages)
    own = [turn.content for turn in prompt.messages if turn.role is Role.SYSTEM]
    rest = tuple(turn for turn in prompt.messages if turn.role is not Role.SYSTEM)
    return replace(prompt, messages=(Message(Role.SYSTEM, "\n\n".join([*own, words])), *rest))


def _key(draft: Generation) -> str:
    return f"{draft.prompt_id}#{draft.sample}"


def _turns(
    prompts: Sequence[Prompt],
    drafts: Sequence[Generation],
    template: Template,
    side: SideSpec,
    languages: Languages,
    role: str,
) -> list[Prompt]:
    """A conversation for each draft: the prompt, the draft, and what is asked of it; its id is of prompt and sample."""
    by_id = {prompt.id: prompt for prompt in prompts}
    found = []
    for draft in drafts:
        prompt = by_id[draft.prompt_id]
        words = _words(template, role, prompt.language, side, languages)
        turns = (*prompt.messages, Message(Role.ASSISTANT, draft.reply), Message(Role.USER, words))
        found.append(replace(prompt, id=_key(draft), messages=turns))
    return found


COMPLETE = StepKind(
    "complete",
    do,
    endpoints=endpoints_of,
    computes_with=local_model_of,
    has_gaps=lambda folder: lacks_replies(folder, GENERATIONS, CRITIQUES),
)
