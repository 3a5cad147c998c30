"""The default engine: `transformers.Trainer` with our loss in front."""

from __future__ import annotations

from typing import Any

from transformers import Trainer

from alignment_prism.training.backends.arguments import arguments, lora, one_gpu
from alignment_prism.training.batching import Batching
from alignment_prism.training.examples import ExampleSet
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.stage import StageJob
from alignment_prism.training.steps import GlobalBatchLoss


class LossTrainer(GlobalBatchLoss, Trainer):  # type: ignore[misc]
    """A plain trainer with our loss."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True  # ask for the count of the global batch, whatever the model takes


class TransformersEngine:
    """Trains each stage with `LossTrainer`."""

    name = "transformers"

    def trainer(
        self, job: StageJob, model: Any, examples: ExampleSet, collator: PaddedBatch, batching: Batching, precision: str
    ) -> Any:
        """A trainer for the stage; its `context` is still to be set."""
        from transformers import TrainingArguments, set_seed
        from transformers.trainer_callback import PrinterCallback

        set_seed(job.seed)
        adapter = lora(job.config.training.adapter, model, job.seed)
        if adapter is not None:
            from peft import get_peft_model

            model = get_peft_model(model, adapter)
            if job.config.training.gradient_checkpointing:
                model.enable_input_require_grads()
        trainer = LossTrainer(
            model=model,
            args=one_gpu(TrainingArguments(**arguments(job, batching, precision))),
            train_dataset=list(range(len(examples.examples) + 1)),
            data_collator=collator,
            processing_class=job.base.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer
