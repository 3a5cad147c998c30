"""TRL as a training engine: our settings in its words."""

from __future__ import annotations

import warnings
from typing import Any

from alignment_prism.training.backends.arguments import arguments, lora, one_gpu
from alignment_prism.training.batching import Batching
from alignment_prism.training.examples import ExampleSet
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.objectives.dpo import DpoRecipe
from alignment_prism.training.stage import StageJob


class TrlEngine:
    """Trains each stage with a trainer of TRL's: DPO's for objectives of pairs, SFT's for those of single replies."""

    name = "trl"

    def trainer(
        self, job: StageJob, model: Any, examples: ExampleSet, collator: PaddedBatch, batching: Batching, precision: str
    ) -> Any:
        """A trainer for the stage; its `context` is still to be set."""
        from datasets import Dataset
        from transformers import set_seed
        from transformers.trainer_callback import PrinterCallback
        from trl import DPOConfig, SFTConfig

        from alignment_prism.training.backends.trl.hooks import PreferenceTrainer, SupervisedTrainer

        set_seed(job.seed)  # TRL makes adapters before its trainer seeds anything
        common = {**arguments(job, batching, precision), "max_length": None}
        options = {
            "model": model,
            # One column: the batch is made from our own examples, so that Arrow decodes nothing.
            "train_dataset": Dataset.from_dict({"index": list(range(len(examples.examples) + 1))}),
            "data_collator": collator,
            "processing_class": job.base.tokenizer,
            "peft_config": lora(job.config.training.adapter, model, job.seed),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            trainer: Any
            if job.stage.objective.branches == 2:
                own = {"beta": job.recipe.beta} if isinstance(job.recipe, DpoRecipe) else {}
                args = one_gpu(DPOConfig(**common, **own, precompute_ref_log_probs=True))
                trainer = PreferenceTrainer(args=args, **options)
            else:
                args = one_gpu(SFTConfig(**common, packing=False, dataset_kwargs={"skip_prepare_dataset": True}))
                trainer = SupervisedTrainer(args=args, **options)
        trainer.remove_callback(PrinterCallback)
        return trainer
