"""Rephrasings: what a model's answer holds, and which of them may become prompts.

A rephrasing must be in the language and script of its seed, of about its length, other words than the seed and than the
rephrasings before it, and near no prompt of the evaluation set in any language or script. What is refused stays as a
row with its reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from alignment_prism.domain import Message, Prompt, Role, content_digest
from alignment_prism.domain.refusals import opens_with_refusal
from alignment_prism.preferences.seeds import NEAR
from alignment_prism.prompts.folding import fold
from alignment_prism.prompts.overlap import PromptIndex
from alignment_prism.prompts.similarity import jaccard

KEPT = "kept"
LENGTHS = (1 / 3, 3.0)
"""Least and largest length of a rephrasing over that of its seed."""

COPY = 0.8
"""Similarity to its seed, or to another rephrasing of it, from which a text says the same in the same words: at 0.9 six
real prompts in ten with one letter changed would pass for rephrasings (`benchmarks/preference_thresholds.md`)."""

_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):]|\(?[0-9٠-٩०-९]{1,3}[.):])\s+")
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "'": "'"}


@dataclass(frozen=True, slots=True)
class Rephrasing:
    """One wording that a model gave for a seed.

    Attributes:
        id: of the prompt that it becomes.
        seed_id: the seed.
        order: 0 for the first that was given.
        text: of the wording.
        language: code.
        scope: of the seed, empty for none.
        categories: of the seed.
        generator: the model.
        template: `name@version#digest` of what it was asked.
        temperature: of the draw.
        seed: of the draw.
        status: `kept`, or why it is not.
        similarity: to its seed.
    """

    id: str
    seed_id: str
    order: int
    text: str
    language: str
    scope: str
    categories: tuple[str, ...]
    generator: str
    template: str
    temperature: float
    seed: int
    status: str = KEPT
    similarity: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "categories": list(self.categories)}


def wordings(answer: str) -> list[str]:
    """The wordings of an answer: the texts of a JSON list, or its lines without marks of lists and quotation marks.

    Example:
        >>> wordings('1. "One way"\\n\\n2. Another way')
        ['One way', 'Another way']
    """
    text = answer.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return [one.strip() for one in found if one.strip()]
    lines = (_MARK.sub("", line).strip() for line in text.splitlines())
    return [line for line in map(_unquoted, lines) if line]


def _unquoted(line: str) -> str:
    closing = _QUOTES.get(line[:1])
    inner = line[1:-1]
    return inner.strip() if closing and line.endswith(closing) and len(line) > 2 and closing not in inner else line


def check_rephrasings(
    drafts: Sequence[Rephrasing],
    seeds: Sequence[Prompt],
    evaluation: Sequence[Prompt],
    in_language: Callable[[str, str], bool],
    *,
    threshold: float = NEAR,
) -> list[Rephrasing]:
    """The rephrasings with their status, in their order.

    Args:
        drafts: as they were given; those of one seed in their order.
        seeds: by whose ids they name.
        evaluation: prompts that none may be near.
        in_language: whether a text may be in the language of a code, script and all.
        threshold: least similarity of a neighbour of the evaluation set.
    """
    by_id = {prompt.id: prompt for prompt in seeds}
    near: set[str] = set()
    if evaluation:
        asked = [_prompt(by_id[draft.seed_id], draft) for draft in drafts if draft.text]
        near = {match.one for match in PromptIndex(evaluation, threshold=threshold).matches(asked)
                if match.how not in ("id", "group")}  # fmt: skip
    kept: dict[str, list[str]] = defaultdict(list)
    everywhere = {(prompt.language, fold(prompt.text, prompt.language)) for prompt in seeds}
    checked = []
    for draft in drafts:
        seed = by_id[draft.seed_id]
        said, source = fold(draft.text, draft.language), fold(seed.text, seed.language)
        similarity = jaccard(said, source)
        status = _status(draft, seed, similarity, in_language)
        again = (draft.language, said) in everywhere or any(jaccard(said, other) >= COPY for other in kept[seed.id])
        if status == KEPT and again:
            status = "the words of another rephrasing, or of another seed"
        if status == KEPT and draft.id in near:
            status = "near a prompt of the evaluation set"
        if status == KEPT:
            kept[seed.id].append(said)
            everywhere.add((draft.language, said))
        checked.append(replace(draft, status=status, similarity=round(similarity, 4)))
    return checked


def _status(draft: Rephrasing, seed: Prompt, similarity: float, in_language: Callable[[str, str], bool]) -> str:
    ratio = len(draft.text) / max(len(seed.text), 1)
    if not draft.text:
        return "no wording was given"
    if opens_with_refusal(draft.text) and not opens_with_refusal(seed.text):
        return "the model declined to rephrase"
    if not in_language(draft.text, draft.language):
        return "in another language or script"
    if not LENGTHS[0] <= ratio <= LENGTHS[1]:
        return "much shorter or longer than its seed"
    return "the words of its seed" if similarity >= COPY else KEPT


def prompts_of(checked: Sequence[Rephrasing], seeds: Sequence[Prompt], *, include_seeds: bool = True) -> list[Prompt]:
    """The prompts that completions are asked for: seeds if they are to be among them, and kept rephrasings.

    A rephrasing has kind, scope and categories of its seed, and is of its group.
    """
    of_seed: dict[str, list[Rephrasing]] = defaultdict(list)
    for one in checked:
        if one.status == KEPT:
            of_seed[one.seed_id].append(one)
    found = []
    for seed in seeds:
        found += [replace(seed, split="train", group=seed.cluster)] if include_seeds else []
        found += [_prompt(seed, one) for one in of_seed[seed.id]]
    return found


def _prompt(seed: Prompt, one: Rephrasing) -> Prompt:
    return replace(
        seed,
        id=one.id,
        messages=(*seed.messages[:-1], Message(Role.USER, one.text)),
        split="train",
        group=seed.cluster,
        metadata={"seed_id": seed.id, "rephrased_by": one.generator, "template": one.template, "order": one.order},
    )


def rephrasing_id(seed_id: str, text: str) -> str:
    """Id of the prompt that a wording of a seed becomes."""
    return content_digest("rephrasing", seed_id, text)


def diversity(checked: Sequence[Rephrasing]) -> dict[str, Any]:
    """By language: how many were given and kept and why not, how like they are to seeds and to each other, distinct-2.

    Distinct-2 is the share of different ones among all pairs of neighbouring words of the kept texts (Li et al. 2016).
    """
    found: dict[str, Any] = {}
    for language in sorted({one.language for one in checked}):
        here = [one for one in checked if one.language == language]
        kept = [one for one in here if one.status == KEPT]
        groups: dict[str, list[str]] = defaultdict(list)
        for one in kept:
            groups[one.seed_id].append(fold(one.text, language))
        alike = [jaccard(a, b) for texts in groups.values() for n, a in enumerate(texts) for b in texts[n + 1 :]]
        words = [one.text.casefold().split() for one in kept]
        neighbours = [pair for said in words for pair in zip(said, said[1:], strict=False)]
        found[language] = {
            "given": len(here),
            "kept": len(kept),
            "why_not": dict(Counter(one.status for one in here if one.status != KEPT).most_common()),
            "seeds_without": len({one.seed_id for one in here} - set(groups)),
            "similarity_to_seed": _mean([one.similarity for one in kept]),
            "similarity_among": _mean(alike),
            "distinct_2": round(len(set(neighbours)) / len(neighbours), 4) if neighbours else None,
        }
    return found


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
