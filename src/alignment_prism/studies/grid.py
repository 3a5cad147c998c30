"""Grids of arms: every combination of bases, methods, shares, scopes and languages, named by what they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from alignment_prism.domain import Scope
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.arms import ArmName, TrainedArm
from alignment_prism.studies.on_policy import OnPolicySpec
from alignment_prism.studies.parts import Part
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


def _chosen(kind: Any) -> BeforeValidator:
    return BeforeValidator(_choice, json_schema_input_type=Literal["all"] | kind | tuple[kind, ...] | None)


_SINGLE = BeforeValidator(
    lambda value: (value,) if isinstance(value, dict | OnPolicySpec) or value is None else value,
    json_schema_input_type=OnPolicySpec | tuple[OnPolicySpec | None, ...] | None,
)


class GridSpec(Part):
    """Arms to train, one for each combination.

    An arm is called by its method, its share in per cent, and what its safety pairs are chosen by: `dpo_sft_15`,
    `sft_15_local`, `dpo_ift_15_global_en-fr`; the name of a base other than the study's goes before it:
    `small_dpo_sft_15`. A share of 0 has no safety pair to choose, so it makes one arm a method.

    Attributes:
        bases: names of the study's base (`base`) and of arms that are models to train from, each compared with its own
            base; empty for the study's base.
        methods: names of methods.
        shares: of safety pairs, 0 to 1.
        scopes: choices of scopes: `all`, `global`, `local`, or a list of several.
        languages: choices of the safety pairs' languages: `all`, a code, or a list of several.
        on_policy: rounds of on-policy training, or several choices of them, of which null is none; the name of an arm
            ends with their number: `dpo_ift_15_round2`.
    """

    bases: Annotated[tuple[ArmName, ...], AfterValidator(_once)] = ()
    methods: Annotated[
        tuple[Annotated[str, AfterValidator(lambda name: find_method(name).name)], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ]
    shares: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1), AfterValidator(_once)]
    scopes: Annotated[
        tuple[Annotated[Annotated[tuple[Scope, ...], Field(min_length=1)] | None, _chosen(Scope)], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ] = (None,)
    languages: Annotated[
        tuple[Annotated[Annotated[tuple[str, ...], Field(min_length=1)] | None, _chosen(str)], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ] = (None,)
    on_policy: Annotated[tuple[OnPolicySpec | None, ...], Field(min_length=1), AfterValidator(_once), _SINGLE] = (None,)

    def arms(self, base: str | None) -> Iterator[TrainedArm]:
        """The arms, by base, share, scopes, languages, method and then rounds.

        Args:
            base: name of the study's base, if there is one.
        """
        choices = list(itertools.product(self.scopes, self.languages))
        for own in self.bases or (base,):
            other = None if own == base else own
            for share in self.shares:
                for scopes, languages in choices if share > 0 else [(None, None)]:
                    for method, rounds in itertools.product(self.methods, self.on_policy):
                        parts = [
                            other,
                            method,
                            f"{100 * share:g}",
                            *("-".join(one or ()) for one in (scopes, languages)),
                            f"round{rounds.rounds}" if rounds is not None else "",
                        ]
                        yield TrainedArm(
                            name="_".join(part for part in parts if part),
                            base=other,
                            method=method,
                            share=share,
                            scopes=scopes,
                            languages=languages,
                            on_policy=rounds,
                        )


Grids = Annotated[
    tuple[GridSpec, ...],
    Field(min_length=1),
    BeforeValidator(
        lambda value: (value,) if isinstance(value, dict | GridSpec) else value,
        json_schema_input_type=GridSpec | tuple[GridSpec, ...],
    ),
]
"""One grid or several."""


def grid_arms(grids: Sequence[GridSpec], taken: set[str], base: str | None) -> Iterator[TrainedArm]:
    """The arms of several grids.

    Args:
        grids: in their order in the spec.
        taken: names of arms that are there already.
        base: name of the study's base, if there is one.

    Raises:
        KeyFault: two arms are called alike.
    """
    names = set(taken)
    for number, grid in enumerate(grids):
        for arm in grid.arms(base):
            if arm.name in names:
                raise KeyFault(f"the grid makes an arm {arm.name!r}, and there is one of that name", "grid", number)
            names.add(arm.name)
            yield arm
