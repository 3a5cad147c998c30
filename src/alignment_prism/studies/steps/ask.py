"""Asking: from a mixture to the prompts that the model of a round of on-policy training replies to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alignment_prism.domain import Pair, PairKind, Prompt, PromptKind, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.store.names import PAIRS, PROMPTS
from alignment_prism.studies.steps.kind import Context, StepKind
from alignment_prism.studies.steps.step import Step


def ask_step(mixture: Step, count: int | None, number: int, seed: int) -> Step:
    """The prompts of a round.

    Args:
        mixture: whose prompts they are.
        count: how many; None takes all.
        number: of the round, from 1.
        seed: of the alignment.
    """
    title = f"prompts of round {number} from the {mixture.title}"
    settings = {"prompts": count, "round": number}
    return Step("ask", title, f"round{number}-{mixture.name}", settings, {"mixture": mixture}, seed=seed)


def prompts_of(pairs: list[Pair]) -> list[Prompt]:
    """The prompts of pairs, each conversation once: of safety pairs as harmful ones, of others as general ones."""
    found: dict[str, Prompt] = {}
    for pair in pairs:
        turns = [(message.role.value, message.content) for message in pair.messages]
        name = content_digest("asked", pair.language, turns)
        kind = PromptKind.HARMFUL if pair.kind == PairKind.SAFETY else PromptKind.GENERAL
        about = {"translations": pair.metadata["translations"]} if "translations" in pair.metadata else {}
        prompt = Prompt(
            name, pair.messages, pair.language, kind, pair.scope, pair.categories, group=pair.group, metadata=about
        )
        found.setdefault(name, prompt)
    return list(found.values())


def drawn(prompts: list[Prompt], count: int | None, number: int, seed: int) -> list[Prompt]:
    """The prompts of a round: by a lot that is drawn once, round after round the next ones, from the start again."""
    order = sorted(prompts, key=lambda prompt: content_digest("asked in a round", seed, prompt.id))
    size = len(order) if count is None else min(count, len(order))
    return [order[((number - 1) * size + place) % len(order)] for place in range(size)]


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Draw the prompts."""
    prompts = prompts_of(read_records(inputs["mixture"] / PAIRS, Pair))
    chosen = drawn(prompts, step.settings["prompts"], step.settings["round"], step.seed or 0)
    write_records(folder / PROMPTS, chosen, Prompt)


ASK = StepKind("ask", do)
