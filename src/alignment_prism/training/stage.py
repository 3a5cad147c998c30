"""One stage of a training: examples, model, trainer, references, steps, and a saved model."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file
from transformers import TrainerCallback

from alignment_prism.domain import InputError, Pair
from alignment_prism.domain.progress import Progress
from alignment_prism.io import write_text
from alignment_prism.training.base_model import Base, quiet_transformers, resolve_precision, save_model
from alignment_prism.training.batching import Batching, spread_batch
from alignment_prism.training.best_weights import gathered_state
from alignment_prism.training.callbacks import Log, StopRequest, Watcher, last_checkpoint, step_of
from alignment_prism.training.devices import is_sharded, reduce_in_float32
from alignment_prism.training.divergence import with_other_replies
from alignment_prism.training.dropout import disable_dropout
from alignment_prism.training.examples import Example, ExampleSet, make_examples
from alignment_prism.training.group_weights import weighted
from alignment_prism.training.groups import GroupSums, sums_from_rows
from alignment_prism.training.held_out import HeldOut, split_held_out
from alignment_prism.training.layouts.batches import OrderSampler, PaddedBatch
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.prepare import Prepared, prepare
from alignment_prism.training.methods import Stage
from alignment_prism.training.objectives import blaming
from alignment_prism.training.recipe import Recipe
from alignment_prism.training.reference_pass import ReferencePass
from alignment_prism.training.results import StageResult, TrainingInterrupted
from alignment_prism.training.settings import MethodConfig
from alignment_prism.training.steps import OBJECTIVE_STATE, StepContext
from alignment_prism.training.translations import translated_prompts

DONE = "stage.json"
"""Written last into a stage's folder: its result."""


@dataclass(frozen=True, slots=True)
class StageJob:
    """Everything one stage is made from.

    Attributes:
        stage: which.
        title: of the method, for the progress line.
        base: the model it starts from.
        pairs: to train on.
        config: all settings.
        seed: of the order, of SFT-Random's tosses and of adapters.
        folder: its own, within the unfinished run: checkpoints, then `model/` and `stage.json`.
        log: of the run.
        progress: or None.
        stop: the user's wish to stop.
        references: where reference log-probabilities are kept.
    """

    stage: Stage
    title: str
    base: Base
    pairs: Sequence[Pair]
    config: MethodConfig
    seed: int
    folder: Path
    log: Log
    progress: Progress | None
    stop: StopRequest
    references: Path

    @property
    def recipe(self) -> Recipe:
        """How the stage learns."""
        return self.config.recipe(self.stage)


class Engine(Protocol):
    """What an engine adds: a trainer for a stage, with `GlobalBatchLoss` in front."""

    name: str

    def trainer(
        self, job: StageJob, model: Any, examples: ExampleSet, collator: PaddedBatch, batching: Batching, precision: str
    ) -> Any: ...


