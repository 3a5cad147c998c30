"""The seam to TRL: hooks we replace are there, and our losses, gradients and references are TRL's own.

Fails when a TRL release moves a hook or changes what it computes.
"""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from alignment_prism.training import METHODS, ExampleSet, MethodConfig, load_config, make_examples
from alignment_prism.training.backends.trl.engine import TrlEngine
from alignment_prism.training.backends.trl.hooks import PreferenceTrainer, SupervisedTrainer
from alignment_prism.training.base_model import find_base, load_model
from alignment_prism.training.batching import Batching
from alignment_prism.training.callbacks import Log, StopRequest
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.batches import OrderSampler, PaddedBatch
from alignment_prism.training.stage import StageJob
from alignment_prism.training.steps import StepContext


def _fixtures() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "training" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = _fixtures()
PAIRS = TINY.make_pairs(12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = TINY.save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    return made


def test_the_tested_version_is_installed() -> None:
    from importlib.metadata import version

    assert version("trl").startswith("1.16."), "run this file against the new TRL and raise the bound in pyproject.toml"


@pytest.mark.parametrize(
    ("ours", "hooks"),
    [
        (
            PreferenceTrainer,
            ("_prepare_dataset", "_precompute_ref_logps", "_set_signature_columns_if_needed", "_send_telemetry",
             "create_model_card", "compute_loss", "log", "_save_checkpoint", "_get_train_sampler",
             "_get_num_items_in_batch"),
        ),
        (
            SupervisedTrainer,
            ("_set_signature_columns_if_needed", "_send_telemetry", "create_model_card", "compute_loss", "log",
             "_save_checkpoint", "_get_train_sampler", "_get_num_items_in_batch"),
        ),
    ],
)  # fmt: skip
def test_every_hook_is_there_and_called_as_we_expect(ours: type, hooks: tuple[str, ...]) -> None:
    theirs = next(base for base in ours.__mro__ if base.__module__.startswith("trl."))
    for hook in hooks:
        assert hasattr(theirs, hook), f"{theirs.__name__} has lost {hook}"
        expected = inspect.signature(getattr(theirs, hook))
        call = dict.fromkeys(list(expected.parameters)[1:])  # by TRL's own parameter names
        if not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in expected.parameters.values()):
            inspect.signature(getattr(ours, hook)).bind(None, *call.values())
    # TRL reads these from the class.
    assert hasattr(theirs, "loss_is_scaled_for_ga")


def test_the_telemetry_hook_is_the_only_sender() -> None:
    import trl.trainer.base_trainer as base

    source = inspect.getsource(base)
    assert (
        source.count("send_telemetry(") - source.count("def _send_telemetry(") - source.count("self._send_telemetry(")
        == 1
    )


