"""Arms of a study: a method to train, models to merge, a model that exists, or stored replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from alignment_prism.domain import BASE, InputError, Scope
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.on_policy import OnPolicySpec, needs_outcomes
from alignment_prism.studies.parts import Address, Files, Part
from alignment_prism.training.methods import find_method

LONGEST_NAME = 200


def arm_name(name: str, where: str | None = None) -> str:
    """The name of an arm, which stands in tables, messages and, rewritten, in names of folders.

    Args:
        name: that somebody gave.
        where: they gave it, for the error.

    Raises:
        InputError: it cannot be one.
    """
    if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= LONGEST_NAME:
        shown = ascii(name if len(name) <= 40 else f"{name[:40]}...")
        fix = f"a name is 1 to {LONGEST_NAME} printable characters, without spaces at its ends"
        raise InputError(f"this cannot be the name of an arm: {shown}", where=where, fix=fix)
    return name


def _named(name: str) -> str:
    try:
        return arm_name(name)
    except InputError as error:  # with the remedy: a validator's error is one sentence
        raise ValueError(error.fix) from None


ArmName = Annotated[str, AfterValidator(_named)]


class TranslateSpec(Part):
    """Translation tasks made of the prompts, which are parallel sentences.

    Attributes:
        pivot: language on one side of every direction.
    """

    pivot: str = "en"


class TrainedArm(Part):
    """A model that the study trains, from a base, which it is compared with.

    Attributes:
        name: of the arm in findings.
        base: name of the arm that it is trained from, whatever its model is; None for the study's base. An arm that
            goes on from a trained or merged one is compared with what that one is compared with.
        method: by its name, ours or of another package (`alignment_prism.training.methods`).
        share: of safety pairs in its mixture, 0 to 1.
        scopes: take safety pairs of these scopes only: `[global]` and `[local]` are the paper's ablations.
        languages: take safety pairs in these languages only, by their codes; general pairs stay in all of theirs.
        config: settings that differ from the study's `training`.
        shuffled: let a coin say of each pair which reply is preferred: a control that learns no preference.
        on_policy: train on replies of its own to the mixture's prompts, in rounds, and not on the mixture's replies.
    """

    name: ArmName
    base: str | None = None
    method: Annotated[str, AfterValidator(lambda name: find_method(name).name)]
    share: Annotated[float, Field(ge=0, le=1)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] | None = None
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    shuffled: bool = False
    on_policy: OnPolicySpec | None = None

    @model_validator(mode="after")
    def _one_stage_on_policy(self) -> TrainedArm:
        if self.on_policy is not None and len(find_method(self.method).stages) > 1:
            what = f"{self.method} has several stages: a round has one, and starts from the model of the one before"
            raise KeyFault(what, "method")
        if self.on_policy is not None and self.shuffled:
            raise KeyFault("a coin has no part in pairs that judges rank", "shuffled")
        silent = self.on_policy is not None and self.on_policy.outcomes is None and self.share > 0
        if silent and (fault := needs_outcomes(self.method)) is not None:
            raise KeyFault(f"{fault}; say who judges them", "on_policy", "outcomes")
        return self


class MergeSpec(Part):
    """How models are merged, see `alignment_prism.models.merging.Merge`; changes are those of the study's base.

    Attributes:
        method: `linear`, `slerp` (of two), `task_arithmetic`, `ties` or `dare_ties`.
        models: names of arms, trained, merged or existing, or of the base.
        weights: one for each; None weighs all alike.
        t: for `slerp`: 0 is the first model, 1 the second.
        density: for `ties` and `dare_ties`: share of a tensor's changes that is kept.
        scale: for `task_arithmetic`, `ties` and `dare_ties`: factor on the merged change.
    """

    method: Literal["linear", "slerp", "task_arithmetic", "ties", "dare_ties"]
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    weights: tuple[float, ...] | None = None
    t: Annotated[float, Field(ge=0, le=1)] = 0.5
    density: Annotated[float, Field(gt=0, le=1)] = 0.2
    scale: float = 1.0

    @model_validator(mode="after")
    def _models_fit(self) -> MergeSpec:
        changes = self.method not in ("linear", "slerp")
        if len(self.models) < (1 if changes else 2) or (self.method == "slerp" and len(self.models) != 2):
            raise KeyFault(f"{self.method} of {len(self.models)} models", "models")
        weights = self.weights if self.weights is not None else (1.0,) * len(self.models)
        if len(weights) != len(self.models) or sum(weights) == 0:
            raise KeyFault(f"weights {list(weights)} for {len(self.models)} models", "weights")
        if self.method == "slerp" and self.weights is not None:
            raise KeyFault("slerp has t, and no weights", "weights")
        if not all(map(isfinite, (*weights, self.scale))):
            raise KeyFault(f"weights {list(weights)} and scale {self.scale:g} are to be finite", "weights")
        if self.method in ("ties", "dare_ties") and min(weights) <= 0:
            raise KeyFault(f"the weights of {self.method} are above 0", "weights")
        return self


class MergedArm(Part):
    """A model that is merged of others.

    Attributes:
        name: of the arm in findings.
        merge: of which, and how. Of trained arms, those of each seed are merged.
    """

    name: ArmName
    merge: MergeSpec


class SteerSpec(Part):
    """A direction that is added to the hidden states of a model on this machine, at every position.

    Attributes:
        direction: `refusal`: from the prompts of the general pool to those of the safety pool, as differences of means
            (arXiv 2406.11717); `random`: any, of the same length.
        strength: factor on its length; below 0 steers the other way.
        depth: behind which layer: share of the layers that come before.
        prompts: of each pool, at most.
        seed: of a random direction.
    """

    direction: Literal["refusal", "random"]
    strength: float = 1.0
    depth: Annotated[float, Field(ge=0, lt=1)] = 0.6
    prompts: Annotated[int, Field(ge=1)] = 128
    seed: int = 0


class ModelArm(Part):
    """A model that exists.

    Attributes:
        name: of the arm in findings.
        model: a folder (an adapter's too), `nano`, a Hub id, or an Inspect id.
        base_url: of a model behind an API: address of its server, where it is not the provider's own.
        seed: of its alignment, for the findings; -1 where nobody knows, or it was not aligned.
        system: a system prompt before every conversation that has none.
        steer: a direction that its replies are steered by; None for none.
    """

    name: ArmName
    model: Annotated[str, Field(min_length=1)]
    base_url: Address = ""
    seed: int = -1
    system: str = ""
    steer: SteerSpec | None = None


class RepliesArm(Part):
    """Replies that are there already.

    Attributes:
        name: of the arm in findings.
        replies: files of our own, or any tables with a reply and the prompt's id or text in each row.
        map: our field (`reply`, `prompt_id`, `prompt`, `arm`, `sample`) to the file's column.
        arm: whose replies of the files, by the name in them; None where they have one arm only.
        seed: of its alignment, as in `ModelArm`.
    """

    name: ArmName
    replies: Annotated[Files, Field(min_length=1)]
    map: dict[str, str] = Field(default_factory=dict)
    arm: str | None = None
    seed: int = -1


_KINDS = {"method": TrainedArm, "merge": MergedArm, "model": ModelArm, "replies": RepliesArm}


def _kind(value: Any) -> str | None:
    """Tag of the kind of arm that a value is, by the one of those keys that it has."""
    if isinstance(value, Part):
        keys = [key for key, kind in _KINDS.items() if isinstance(value, kind)]
    else:
        keys = [key for key in _KINDS if isinstance(value, Mapping) and key in value]
    return _tag(keys[0]) if len(keys) == 1 else None


def _tag(key: str) -> str:
    """No key of a spec has a space in it, so that this is not taken for one in the path of a fault."""
    return f"by {key}"


def _one_of(*keys: str) -> Discriminator:
    tags = {_tag(key) for key in keys}
    return Discriminator(
        lambda value: kind if (kind := _kind(value)) in tags else None,
        custom_error_type="kind_of_arm",
        custom_error_message=f"exactly one of the keys {', '.join(keys[:-1])} and {keys[-1]} says what it is",
    )


_Model = Annotated[ModelArm, Tag(_tag("model"))]
_Replies = Annotated[RepliesArm, Tag(_tag("replies"))]
Arm = Annotated[
    Annotated[TrainedArm, Tag(_tag("method"))] | Annotated[MergedArm, Tag(_tag("merge"))] | _Model | _Replies,
    _one_of("method", "merge", "model", "replies"),
]
"""A method to train, models to merge, a model that exists, or stored replies."""

Base = Annotated[_Model | _Replies, _one_of("model", "replies")]
"""What arms are compared with: a model that exists, or stored replies."""


class _BaseModel(ModelArm):
    """A model, called `base` unless it is given another name."""

    name: ArmName = BASE


class _BaseReplies(RepliesArm):
    """Stored replies, called `base` unless they are given another name."""

    name: ArmName = BASE


def _base(value: Any) -> Any:
    """`nano` for `{name: base, model: nano}`."""
    if isinstance(value, str):
        value = {"model": value}
    return {"name": BASE, **value} if isinstance(value, dict) else value


BaseFrom = BeforeValidator(_base, json_schema_input_type=str | _BaseModel | _BaseReplies | None)
"""A base as a spec has it: a model by its name alone, or an arm that need not be named."""


def stored_arms(
    files: Sequence[str], *, arm: str = "model", mapping: Mapping[str, str] | None = None, seed: int = -1
) -> list[RepliesArm]:
    """The arms of some files of replies, in the order in which they begin; an arm may stand in several files.

    Args:
        files: of our own, or any tables.
        arm: name for replies whose row has none.
        mapping: our field to the files' column.
        seed: of the alignment of the arms.

    Raises:
        InputError: a file cannot be read, is empty, or names an arm as none can be named.
    """
    from alignment_prism.generation.reading import arms_in

    found: dict[str, list[str]] = {}
    for file in files:
        for name in arms_in(file, arm=arm, mapping=mapping):
            arm_name(name, None if name == arm else file)
            found.setdefault(name, []).append(file)
    return [
        RepliesArm(name=name, replies=tuple(places), map=dict(mapping or {}), arm=name, seed=seed)
        for name, places in found.items()
    ]