def run_stage(job: StageJob, engine: Engine) -> StageResult:
    """Train one stage, or go on with it where a checkpoint is, and save its model.

    Raises:
        TrainingInterrupted: the user stopped it; a checkpoint was written.
        TrainingError: the loss is not finite, or policy and reference do not agree before the first step.
    """
    settings = job.config.training
    objective = job.stage.objective
    pairs, held_out = split_held_out(job.pairs, settings.held_out)
    examples = _examples(job, pairs)
    evaluated = _held_out_examples(job, held_out, examples.notices)
    _note_pairs(job, pairs, examples)
    _note_watched(job, examples, evaluated)
    precision = resolve_precision(settings)
    batching = spread_batch(settings, max(map(tree_length, examples.examples)))
    _note_adapter(job, examples)
    sampler = OrderSampler(
        [tree_length(example) for example in examples.examples],
        batch_size=settings.batch_size,
        micro_batch=batching.micro_batch,
        horizon=settings.length_horizon,
        seed=job.seed,
        processes=batching.processes,
    )
    prepared = prepare(
        job.base,
        settings,
        examples,
        precision,
        uses_reference=objective.uses_reference,
        first=sampler.order(0)[: batching.micro_batch],
        layout=_chosen_layout(job),
    )
    collator = prepared.collator
    _keep_layout(job, prepared)
    with quiet_transformers():
        trainer = engine.trainer(job, prepared.model, examples, collator, batching, precision)
    reduce_in_float32(trainer.accelerator)
    if objective.uses_reference:
        disable_dropout(trainer.model)  # that of adapters, which the trainer has put in
    groups = sorted({example.group for example in examples.examples})
    objective = weighted(objective, settings.groups, groups)
    watcher = Watcher(f"{job.title}, {job.stage.name}", job.progress, job.stop, trainer.accelerator)
    context = StepContext(
        job.stage.name, objective, job.recipe, examples.examples, sampler, precision, job.log, watcher
    )
    if objective.uses_divergence:
        context.others = collator.over(with_other_replies(examples.examples, job.seed))
    if objective.translated_at is not None:
        context.prompts = translated_prompts(examples.examples, pairs, job.base.tokenizer, job.base.name)
    trainer.context = context
    trainer.add_callback(_StepBounds(trainer))
    kept_out = collator.over(evaluated) if evaluated else None
    held = None
    if kept_out is not None:  # before the watcher, for whom a training that ends by itself is not stopped
        held = HeldOut(trainer, kept_out, job.stage.objective, settings, job.folder)
        trainer.add_callback(held)
    trainer.add_callback(watcher)
    checkpoint = last_checkpoint(job.folder)
    if checkpoint is not None and context.state:
        context.state = load_file(checkpoint / OBJECTIVE_STATE)
    if objective.uses_reference:
        passes = [one for one in (collator, context.others, kept_out) if one is not None]
        trainer.add_callback(
            ReferencePass(
                trainer,
                passes,
                base=job.base,
                title=job.title,
                store=job.references,
                unfinished=job.folder.parent,
                resumed=checkpoint is not None,
                progress=job.progress,
            )
        )
    _log_start(job, examples, len(evaluated), checkpoint, engine, trainer, batching, prepared.seconds)
    context.since = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if watcher.stopped:
        raise TrainingInterrupted(job.folder.parent, trainer.state.global_step, trainer.state.max_steps)
    prepared.restore_config()
    _save(job, trainer, held)
    return _finish(job, examples, trainer, held)


def finished_stage(folder: Path) -> StageResult | None:
    """The result of a stage that was trained to its end, or None."""
    try:
        content = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for name in ("counts", "groups", "notices"):
        content[name] = tuple(content[name])
    return StageResult(**content)