def _trainer(
    folder: Path,
    out: Path,
    method: str,
    precision: str = "fp64",
    lora: bool = False,
    engine: Any = None,
    batching: Batching | None = None,
) -> tuple[Any, ExampleSet, PaddedBatch]:
    batching = batching or Batching(4, 1, 1)
    overrides: dict[str, Any] = {"training.precision": precision, "training.batch_size": 4}
    if lora:
        overrides["training.adapter"] = {"rank": 4, "alpha": 8}
    config: MethodConfig = load_config("micro", overrides)
    base = find_base(folder)
    stage = METHODS[method].stages[0]
    job = StageJob(
        stage, "test", base, PAIRS, config, 0, out, Log(out / "log.jsonl", enabled=False), None, StopRequest(), out
    )
    replies = [stage.objective.replies(pair, 0) for pair in PAIRS]
    examples = make_examples(PAIRS, replies, base.tokenizer, max_length=256)
    model = load_model(folder, precision, "eager")
    assert add_completion_head(model, [examples.examples[0].prompt]) is None
    collator = PaddedBatch(examples.examples, base.tokenizer.pad_token_id)
    trainer = (engine or TrlEngine()).trainer(job, model, examples, collator, batching, precision)
    micro = batching.micro_batch
    sampler = OrderSampler([1] * len(PAIRS), batch_size=4, micro_batch=micro, horizon=0, seed=0, processes=1)
    trainer.context = StepContext(
        stage.name, stage.objective, job.recipe, examples.examples, sampler, precision, job.log
    )
    return trainer, examples, collator


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def _assert_same_gradients(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Equal as far as TRL's head allows, which computes in float32 whatever the model is in."""
    assert ours.keys() == theirs.keys() and ours
    whole = torch.cat([gradient.flatten() for gradient in theirs.values()]).norm()
    difference = torch.cat([(ours[name] - theirs[name]).flatten() for name in theirs]).norm()
    assert float(difference / whole) < 1e-6


@pytest.mark.parametrize("lora", [False, True])
def test_dpo_loss_and_gradient_equal_those_of_trl(folder: Path, tmp_path: Path, lora: bool) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    trainer, examples, collator = _trainer(folder, tmp_path, "dpo_ift", lora=lora)
    references = [(-40.0 - index, -45.0 + index) for index in range(len(PAIRS))]
    collator.references = references
    model = trainer.model
    trainer.state.global_step = 1  # these references are made up: the check of step 0 does not apply
    rows = [0, 3, 5, 7]
    ours = trainer.compute_loss(model, collator(rows), num_items_in_batch=len(rows))
    ours.backward()
    our_gradients = _gradients(model)
    batch = DataCollatorForPreference(pad_token_id=0)(
        [
            {
                "prompt_ids": list(examples.examples[row].prompt),
                "chosen_ids": list(examples.examples[row].completions[0]),
                "rejected_ids": list(examples.examples[row].completions[1]),
                "ref_chosen_logps": references[row][0],
                "ref_rejected_logps": references[row][1],
            }
            for row in rows
        ]
    )
    theirs = DPOTrainer._compute_loss(trainer, model, batch, return_outputs=False)
    theirs.backward()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    _assert_same_gradients(our_gradients, _gradients(model))


def test_sft_loss_masks_the_prompt_and_equals_that_of_trl(folder: Path, tmp_path: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

    trainer, examples, collator = _trainer(folder, tmp_path, "sft")
    rows = [1, 2, 8]
    count = sum(len(examples.examples[row].completions[0]) for row in rows)
    batch = collator(rows)
    assert trainer._get_num_items_in_batch([batch], "cpu") == count
    ours = trainer.compute_loss(trainer.model, batch, num_items_in_batch=count)
    ours.backward()
    our_gradients = _gradients(trainer.model)
    theirs_batch = DataCollatorForLanguageModeling(pad_token_id=0)(
        [
            {
                "input_ids": [*examples.examples[row].prompt, *examples.examples[row].completions[0]],
                "labels": [-100] * len(examples.examples[row].prompt) + list(examples.examples[row].completions[0]),
            }
            for row in rows
        ]
    )
    theirs = SFTTrainer.compute_loss(trainer, trainer.model, theirs_batch, num_items_in_batch=torch.tensor(count))
    theirs.backward()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    _assert_same_gradients(our_gradients, _gradients(trainer.model))


def test_reference_log_probabilities_equal_those_of_trl(folder: Path, tmp_path: Path) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from alignment_prism.training.logps import sums_per_example

    trainer, examples, collator = _trainer(folder, tmp_path, "dpo_ift")
    batch = collator([0, 1, 2])
    ours = sums_per_example(trainer.token_logps(trainer.model, batch), batch["owners"], 6).view(2, 3)
    theirs = trainer.compute_ref_log_probs(
        trainer.model,
        DataCollatorForPreference(pad_token_id=0)(
            [
                {
                    "prompt_ids": list(e.prompt),
                    "chosen_ids": list(e.completions[0]),
                    "rejected_ids": list(e.completions[1]),
                }
                for e in examples.examples[:3]
            ]
        ),
    )
    assert torch.allclose(ours, torch.stack(theirs).double(), rtol=1e-6, atol=0)


def test_our_tokens_are_those_of_trl(folder: Path, tmp_path: Path) -> None:
    """TRL's own preparation of the same pairs gives the same prompt and completion tokens."""
    from datasets import Dataset
    from trl.trainer.dpo_trainer import DPOTrainer

    trainer, examples, _ = _trainer(folder, tmp_path, "dpo_ift")
    raw = Dataset.from_list(
        [
            {
                "prompt": [turn.as_dict() for turn in pair.messages],
                "chosen": [{"role": "assistant", "content": pair.chosen}],
                "rejected": [{"role": "assistant", "content": pair.rejected}],
            }
            for pair in PAIRS
        ]
    )
    prepared = DPOTrainer._prepare_dataset(trainer, raw, trainer.processing_class, trainer.args, "train")
    for row, example in zip(prepared, examples.examples, strict=True):
        assert row["prompt_ids"] == list(example.prompt)
        assert [row["chosen_ids"], row["rejected_ids"]] == [list(completion) for completion in example.completions]


def test_padding_and_company_do_not_change_log_probabilities(folder: Path, tmp_path: Path) -> None:
    trainer, examples, collator = _trainer(folder, tmp_path, "dpo_ift")
    lengths = [example.padded_length for example in examples.examples]
    long, short = lengths.index(max(lengths)), lengths.index(min(lengths))
    together, alone = collator([short, long]), collator([short])
    assert together["input_ids"].shape[1] > alone["input_ids"].shape[1]
    with torch.no_grad():
        both = trainer.token_logps(trainer.model, together)
        one = trainer.token_logps(trainer.model, alone)
    mine = torch.isin(together["owners"], torch.tensor([0, 2]))
    assert torch.allclose(both[mine], one, rtol=0, atol=1e-12)


def test_fifty_steps_of_sgd_on_packed_trees_follow_those_of_trl(folder: Path, tmp_path: Path) -> None:
    """Same batches, same plain SGD: our packed trees and loss beside TRL's collator and loss.

    Both models are in float64. TRL's head computes in float32 all the same, which is what the bound allows for.
    """
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    from alignment_prism.training.layouts.trees import TreeBatch, mask_plan

    ours, examples, _ = _trainer(folder, tmp_path / "ours", "dpo_ift")
    theirs, _, _ = _trainer(folder, tmp_path / "theirs", "dpo_ift")
    plan = mask_plan(ours.model.config, "eager", "fp64")
    assert not isinstance(plan, str)
    references = [(-60.0 - index, -60.0 + index) for index in range(len(PAIRS))]
    trees = TreeBatch(examples.examples, 0, plan, budget=96)
    trees.references = references
    collate = DataCollatorForPreference(pad_token_id=0)
    rows_of = [
        {
            "prompt_ids": list(example.prompt),
            "chosen_ids": list(example.completions[0]),
            "rejected_ids": list(example.completions[1]),
            "ref_chosen_logps": chosen,
            "ref_rejected_logps": rejected,
        }
        for example, (chosen, rejected) in zip(examples.examples, references, strict=True)
    ]
    start = {name: parameter.detach().clone() for name, parameter in ours.model.named_parameters()}
    optimisers = [torch.optim.SGD(one.model.parameters(), lr=2e-3) for one in (ours, theirs)]
    ours.state.global_step = 1  # these references are made up: the check of step 0 does not apply
    for step in range(50):
        rows = [(step * 3 + offset) % len(PAIRS) for offset in range(3)]
        losses = (
            ours.compute_loss(ours.model, trees(rows), num_items_in_batch=3),
            DPOTrainer._compute_loss(theirs, theirs.model, collate([rows_of[row] for row in rows]), False),
        )
        for loss, optimiser in zip(losses, optimisers, strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), rel=1e-4)
    moved, apart = 0.0, 0.0
    other = dict(theirs.model.named_parameters())
    for name, parameter in ours.model.named_parameters():
        moved += float((parameter - start[name]).detach().pow(2).sum())
        apart += float((parameter - other[name]).detach().pow(2).sum())
    assert moved > 0
    assert (apart / moved) ** 0.5 < 1e-4


def test_our_trainer_follows_trl_over_fifty_steps_of_sgd_with_gradient_accumulation(
    folder: Path, tmp_path: Path
) -> None:
    """Our own loop over epochs and micro-batches, beside TRL's collator and loss on whole batches.

    Plain SGD, because AdamW hides a gradient of the wrong size. TRL's head computes in float32 whatever the model is
    in, which is what the bound allows for.
    """
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    from alignment_prism.training.backends.transformers import LossTrainer, TransformersEngine
    from alignment_prism.training.layouts.trees import TreeBatch, mask_plan
    from alignment_prism.training.logps import sums_per_example

    ours, examples, padded = _trainer(
        folder, tmp_path / "ours", "dpo_ift", engine=TransformersEngine(), batching=Batching(2, 2, 1)
    )
    assert type(ours) is LossTrainer
    theirs, _, _ = _trainer(folder, tmp_path / "theirs", "dpo_ift")
    batch = padded(list(range(len(PAIRS))))
    with torch.no_grad():
        sums = sums_per_example(ours.token_logps(ours.model, batch), batch["owners"], 2 * len(PAIRS))
    references = sums.view(2, -1).T.tolist()
    plan = mask_plan(ours.model.config, "eager", "fp64")
    assert not isinstance(plan, str)
    trees = TreeBatch(examples.examples, 0, plan, budget=96)
    trees.references = references
    drawn: list[int] = []

    def collate(rows: Any) -> dict[str, Any]:
        drawn.extend(rows)
        return trees(rows)

    start = {name: parameter.detach().clone() for name, parameter in ours.model.named_parameters()}
    ours.data_collator = collate
    ours.args.max_steps, ours.args.max_grad_norm = 50, 0.0
    ours.optimizer = torch.optim.SGD(ours.model.parameters(), lr=2e-3)
    ours.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(ours.optimizer, factor=1.0)
    ours.train()
    assert ours.state.global_step == 50 and len(drawn) >= 200

    optimiser = torch.optim.SGD(theirs.model.parameters(), lr=2e-3)
    theirs_of = DataCollatorForPreference(pad_token_id=0)
    for step in range(50):
        rows = [
            {
                "prompt_ids": list(examples.examples[row].prompt),
                "chosen_ids": list(examples.examples[row].completions[0]),
                "rejected_ids": list(examples.examples[row].completions[1]),
                "ref_chosen_logps": references[row][0],
                "ref_rejected_logps": references[row][1],
            }
            for row in drawn[4 * step : 4 * step + 4]
        ]
        optimiser.zero_grad()
        DPOTrainer._compute_loss(theirs, theirs.model, theirs_of(rows), False).backward()
        optimiser.step()
    other = dict(theirs.model.named_parameters())
    moved = sum(float((p - start[name]).detach().pow(2).sum()) for name, p in ours.model.named_parameters())
    apart = sum(float((p - other[name]).detach().pow(2).sum()) for name, p in ours.model.named_parameters())
    assert moved > 0
    assert (apart / moved) ** 0.5 < 1e-4
