"""Seeds: prompts that are set apart from evaluation before anything is made of them (arXiv 2406.18682: 100 a language).

A prompt and its near-duplicates (nearly the same words, an English translation, the same in Latin letters; see
`prompts/overlap.py`) are one family, and so are prompts of one group. A family that holds a prompt of the evaluation
set, or a neighbour of one, gives no seed. A family that gives a seed gives no prompt to evaluate on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignment_prism.domain import InputError, Prompt, content_digest
from alignment_prism.prompts.overlap import PromptIndex, connected, near_duplicates
from alignment_prism.statistics.apportion import apportion

NEAR = 0.5
"""Least similarity (Jaccard of character 5-grams) to a prompt that is evaluated from which nothing may descend."""

NEAR_EVALUATION = "a neighbour of the evaluation set, or near one"
NEAR_SEED = "a neighbour of a seed"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Prompts set apart.

    Attributes:
        seeds: drawn ones, with `split` seed, in the order of the set.
        rest: what is left of the set to evaluate on, with `split` eval.
        left_out: id of a prompt that is neither -> why.
    """

    seeds: tuple[Prompt, ...]
    rest: tuple[Prompt, ...]
    left_out: dict[str, str]

    def counts(self) -> dict[str, Any]:
        """Seeds by language, scope and category, and how many prompts were left out why."""
        strata = Counter("/".join((p.language, *_stratum(p))) for p in self.seeds)
        return {
            "seeds": dict(sorted(Counter(prompt.language for prompt in self.seeds).items())),
            "strata": dict(sorted(strata.items())),
            "rest": dict(sorted(Counter(prompt.language for prompt in self.rest).items())),
            "left_out": dict(Counter(self.left_out.values()).most_common()),
        }


def draw_seeds(
    prompts: Sequence[Prompt],
    evaluation: Sequence[Prompt],
    *,
    per_language: int | None,
    seed: int = 0,
    threshold: float = NEAR,
) -> Seeds:
    """Draw seeds, the same number in every language, as the set is divided over scope and first category.

    Args:
        prompts: the set; ids must differ.
        evaluation: prompts that nothing may be near, of any language.
        per_language: seeds in each; None takes every prompt that may be one.
        seed: of the draw.
        threshold: least similarity of a neighbour.

    Raises:
        InputError: a language has fewer prompts that may be seeds; an id occurs twice.
    """
    family = _families(prompts, threshold)
    alike = _families([replace(prompt, group="") for prompt in prompts], threshold)
    barred = {
        family[match.one] for match in PromptIndex(evaluation, threshold=threshold).matches(prompts)
    } if evaluation else set()  # fmt: skip
    lot = sorted(prompts, key=lambda prompt: content_digest("seed", seed, prompt.id))
    open_ones: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in lot:
        if family[prompt.id] not in barred:
            open_ones[prompt.language].append(prompt)
    languages = sorted({prompt.language for prompt in prompts})
    drawn = [one for code in languages for one in _draw(open_ones[code], alike, per_language, code)]
    chosen = {prompt.id for prompt in drawn}
    used = {family[prompt.id] for prompt in drawn}
    left_out = {
        prompt.id: NEAR_EVALUATION if family[prompt.id] in barred else NEAR_SEED
        for prompt in prompts
        if prompt.id not in chosen and (family[prompt.id] in barred or family[prompt.id] in used)
    }
    return Seeds(
        tuple(replace(prompt, split="seed") for prompt in prompts if prompt.id in chosen),
        tuple(replace(p, split="eval") for p in prompts if p.id not in chosen and p.id not in left_out),
        left_out,
    )


def _families(prompts: Sequence[Prompt], threshold: float) -> Mapping[str, str]:
    matches = near_duplicates(prompts, threshold=threshold)
    return connected((prompt.id for prompt in prompts), [(match.one, match.other) for match in matches])


def _stratum(prompt: Prompt) -> tuple[str, str]:
    return prompt.scope.value if prompt.scope else "none", prompt.categories[0] if prompt.categories else "none"


def _draw(prompts: Sequence[Prompt], alike: Mapping[str, str], number: int | None, language: str) -> list[Prompt]:
    """So many prompts of which no two are alike, as the strata ask for, in the lot's order; all of them for None."""
    firsts: dict[str, Prompt] = {}
    for prompt in prompts:
        firsts.setdefault(alike[prompt.id], prompt)
    if number is None:
        return list(firsts.values())
    if len(firsts) < number:
        raise InputError(
            f"{language} has {len(firsts)} prompts that may be seeds, and {number} are asked for",
            fix="ask for fewer a language, or add prompts; neighbours of the evaluation set and near-duplicates count "
            "for nothing",
        )
    quota = Counter(apportion(number, Counter(map(_stratum, firsts.values()))))
    drawn = []
    for prompt in firsts.values():
        if quota[_stratum(prompt)] > 0:
            quota[_stratum(prompt)] -= 1
            drawn.append(prompt)
    return drawn
