"""Cells: the groups of prompts that a number is given for.

For each kind of prompt, and each named subset of it: every language and all together, every scope and all together, and
every category and all together. What the metadata say of `country`, `dialect`, `register` and `script` are categories
too (`script=Latn`). Categories are not crossed with scopes; such cells would be too small to read.

Where some prompts of a kind are translations, those that people wrote are a part of their own, `kind/native`, beside
the translated one and the kind, which is of both: the two sets of the paper, side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, NATIVE
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.prompts.translations import TRANSLATED_FROM


@dataclass(frozen=True)
class Cell:
    """A group of prompts.

    Attributes:
        prompts: kind, or `kind/subset`.
        language: code or `all`.
        scope: `global`, `local` or `all`.
        category: a category or `all`.
        rows: indices of its prompts.
    """

    prompts: str
    language: str
    scope: str
    category: str
    rows: npt.NDArray[np.intp]


def cells(prompts: Sequence[Prompt], kinds: Iterable[PromptKind], *, categories: bool = True) -> Iterator[Cell]:
    """All cells that have a prompt, in a fixed order: those of all languages first, then language by language.

    Args:
        prompts: the prompts; their positions are the rows.
        kinds: which kinds to give cells for.
        categories: whether to give cells for categories.
    """
    every = np.arange(len(prompts))
    for kind in kinds:
        of_kind = _where(every, [prompt.kind is kind for prompt in prompts])
        for part, rows in parts(prompts, of_kind).items():
            name = f"{kind.value}/{part}" if part else kind.value
            yield from _of_part(prompts, rows, name, categories)


def parts(prompts: Sequence[Prompt], rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.intp]]:
    """The parts of some prompts, by name: all of them, each subset, and those that are neither translations nor stand
    beside them as their sources.

    Args:
        prompts: of a study.
        rows: positions of those of one kind.
    """
    subsets = [prompts[row].subset for row in rows]
    names = ("", *sorted({*subsets} - {""}))
    found = {part: _where(rows, [not part or subset == part for subset in subsets]) for part in names}
    control = {prompts[row].subset for row in rows if TRANSLATED_FROM in prompts[row].metadata}
    native = [TRANSLATED_FROM not in prompts[row].metadata and subset not in control - {""}
              for row, subset in zip(rows, subsets, strict=True)]  # fmt: skip
    if control and any(native) and NATIVE not in found:
        found[NATIVE] = _where(rows, native)
    return found


def _of_part(prompts: Sequence[Prompt], rows: npt.NDArray[np.intp], name: str, categories: bool) -> Iterator[Cell]:
    if not len(rows):
        return
    languages = sorted({prompts[row].language for row in rows})
    scopes = sorted({scope.value for row in rows if (scope := prompts[row].scope) is not None})
    labels = sorted({category for row in rows for category in _categories(prompts[row])}) if categories else []
    for language in (ALL, *languages):
        spoken = _where(rows, [language in (ALL, prompts[row].language) for row in rows])
        for scope in (ALL, *scopes):
            reached = _where(spoken, [scope in (ALL, prompts[row].scope) for row in spoken])
            if len(reached):
                yield Cell(name, language, scope, ALL, reached)
        for label in labels:
            named = _where(spoken, [label in _categories(prompts[row]) for row in spoken])
            if len(named):
                yield Cell(name, language, ALL, label, named)


ABOUT = ("country", "dialect", "register", "script")
"""Keys of a prompt's metadata that have cells of their own."""


def _categories(prompt: Prompt) -> tuple[str, ...]:
    """The categories of a prompt, and what its metadata say of `ABOUT`."""
    about = ((name, prompt.metadata.get(name)) for name in ABOUT)
    return (*prompt.categories, *(f"{name}={value}" for name, value in about if isinstance(value, str) and value))


def _where(rows: npt.NDArray[np.intp], kept: Sequence[bool]) -> npt.NDArray[np.intp]:
    return rows[np.array(kept, dtype=bool)] if len(rows) else rows
