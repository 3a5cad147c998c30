"""From settings to a loaded model and the layout of its batches: packed where the model can, else padded rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from alignment_prism.domain import InputError, ModelError
from alignment_prism.training.adapters import check_targets
from alignment_prism.training.base_model import Base, load_model, resolve_attention
from alignment_prism.training.devices import ask_first, processes
from alignment_prism.training.dropout import disable_dropout
from alignment_prism.training.examples import ExampleSet
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.attention import FLAT_ATTENTION, register_flat_attention
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.probe import spread, why_not_packed
from alignment_prism.training.layouts.timing import timed
from alignment_prism.training.layouts.trees import TreeBatch, mask_plan
from alignment_prism.training.norms import fuse_norms
from alignment_prism.training.settings import TrainingConfig

HEAD_SAMPLE = 64
"""Tokens of each text on which a model's head is tried: its logits take 64 MB at a vocabulary of 256,000."""

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Names under which configs count their experts."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is ready for a trainer.

    Attributes:
        model: with its completion head, and without dropout where that was asked for.
        collator: of its batches.
        seconds: of a forward and a backward pass of each layout that was tried (`auto`), by name.
        restore_config: gives its config back what was changed for the training; to be called before it is saved.
    """

    model: Any
    collator: PaddedBatch
    restore_config: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(
    base: Base,
    settings: TrainingConfig,
    examples: ExampleSet,
    precision: str,
    *,
    uses_reference: bool,
    first: Sequence[int] = (),
    layout: str = "",
) -> Prepared:
    """Load a base for a stage and choose the layout of its batches.

    A model that cannot follow the layout `flat` is tried on `trees`, one that cannot follow those gets padded rows.
    What a user should know of that is added to the notices of `examples`, and so are a head of its own, a router's loss
    that is left out, and rotary positions that depend on company.

    Args:
        base: the model that the stage starts from.
        settings: of the training.
        examples: to be trained on.
        precision: of the training.
        uses_reference: policy and reference have to be the same function before the first step: no dropout, and no
            result that depends on which sequences are computed together.
        first: examples of the first micro-batch, which `auto` times the layouts on.
        layout: that `auto` has chosen before, in a training that is resumed.

    Raises:
        InputError: references for sequences beyond what dynamic rotary positions were made for, FlexAttention without a
            GPU, or adapters on layers that cannot have one.
        ModelError: transformers cannot load the model, or not with this attention.
    """
    start = _Start(base, settings, examples, precision, uses_reference)
    padded = PaddedBatch(examples.examples, base.tokenizer.pad_token_id)
    collator = padded
    reasons: list[str] = []
    loaded: _Loaded | None = None
    if settings.layout == "flat":
        loaded, reason = _load_flat(start)
        if loaded is not None:
            collator, reason = _packed(loaded.model, padded, settings, precision)
        if reason is not None:
            loaded = None  # two models at once may be one too many; its attention pads only where it can pack
            reasons.append(reason)
    if loaded is None:
        loaded = _load_stock(start, "padded" if settings.layout == "padded" else "trees")
        if settings.layout != "padded":
            collator, reason = _packed(loaded.model, padded, settings, precision)
            if reason is not None:
                reasons.append(reason)
    if collator is padded and reasons:
        examples.notices.append(f"pairs are not packed: {'; and as trees, '.join(reasons)}")
    elif reasons:
        examples.notices.append(f"pairs are packed as trees, not flat: {reasons[0]}")
    examples.notices.extend(loaded.notices)
    _check_positions(loaded.model.config, examples, uses_reference)
    seconds: dict[str, float] = {}
    if settings.layout == "auto" and collator is not padded:
        candidates = _candidates(loaded.model, padded, collator, settings, precision)
        if not layout and processes().num_processes == 1:
            seconds = timed(loaded.model, candidates, first, precision, frozen=settings.adapter is not None)
            layout = min(seconds, key=lambda name: seconds[name], default="")
        collator, attention = candidates.get(layout, (collator, loaded.model.config._attn_implementation))
        loaded.model.config._attn_implementation = attention
    return Prepared(loaded.model, collator, loaded.restore_config, seconds)


def _candidates(
    model: Any, padded: PaddedBatch, packed: PaddedBatch, settings: TrainingConfig, precision: str
) -> dict[str, tuple[PaddedBatch, str]]:
    """The layouts that a model can follow: name -> collator and attention."""
    assert isinstance(packed, TreeBatch)
    stock = str(model.config._attn_implementation)
    each = TreeBatch(packed.examples, packed.pad_token_id, packed.plan, 0)
    found: dict[str, tuple[PaddedBatch, str]] = {"padded": (padded, stock), "trees, a row each": (each, stock)}
    if settings.row_tokens:
        found[f"trees, rows of {settings.row_tokens}"] = (packed, stock)
    if processes().device.type == "cpu" and processes().num_processes == 1:
        register_flat_attention()
        model.config._attn_implementation = FLAT_ATTENTION
        try:
            flat, reason = _packed(model, padded, settings, precision)
        finally:
            model.config._attn_implementation = stock
        if reason is None:
            found["flat"] = (flat, FLAT_ATTENTION)
    return found


@dataclass(frozen=True, slots=True)
class _Start:
    """What a model is loaded for."""

    base: Base
    settings: TrainingConfig
    examples: ExampleSet
    precision: str
    uses_reference: bool


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    restore_config: Callable[[], None]
    notices: tuple[str, ...]


def _load(start: _Start, attention: str) -> _Loaded:
    """A model with its completion head."""
    settings, examples = start.settings, start.examples.examples
    frozen = settings.adapter is not None and start.precision == "bf16"
    bits = None if settings.adapter is None else settings.adapter.bits
    model = load_model(start.base.folder, start.precision, attention, frozen=frozen, bits=bits)
    check_targets(model, settings.adapter)
    if processes().num_processes == 1 and bits is None:  # several may hold parts of it only; bits are there already
        model.to(processes().device)
    if processes().device.type == "cpu":
        fuse_norms(model)
    restore = disable_dropout(model) if start.uses_reference else _nothing
    texts = [[*examples[index].prompt, *examples[index].completions[0]] for index in spread(examples)]
    notices = (add_completion_head(model, [text[-HEAD_SAMPLE:] for text in texts]), router_notice(model.config))
    return _Loaded(model, restore, tuple(notice for notice in notices if notice is not None))


def _load_flat(start: _Start) -> tuple[_Loaded | None, str | None]:
    """With our own attention, or why the model cannot be loaded with it."""
    register_flat_attention()
    try:
        return _load(start, FLAT_ATTENTION), None
    except ModelError as error:  # where the fault is not the attention's, loading without it raises again
        return None, f"with the attention of the layout 'flat', {error.what}"


def _load_stock(start: _Start, layout: str) -> _Loaded:
    """With an attention of transformers' own; `auto` is eager for models that know nothing else."""
    settings, trees = start.settings, layout == "trees"
    lengths = [tree_length(one) if trees else one.padded_length for one in start.examples.examples]
    row = max(settings.row_tokens if trees else 0, sum(lengths) / len(lengths))
    attention = resolve_attention(settings, start.precision, row)
    try:
        return _load(start, attention)
    except ModelError:
        if settings.attention != "auto" or attention == "eager":
            raise
        return _load(start, "eager")


