"""Whether what an arm is made of can be made: merged, or trained from another arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.arms import MergedArm, ModelArm, RepliesArm, TrainedArm

_Model = TrainedArm | MergedArm | ModelArm


def check_merges(
    base: ModelArm | RepliesArm | None, arms: Sequence[TrainedArm | MergedArm | ModelArm | RepliesArm]
) -> None:
    """Check that what is merged are models, and that no arm is made of itself.

    Args:
        base: of the study.
        arms: of the study.

    Raises:
        KeyFault: with the place in the spec.
    """
    models = {one.name: one for one in (base, *arms) if one is not None and not isinstance(one, RepliesArm)}
    for number, arm in enumerate(arms):
        if not isinstance(arm, MergedArm):
            continue
        if not isinstance(base, ModelArm):
            raise KeyFault(f"arm {arm.name!r} is merged, and the base is no model", "base")
        for at, name in enumerate(arm.merge.models):
            place = ("arms", number, "merge", "models", at)
            if name not in models:
                there = ", ".join(models)
                raise KeyFault(f"no model among base and arms is called {name!r}; there are {there}", *place)
            if arm.name in _made_of(name, models, ()):
                raise KeyFault(f"arm {arm.name!r} is merged of {name!r}, which is made of it", *place)
    for number, arm in enumerate(arms):
        if isinstance(arm, TrainedArm) and arm.base and arm.name in _made_of(arm.base, models, ()):
            what = f"arm {arm.name!r} is trained from {arm.base!r}, which is made of it"
            raise KeyFault(what, "arms", number, "base")


def _made_of(name: str, models: Mapping[str, _Model], seen: tuple[str, ...]) -> set[str]:
    """Names of an arm and of all that it is made of."""
    if name in seen or name not in models:
        return {name}
    one = models[name]
    parts: tuple[str, ...] = one.merge.models if isinstance(one, MergedArm) else ()
    if isinstance(one, TrainedArm) and one.base:
        parts = (one.base,)
    return {name}.union(*(_made_of(part, models, (*seen, name)) for part in parts))
