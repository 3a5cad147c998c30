"""TRL's trainers with our steps in front: every private hook of TRL that we use is in this file.

Used of TRL 1.16, and checked by `tests/contract/test_trl.py`:

- `SFTTrainer` and `DPOTrainer`: construction (adapters, dropout, padding token), the loop, checkpoints, resume.
- `DPOTrainer._prepare_dataset`: replaced. Ours is tokenised already, and TRL drops long prompts without a word.
- `DPOTrainer._precompute_ref_logps`: replaced. With `precompute_ref_log_probs=True` no second model is loaded; the
  values come from our own pass and store.
- `_set_signature_columns_if_needed`, `_prepare_inputs`, `compute_loss`, `log`: replaced, in `training.steps`.
- `_send_telemetry`, `create_model_card`: switched off. Nothing reaches a network; the card is our own.
"""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer, SFTTrainer

from alignment_prism.training.steps import GlobalBatchLoss


class QuietTrl:
    """What neither trainer shall do."""

    def _send_telemetry(self) -> None:
        """Nothing is sent."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The run writes its own card."""


class SupervisedTrainer(GlobalBatchLoss, QuietTrl, SFTTrainer):  # type: ignore[misc]
    """TRL's SFT trainer with our loss; its data preparation is skipped by an option of its own."""


class PreferenceTrainer(GlobalBatchLoss, QuietTrl, DPOTrainer):  # type: ignore[misc]
    """TRL's DPO trainer with our loss and references of our own."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset
