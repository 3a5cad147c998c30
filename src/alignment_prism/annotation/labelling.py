"""Labelling: what a choice on the page means, and what is kept of it.

Of two replies the page has a left and a right one; the server drew which is which and keeps the answer as `first`,
`second` or `tie`, in the order of the item, so that no answer depends on where a reply stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment_prism.annotation.held import Work
from alignment_prism.annotation.projects import CHOICES, Kind
from alignment_prism.domain import InputError

LONGEST_COMMENT = 5_000

_SIDES = {"left": "first", "right": "second"}
_FLIPPED = {"left": "second", "right": "first"}


def texts_of(work: Work) -> dict[str, str]:
    """The texts of an item as they stand on the page: prompt, and reply or left and right."""
    shown = {name: str(text) for name, text in work.shown.items()}
    if work.project.kind is Kind.PAIRWISE:
        first, second = shown.pop("first"), shown.pop("second")
        shown["left"], shown["right"] = (second, first) if work.flipped else (first, second)
    return shown


def stored(work: Work, chosen: str, comment: str = "") -> dict[str, Any]:
    """What is kept of a choice and a comment; the choice may be empty in a draft.

    Raises:
        InputError: it cannot be chosen here, or the comment is too long.
    """
    if chosen and chosen not in CHOICES[work.project.kind]:
        raise InputError(f"no choice {chosen[:40]!r}", fix="use one of the buttons")
    if len(comment) > LONGEST_COMMENT:
        raise InputError(f"a comment of {len(comment):,} characters", fix=f"write {LONGEST_COMMENT:,} at most")
    label = chosen
    if work.project.kind is Kind.PAIRWISE:
        label = (_FLIPPED if work.flipped else _SIDES).get(chosen, chosen)
    return {"label": label, "comment": comment}


def chosen(work: Work, content: Mapping[str, Any] | None = None) -> str:
    """What was chosen, as the page says it; empty where nothing was."""
    label = str((work.content if content is None else content).get("label", ""))
    if work.project.kind is Kind.PAIRWISE:
        sides = {value: name for name, value in (_FLIPPED if work.flipped else _SIDES).items()}
        return sides.get(label, label)
    return label
