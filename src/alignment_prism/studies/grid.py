"""Grids of arms: every combination of methods, shares, scopes and languages, each with a name that says what it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from alignment_prism.domain import Scope
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.arms import Part, TrainedArm
from alignment_prism.training.methods import find_method

ALL = "all"
"""In a grid: no choice of scopes or languages."""


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value!r} is there twice")
    return values


def _choice(value: Any) -> Any:
    return None if value == ALL else (value,) if isinstance(value, str) else value


Choice = BeforeValidator(_choice)


class GridSpec(Part):
    """Arms to train, one for each combination.

    An arm is called by its method, its share in per cent, and what its safety pairs are chosen by: `dpo_sft_15`,
    `sft_15_local`, `dpo_ift_15_global_en-fr`. A share of 0 has no safety pair to choose, so it makes one arm a method.

    Attributes:
        methods: names of methods.
        shares: of safety pairs, 0 to 1.
        scopes: choices of scopes: `all`, `global`, `local`, or a list of several.
        languages: choices of the safety pairs' languages: `all`, a code, or a list of several.
    """

    methods: Annotated[
        tuple[Annotated[str, AfterValidator(lambda name: find_method(name).name)], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ]
    shares: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1), AfterValidator(_once)]
    scopes: Annotated[
        tuple[Annotated[Annotated[tuple[Scope, ...], Field(min_length=1)] | None, Choice], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ] = (None,)
    languages: Annotated[
        tuple[Annotated[Annotated[tuple[str, ...], Field(min_length=1)] | None, Choice], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ] = (None,)

    def arms(self) -> Iterator[TrainedArm]:
        """The arms, by share, scopes, languages and then method."""
        choices = list(itertools.product(self.scopes, self.languages))
        for share in self.shares:
            for scopes, languages in choices if share > 0 else [(None, None)]:
                for method in self.methods:
                    parts = [method, f"{100 * share:g}", *("-".join(one) for one in (scopes, languages) if one)]
                    yield TrainedArm(
                        name="_".join(parts), method=method, share=share, scopes=scopes, languages=languages
                    )


Grids = Annotated[
    tuple[GridSpec, ...], BeforeValidator(lambda value: (value,) if isinstance(value, dict | GridSpec) else value)
]
"""One grid or several."""


def grid_arms(grids: Sequence[GridSpec], taken: set[str]) -> Iterator[TrainedArm]:
    """The arms of several grids.

    Args:
        grids: in their order in the spec.
        taken: names of arms that are there already.

    Raises:
        KeyFault: two arms are called alike.
    """
    names = set(taken)
    for number, grid in enumerate(grids):
        for arm in grid.arms():
            if arm.name in names:
                raise KeyFault(f"the grid makes an arm {arm.name!r}, and there is one of that name", "grid", number)
            names.add(arm.name)
            yield arm
