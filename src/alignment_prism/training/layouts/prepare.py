"""From settings to a loaded model and the layout of its batches: packed where the model can, else padded rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alignment_prism.domain import InputError, ModelError
from alignment_prism.training.adapters import check_targets
from alignment_prism.training.base_model import Base, load_model, resolve_attention
from alignment_prism.training.devices import processes
from alignment_prism.training.dropout import disable_dropout
from alignment_prism.training.examples import ExampleSet
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.attention import FLAT_ATTENTION, register_flat_attention
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.probe import why_not_packed
from alignment_prism.training.layouts.trees import TreeBatch, mask_plan
from alignment_prism.training.methods import Objective
from alignment_prism.training.settings import TrainingConfig


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is ready for a trainer.

    Attributes:
        model: with its completion head, in DPO without dropout.
        collator: of its batches.
        restore_config: gives its config back what was changed for the training; to be called before it is saved.
    """

    model: Any
    collator: PaddedBatch
    restore_config: Callable[[], None]


def prepare(base: Base, settings: TrainingConfig, examples: ExampleSet, precision: str, goal: Objective) -> Prepared:
    """Load a base for a stage and choose the layout of its batches.

    What a user should know of that is added to the notices of `examples`: a layout that the model cannot follow, a
    head of its own, rotary positions that depend on company.

    Raises:
        InputError: DPO on sequences beyond what dynamic rotary positions were made for.
        ModelError: transformers cannot load the model.
    """
    flat = settings.layout == "flat"
    padded = PaddedBatch(examples.examples, base.tokenizer.pad_token_id)
    reason: str | None = None
    collator, loaded, notice = padded, None, None
    if flat:
        register_flat_attention()
        try:
            loaded, notice = _load(base, settings, precision, goal, FLAT_ATTENTION)
        except ModelError as error:  # where the fault is not the attention's, loading without it raises again
            reason = f"with the attention of the layout 'flat', {error.what}"
    else:
        loaded, notice = _load_stock(base, settings, precision, goal, examples)
    if loaded is not None and settings.layout != "padded":
        collator, reason = _packed(loaded.model, padded, settings, precision)
    if reason is not None:
        examples.notices.append(f"pairs are not packed: {reason}")
    if loaded is None or (flat and collator is padded):  # ours pads too, but only for models that take its layout
        loaded = None  # two models at once may be one too many
        loaded, notice = _load_stock(base, settings, precision, goal, examples)
    if notice:
        examples.notices.append(notice)
    _check_positions(loaded.model.config, examples, goal)
    return Prepared(loaded.model, collator, loaded.restore_config)


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    restore_config: Callable[[], None]


def _load(
    base: Base, settings: TrainingConfig, precision: str, goal: Objective, attention: str
) -> tuple[_Loaded, str | None]:
    """A model with its completion head, and a notice."""
    frozen = settings.adapter is not None and precision == "bf16"
    model = load_model(base.folder, precision, attention, frozen=frozen)
    if processes().num_processes == 1:  # several may hold parts of it only; they check it where it was loaded
        model.to(processes().device)
    restore = disable_dropout(model) if goal is Objective.DPO else _nothing
    return _Loaded(model, restore), add_completion_head(model)


def _load_stock(
    base: Base, settings: TrainingConfig, precision: str, goal: Objective, examples: ExampleSet
) -> tuple[_Loaded, str | None]:
    """With an attention of transformers' own; `auto` is eager for models that know nothing else."""
    trees = settings.layout == "trees"
    lengths = [tree_length(one) if trees else one.padded_length for one in examples.examples]
    row = max(settings.row_tokens if trees else 0, sum(lengths) / len(lengths))
    attention = resolve_attention(settings, precision, row)
    try:
        return _load(base, settings, precision, goal, attention)
    except ModelError:
        if settings.attention != "auto" or attention == "eager":
            raise
        return _load(base, settings, precision, goal, "eager")


def _packed(
    model: Any, padded: PaddedBatch, settings: TrainingConfig, precision: str
) -> tuple[PaddedBatch, str | None]:
    """Trees where the model can follow them, else padded rows and why."""
    plan = mask_plan(model.config, str(model.config._attn_implementation), precision)
    if isinstance(plan, str):
        return padded, plan
    trees = TreeBatch(padded.examples, padded.pad_token_id, plan, settings.row_tokens)
    reason = why_not_packed(model, trees, padded, precision)
    return (trees, None) if reason is None else (padded, reason)


def _check_positions(config: Any, examples: ExampleSet, goal: Objective) -> None:
    """Speak up where results depend on which sequences are computed together."""
    found = changing_positions(config)
    if found is None:
        return
    kind, limit = found
    beyond = sum(example.padded_length - 1 > limit for example in examples.examples)
    if not beyond:
        return
    text = (
        f"{beyond} of {len(examples.examples)} pairs are longer than the {limit} positions that the model's rotary "
        f"embedding of type {kind!r} was made for: beyond them it follows the longest sequence of the batch, so that "
        "results depend on which pairs are computed together"
    )
    if goal is Objective.DPO:  # policy and reference are computed in different company from the second epoch on
        raise InputError(text, where="key training.max_length", fix=f"set it to {limit} or less")
    examples.notices.append(text)


def changing_positions(config: Any) -> tuple[str, int] | None:
    """The type of rotary positions that change with the longest sequence of a batch, and from which length on.

    None for all others: `dynamic` rescales with the length beyond `max_position_embeddings`, `longrope` switches
    between two sets of factors, everything else is fixed.
    """
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or {}
    for one in (parameters, *(value for value in parameters.values() if isinstance(value, dict))):
        kind = str(one.get("rope_type", ""))
        if "dynamic" in kind:
            return kind, int(text.max_position_embeddings)
        if kind == "longrope":
            return kind, int(one.get("original_max_position_embeddings") or text.max_position_embeddings)
    return None


def _nothing() -> None:
    """For a config that was left as it was."""