class _StepBounds(TrainerCallback):  # type: ignore[misc]
    """Gives the sampler its epoch, also in a run that is resumed within one, and ends the objective's steps."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.context.sampler.epoch = int(state.epoch or 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.end_step()


def _note_pairs(job: StageJob, pairs: Sequence[Pair], examples: ExampleSet) -> None:
    with blaming(job.stage.objective, "notice"):
        said = None if job.stage.objective.notice is None else job.stage.objective.notice(pairs)
    if said is not None:
        examples.notices.append(said)


def _note_watched(job: StageJob, examples: ExampleSet, held_out: Sequence[Example]) -> None:
    """Groups that are trained on and are not among those of which the worst is watched."""
    missing = sorted({one.group for one in examples.examples} - {one.group for one in held_out})
    if job.config.training.watch == "worst" and missing:
        groups = ", ".join(" / ".join(group) for group in missing)
        examples.notices.append(
            f"no pair is held out of {groups}: the worst group that is watched is one of the others"
        )


def _note_adapter(job: StageJob, examples: ExampleSet) -> None:
    adapter = job.config.training.adapter
    if job.stage.objective.uses_reference and adapter is not None and adapter.dropout:
        examples.notices.append(
            f"training.adapter.dropout = {adapter.dropout} is left out in this stage, "
            "where policy and reference have to be the same function before the first step"
        )


def _examples(job: StageJob, pairs: Sequence[Pair]) -> ExampleSet:
    with blaming(job.stage.objective, "replies"):
        replies = [job.stage.objective.replies(pair, job.seed) for pair in pairs]
    settings, base = job.config.training, job.base
    return make_examples(pairs, replies, base.tokenizer, max_length=settings.max_length, ends=base.ends)


def _held_out_examples(job: StageJob, pairs: Sequence[Pair], notices: list[str]) -> list[Example]:
    """Those of pairs that are held out, before anything is loaded for them; what became of them is added to notices.

    Raises:
        InputError: as for pairs that are trained on, and says that these are not.
    """
    if not pairs:
        return []
    try:
        found = _examples(job, pairs)
    except InputError as error:
        fix = error.fix
        if not error.where:
            fix = f"{fix}; or hold out another share" if fix else "hold out another share"
        where = error.where or "key training.held_out"
        what = f"of {len(pairs)} pairs that are held out: {error.what}"
        raise InputError(what, where=where, fix=fix, settings=error.settings) from error
    notices += [f"held out: {notice}" for notice in found.notices if notice not in notices]
    return found.examples


LAYOUT = "layout.json"
"""In the folder of a stage under way: the layout that `auto` has chosen, for a resume to have the same."""


def _chosen_layout(job: StageJob) -> str:
    path = job.folder / LAYOUT
    chosen: str = json.loads(path.read_text(encoding="utf-8"))["layout"] if path.exists() else ""
    return chosen


def _keep_layout(job: StageJob, prepared: Prepared) -> None:
    """Write down which layout was taken; it is in no key, since it changes nothing but rounding."""
    if prepared.seconds:
        fastest = min(prepared.seconds, key=lambda name: prepared.seconds[name])
        job.folder.mkdir(parents=True, exist_ok=True)
        write_text(job.folder / LAYOUT, json.dumps({"layout": fastest, "seconds": prepared.seconds}))


def _log_start(
    job: StageJob,
    examples: ExampleSet,
    held_out: int,
    checkpoint: Path | None,
    engine: Engine,
    trainer: Any,
    batching: Batching,
    seconds: dict[str, float],
) -> None:
    step = step_of(checkpoint) if checkpoint else 0
    job.log.cut_after(job.stage.name, step)
    job.log.write(
        "resume" if checkpoint else "start",
        stage=job.stage.name,
        engine=engine.name,
        precision=trainer.context.precision,
        step=step,
        pairs=len(examples.examples),
        held_out=held_out,
        batching=asdict(batching),
        layout=trainer.data_collator.layout,
        layouts_tried={name: round(value, 4) for name, value in seconds.items()},
        counts=examples.count_rows(),
        notices=examples.notices,
    )


def _save(job: StageJob, trainer: Any, held: HeldOut | None) -> None:
    """The trained model as a folder that loads by itself, or the adapter where that is wanted.

    With early stopping it has the weights of its best step.
    """
    settings = job.config.training
    accelerator = trainer.accelerator
    dtype = {"base": job.base.dtype, "fp32": "float32", "bf16": "bfloat16"}[settings.save_precision]
    state = gathered_state(trainer) if is_sharded() else None
    if held is not None:
        state = held.put_back(state)
    model = accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    merge = settings.adapter is not None and settings.adapter.merge
    apart = is_sharded() or (settings.adapter is not None and settings.adapter.bits is not None)
    if merge and not apart:
        model = model.merge_and_unload()
    if accelerator.is_main_process:
        if merge and apart:  # shards and rounded weights cannot be merged: the adapter is, with the whole base
            from alignment_prism.training.backends.merging import merged_model

            save_model(model, job.base.tokenizer, job.folder / "adapter", "float32", state=state)
            model = merged_model(job.base.folder, job.folder / "adapter", trainer.context.precision)
            state = None
        save_model(model, job.base.tokenizer, job.folder / "model", dtype, state=state)
    accelerator.wait_for_everyone()


def _finish(job: StageJob, examples: ExampleSet, trainer: Any, held: HeldOut | None) -> StageResult:
    """Sum up the stage from its log, which also knows what an interrupted session did."""
    sums, seconds = GroupSums(), 0.0
    for line in job.log.read():
        if line.get("stage") == job.stage.name and line["event"] == "step":
            sums.merge(sums_from_rows(line["groups"]))
            seconds += line["seconds"]
    result = StageResult(
        job.stage.name,
        trainer.state.global_step,
        round(seconds, 3),
        counts=tuple(examples.count_rows()),
        groups=tuple(sums.rows()),
        notices=tuple(examples.notices),
        kept=None if held is None else held.best,
    )
    kept = {} if result.kept is None else {"kept": result.kept}
    job.log.write("end", stage=job.stage.name, step=result.steps, **kept, seconds=result.seconds)
    if trainer.accelerator.is_main_process:
        write_text(job.folder / DONE, json.dumps(asdict(result)))  # whole or not there
    trainer.accelerator.wait_for_everyone()
    return result
