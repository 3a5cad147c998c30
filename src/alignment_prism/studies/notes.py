"""What is said of a study before any of its numbers: when it is planned and run, and at the head of its report."""

from __future__ import annotations

from alignment_prism.domain.records import UNKNOWN_LANGUAGE
from alignment_prism.prompts.overlap import PromptIndex
from alignment_prism.prompts.translations import translations_note
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps.ask import prompts_of

SHOWN = 5
"""Ids that a note names."""


def study_notes(spec: StudySpec, sources: Sources) -> tuple[str, ...]:
    """The notes of a study, those of its spec last."""
    found = (
        sources.world_note,
        translations_note(sources.prompts),
        trained_on_note(spec, sources),
        untold_languages_note(spec, sources),
        misplaced_note(sources),
    )
    built = sources.build[1].notes if sources.build else ()  # of the seeds that the study's pairs are built from
    return tuple(dict.fromkeys(note for note in (*found, *sources.language_notes, *built, *spec.notes) if note))


def trained_on_note(spec: StudySpec, sources: Sources) -> str:
    """Which prompts arms are evaluated on and trained on as well, in nearly the same words or in translation (see
    `prompts.overlap`); empty where there are none.

    The lab's own prompts are of topics that its pairs do not have, and are not looked through; pairs that are built by
    the study are kept away from its prompts as they are made.
    """
    if not spec.needs_pairs or spec.uses_nano_prompts:
        return ""
    pairs = prompts_of([*sources.safety, *sources.general])
    near = {match.other for match in PromptIndex(sources.prompts).matches(pairs)}
    found = [prompt.id for prompt in sources.prompts if prompt.id in near]
    if not found:
        return ""
    shown = ", ".join(name[:40] for name in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    count = f"{len(found)} of {len(sources.prompts)} prompts"
    return (
        f"{count} are in the pools of pairs too, word for word or nearly ({shown}): "
        "findings on them are of what was trained on; take them out of one side (`prism prompts overlap` names each)"
    )


def untold_languages_note(spec: StudySpec, sources: Sources) -> str:
    """How many pairs do not say their language, and what that costs; empty where all do."""
    pairs = [*sources.safety, *sources.general] if spec.needs_pairs else []
    untold = sum(pair.language == UNKNOWN_LANGUAGE for pair in pairs)
    if not untold:
        return ""
    return (
        f"{untold} of {len(pairs)} pairs do not say their language: mixtures are drawn, and trainings told, as if that "
        "were one more; give them a column language (en, fr, ...)"
    )


def misplaced_note(sources: Sources) -> str:
    """How many pairs are in the general pool that belong into the other by their own words; empty where none is."""
    if not sources.misplaced:
        return ""
    return (
        f"{sources.misplaced} of {len(sources.general)} pairs of the general pool say that they are safety pairs; they "
        "count as general: check which file is which"
    )
