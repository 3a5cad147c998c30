"""The reference pass as a step of a training: once the model is wrapped, before its first optimiser step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from alignment_prism.domain import InputError, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.models.weights import weights_digest
from alignment_prism.training.base_model import Base
from alignment_prism.training.epoch_order import BLANK, padded_order
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.reference_store import ReferenceSpace, ReferenceStore
from alignment_prism.training.references import References, compute_references, no_references
from alignment_prism.training.results import TrainingInterrupted


class ReferencePass(TrainerCallback):  # type: ignore[misc]
    """Computes the references once the model is wrapped and before its first step.

    Args:
        trainer: with its context.
        collators: of the examples that need references; they hand them out from then on.
        base: the model that the stage starts from.
        title: of the training, for the progress line.
        store: folder where references are kept.
        unfinished: folder of the training, for whoever is told that it was stopped.
        resumed: whether the weights have moved on already.
        progress: or None.
    """

    def __init__(
        self,
        trainer: Any,
        collators: Sequence[PaddedBatch],
        *,
        base: Base,
        title: str,
        store: Path,
        unfinished: Path,
        resumed: bool,
        progress: Progress | None,
    ) -> None:
        self.trainer, self.collators, self.base, self.title = trainer, collators, base, title
        self.store, self.unfinished, self.resumed, self.progress = store, unfinished, resumed, progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for collator in self.collators:
            self._compute(collator, args, state)
        self.trainer.context.since = time.monotonic()

    def _compute(self, collator: PaddedBatch, args: Any, state: Any) -> None:
        """The references of one set of examples, found or computed, for its collator to hand out."""
        trainer, context, examples = self.trainer, self.trainer.context, collator.examples
        references = no_references(examples, self._space(), ReferenceStore(self.store))
        unknown = references.fill_from_store(examples)
        if trainer.accelerator.num_processes > 1:
            unknown = _share(references)
        if unknown and self.resumed:
            raise InputError(
                f"the references of {unknown} pairs are gone, and the weights have moved on since they were computed",
                where=str(self.store),
                fix="restore the folder, or train again from the start",
                settings={"resume": "False"},
            )
        if unknown:
            complete = compute_references(
                references,
                examples,
                forward=lambda batch: trainer.token_logps(trainer.model_wrapped, batch),
                collate=collator,
                order=self._order(collator),
                micro_batch=args.per_device_train_batch_size,
                accelerator=trainer.accelerator,
                progress=self._tell,
                stop=context.watcher.all_agree_to_stop,
            )
            if not complete:
                raise TrainingInterrupted(self.unfinished, 0, state.max_steps)
        collator.references = references.values

    def _order(self, collator: PaddedBatch) -> list[int]:
        """The examples of a collator: those that are trained on in the order of the first epoch."""
        sampler = self.trainer.context.sampler
        if len(collator.examples) == len(sampler.lengths):
            order: list[int] = sampler.order(0)
            return order
        count = len(collator.examples)
        return [count if index == BLANK else index for index in padded_order(range(count), sampler.multiple)]

    def _space(self) -> ReferenceSpace:
        base, model = self.base, self.trainer.model
        return ReferenceSpace(
            weights=weights_digest(base.folder),
            template=content_digest(str(base.tokenizer.chat_template)),
            # Adapters leave the weights in bfloat16 or four bits, where a full training holds them in float32.
            dtype=f"{self.trainer.context.precision}, held in {_held_in(model)}",
            attention=f"{model.config._attn_implementation}, {type(self.collators[0]).__name__}",
        )

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None and self.trainer.accelerator.is_main_process:
            self.progress(done, total, f"{self.title}, reference log-probabilities")


def _held_in(model: Any) -> str:
    quantised = getattr(model.config, "quantization_config", None)
    dtype = str(model.get_input_embeddings().weight.dtype)
    return dtype if quantised is None else f"{dtype}, {quantised.bnb_4bit_quant_type}"


def _share(references: References) -> int:
    """Let every process know what the first one has found, so that all compute the same rest."""
    from accelerate.utils import broadcast_object_list

    shared = [references.values]
    broadcast_object_list(shared, from_process=0)
    references.values = shared[0]
    return len(references.missing())