def _packed(
    model: Any, padded: PaddedBatch, settings: TrainingConfig, precision: str
) -> tuple[PaddedBatch, str | None]:
    """Packed rows where the model can follow them, else padded rows and why."""
    plan = mask_plan(model.config, str(model.config._attn_implementation), precision)
    if isinstance(plan, str):
        return padded, plan
    trees = TreeBatch(padded.examples, padded.pad_token_id, plan, settings.row_tokens)
    reason = ask_first(model, lambda: why_not_packed(model, trees, padded, precision))
    return (trees, None) if reason is None else (padded, reason)


def router_notice(config: Any) -> str | None:
    """That the balance of a mixture of experts is not trained for, where its config asks for that."""
    text = config.get_text_config()
    counts = [getattr(text, name, None) for name in _EXPERTS]
    several = any(isinstance(count, int) and count > 1 for count in counts) and getattr(text, "is_moe", True)
    for name in ("router_aux_loss_coef", "aux_loss_coef"):
        weight = getattr(text, name, None)
        if weight and several:
            return (
                f"the router's load-balancing loss ({name} = {weight}) is left out: "
                "the objective alone decides which experts are used"
            )
    return None


def _check_positions(config: Any, examples: ExampleSet, uses_reference: bool) -> None:
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
    if uses_reference:  # policy and reference are computed in different company from the second epoch on
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
