"""What a harm is called and how far it reaches: the nine categories and the two scopes of the Aya data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alignment_prism.domain.errors import InputError


class Scope(StrEnum):
    """How far a harm reaches (arXiv 2406.18682).

    In the Aya labels, local means bound to a culture or language, which is not the same as harmless elsewhere.
    """

    GLOBAL = "global"
    LOCAL = "local"


AYA_CATEGORIES: tuple[str, ...] = (
    "Bullying & Harassment",
    "Discrimination & Injustice",
    "Graphic material",
    "Harms of Representation Allocation and Quality of Service",
    "Hate Speech",
    "Non-consensual sexual content",
    "Profanity",
    "Self-Harm",
    "Violence, Threats & Incitement",
)
"""The nine harm categories of the Aya Red-teaming set, spelled exactly; one contains a comma."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """A named, ordered list of harm categories."""

    name: str
    categories: tuple[str, ...]

    def find(self, spelling: str) -> str:
        """The category written as `spelling`, whatever its case and spacing.

        Raises:
            InputError: the taxonomy has no such category.
        """
        wanted = " ".join(spelling.split()).casefold()
        for category in self.categories:
            if category.casefold() == wanted:
                return category
        raise InputError(
            f"unknown harm category {spelling!r}",
            fix=f"use one of the {len(self.categories)} categories of taxonomy {self.name!r}: "
            + "; ".join(self.categories),
        )


AYA_TAXONOMY = Taxonomy("aya", AYA_CATEGORIES)
"""The taxonomy that ships."""
