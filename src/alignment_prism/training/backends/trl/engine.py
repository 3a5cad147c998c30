"""TRL as a training engine: our settings in its words."""

from __future__ import annotations

import warnings
from typing import Any

from alignment_prism.training.backends.arguments import arguments, lora
from alignment_prism.training.examples import ExampleSet
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.methods import Objective
from alignment_prism.training.settings import PreferenceRecipe
from alignment_prism.training.stage import Batching, StageJob


class TrlEngine:
    """Trains each stage with TRL's trainer of its objective."""

    name = "trl"

    def trainer(
        self, job: StageJob, model: Any, examples: ExampleSet, collator: PaddedBatch, batching: Batching, precision: str
    ) -> Any:
        """A trainer for the stage; its `plan` is still to be set."""
        from datasets import Dataset
        from transformers import set_seed
        from transformers.trainer_callback import PrinterCallback
        from trl import DPOConfig, SFTConfig

        from alignment_prism.training.backends.trl.hooks import PreferenceTrainer, SupervisedTrainer

        set_seed(job.seed)  # TRL makes adapters before its trainer seeds anything
        common = arguments(job, batching, precision)
        # One column: the batch is made from our own examples, so that Arrow decodes nothing.
        dataset = Dataset.from_dict({"index": list(range(len(examples.examples) + 1))})
        options = {
            "model": model,
            "train_dataset": dataset,
            "data_collator": collator,
            "processing_class": job.base.tokenizer,
            "peft_config": lora(job.config.training.adapter),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            if job.stage.objective is Objective.SFT:
                trainer: Any = SupervisedTrainer(
                    args=SFTConfig(
                        **common, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}
                    ),
                    **options,
                )
            else:
                beta = job.recipe.beta if isinstance(job.recipe, PreferenceRecipe) else 0.1
                trainer = PreferenceTrainer(
                    args=DPOConfig(
                        **common, max_length=None, beta=beta, precompute_ref_log_probs=True, loss_type=["sigmoid"]
                    ),
                    **options,
                )
        trainer.remove_callback(PrinterCallback)
        return trainer
