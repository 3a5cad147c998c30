"""Every setting arrives in transformers and PEFT under the name it has there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Pair, TrainingError
from alignment_prism.training import METHODS, load_config
from alignment_prism.training.backends.arguments import arguments, lora, one_gpu
from alignment_prism.training.base_model import find_base
from alignment_prism.training.batching import Batching
from alignment_prism.training.callbacks import Log, StopRequest
from alignment_prism.training.settings import AdapterConfig
from alignment_prism.training.stage import StageJob
from alignment_prism.training.train import train_method


def _arguments(tiny_model: Path, out: Path, settings: dict[str, Any], precision: str = "fp32") -> dict[str, Any]:
    config = load_config("micro", settings)
    stage = METHODS["dpo_ift"].stages[0]
    log = Log(out / "log.jsonl", enabled=False)
    job = StageJob(stage, "test", find_base(tiny_model), [], config, 7, out, log, None, StopRequest(), out)
    return arguments(job, Batching(3, 5, 1), precision)


def test_every_setting_is_handed_on(tiny_model: Path, tmp_path: Path) -> None:
    given = _arguments(
        tiny_model,
        tmp_path,
        {"dpo_ift.learning_rate": 1.5e-5, "dpo_ift.epochs": 2.5, "dpo_ift.schedule": "cosine", "dpo_ift.warmup": 0.3,
         "training.weight_decay": 0.02, "training.betas": [0.8, 0.95], "training.max_grad_norm": 0.7,
         "training.gradient_checkpointing": True, "training.log_every": 6, "training.save_every": 11},
        "bf16",
    )  # fmt: skip
    expected = {
        "output_dir": str(tmp_path), "per_device_train_batch_size": 3, "gradient_accumulation_steps": 5,
        "learning_rate": 1.5e-5, "num_train_epochs": 2.5, "lr_scheduler_type": "cosine", "warmup_steps": 0.3,
        "optim": "adamw_torch_fused", "weight_decay": 0.02, "adam_beta1": 0.8, "adam_beta2": 0.95,
        "max_grad_norm": 0.7, "bf16": True, "gradient_checkpointing": True, "logging_steps": 6,
        "save_strategy": "steps", "save_steps": 11, "seed": 7, "report_to": [],
    }  # fmt: skip
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("schedule", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
def test_schedules_and_what_is_switched_off(schedule: str, theirs: str, tiny_model: Path, tmp_path: Path) -> None:
    given = _arguments(tiny_model, tmp_path, {"dpo_ift.schedule": schedule, "training.save_every": 0})
    assert given["lr_scheduler_type"] == theirs
    assert given["save_strategy"] == "no" and not given["bf16"]


def test_adapters_are_what_the_settings_say(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    assert lora(None, None, 0) is None
    made = lora(AdapterConfig(rank=3, alpha=5, dropout=0.2, targets=("q_proj", "down_proj")), None, 0)
    assert (made.r, made.lora_alpha, made.lora_dropout) == (3, 5, 0.2)
    assert set(made.target_modules) == {"q_proj", "down_proj"}
    assert lora(AdapterConfig(), None, 0).target_modules == "all-linear"
    adapter = {"rank": 3, "alpha": 5, "dropout": 0.2, "targets": ["q_proj", "down_proj"], "merge": False}
    config = load_config("micro", {"training.precision": "fp32", "training.adapter": adapter})
    result = train_method("sft", base=tiny_model, pairs=pairs[:8], out=tmp_path / "run", config=config)
    saved = json.loads((result.model / "adapter_config.json").read_text(encoding="utf-8"))
    assert (saved["r"], saved["lora_alpha"], saved["lora_dropout"]) == (3, 5, 0.2)
    assert set(saved["target_modules"]) == {"q_proj", "down_proj"}


def test_a_process_that_sees_two_gpus_trains_a_small_model_on_one_and_says_so_of_a_larger(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import TrainingArguments

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert train_method(
        "sft", base=tiny_model, pairs=pairs[:4], out=tmp_path / "small", config=load_config("micro")
    ).model.is_dir()
    monkeypatch.setattr("alignment_prism.models.threads.SMALL", 0)
    with pytest.raises(TrainingError, match="2 GPUs are visible to one process"):
        train_method("sft", base=tiny_model, pairs=pairs[:4], out=tmp_path / "large", config=load_config("micro"))
    seen = TrainingArguments(output_dir=str(tmp_path / "out"))
    monkeypatch.setattr(seen, "_n_gpu", 2, raising=False)
    assert (seen.n_gpu, one_gpu(seen).n_gpu) == (2, 1)
