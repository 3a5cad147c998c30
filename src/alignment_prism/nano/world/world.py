"""One nano world as a whole: its facts, its pairs, its prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from alignment_prism.domain import Pair, Prompt
from alignment_prism.nano.world.facts import Facts, WorldSpec
from alignment_prism.nano.world.norms import draw_norm_pairs
from alignment_prism.nano.world.pairs import PairRecipe, draw_pairs
from alignment_prism.nano.world.prompts import EvaluationRecipe, evaluation_prompts, seed_prompts


@dataclass(frozen=True)
class World:
    """A world and the data sets drawn from it.

    Attributes:
        spec: the world's knobs and seed.
        measured_refusal: rate of refusal of the base that was trained in it, None without one.
    """

    spec: WorldSpec = field(default_factory=WorldSpec)
    measured_refusal: float | None = None

    @cached_property
    def facts(self) -> Facts:
        """What is true in it."""
        return Facts(self.spec)

    def pairs(self, seed: int = 0, recipe: PairRecipe | None = None) -> tuple[list[Pair], list[Pair]]:
        """Pools of safety and of general pairs (`draw_pairs`)."""
        return draw_pairs(self.facts, seed, recipe)

    def norm_pairs(self, seed: int = 0, wordings: int = 4) -> list[Pair]:
        """Pairs of local norms, at home and elsewhere (`draw_norm_pairs`)."""
        return draw_norm_pairs(self.facts, seed, wordings)

    def evaluation_prompts(self, recipe: EvaluationRecipe | None = None) -> list[Prompt]:
        """The evaluation set (`evaluation_prompts`)."""
        return evaluation_prompts(self.facts, recipe)

    def seed_prompts(self, number: int = 100) -> list[Prompt]:
        """The seed set (`seed_prompts`)."""
        return seed_prompts(self.facts, number)

    def describe(self) -> str:
        """The first line of every nano report."""
        from alignment_prism.nano.base.build import describe

        return describe(self.spec, self.measured_refusal)
