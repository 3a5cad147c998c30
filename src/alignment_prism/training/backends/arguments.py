"""Our settings in the words of transformers and PEFT."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from alignment_prism.domain import TrainingError
from alignment_prism.training.adapters import names_in_drawn_layers
from alignment_prism.training.batching import Batching
from alignment_prism.training.settings import AdapterConfig
from alignment_prism.training.stage import StageJob


def arguments(job: StageJob, batching: Batching, precision: str) -> dict[str, Any]:
    """The settings as `transformers.TrainingArguments` names them; nothing is measured, sent or shown that we do not
    use."""
    import torch

    recipe, settings = job.recipe, job.config.training
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(job.folder),
        "per_device_train_batch_size": batching.micro_batch,
        "gradient_accumulation_steps": batching.accumulation,
        "learning_rate": recipe.learning_rate,
        "num_train_epochs": recipe.epochs,
        "lr_scheduler_type": "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule,
        "warmup_steps": recipe.warmup,  # below 1 it is a share of all steps
        "optim": "adamw_torch_fused",
        "weight_decay": settings.weight_decay,
        "adam_beta1": settings.betas[0],
        "adam_beta2": settings.betas[1],
        "max_grad_norm": settings.max_grad_norm,
        "bf16": precision == "bf16",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "logging_steps": settings.log_every,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if settings.save_every else "no",
        "save_steps": max(settings.save_every, 1),
        "save_total_limit": 2,
        "seed": job.seed,
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "report_to": list(settings.report_to),
        "ddp_find_unused_parameters": False,
    }


def check_trackers(names: Iterable[str]) -> None:
    """Find out before any work whether a training can report to what it is to report to.

    Raises:
        TrainingError: a package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise TrainingError(
                f"the training is to report to {name}, which is not installed",
                where="key training.report_to",
                fix=f"pip install {name}, or leave it out",
            )


def lora(config: AdapterConfig | None, model: Any, seed: int) -> Any:
    """The PEFT configuration of an adapter for a model, or None."""
    if config is None:
        return None
    from peft import LoraConfig

    targets = config.targets if isinstance(config.targets, str) else list(config.targets)
    if config.layers is not None:
        targets = names_in_drawn_layers(model, config, seed)
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def one_gpu(made: Any) -> Any:
    """Training arguments for a process that trains on one GPU, however many it sees.

    The Trainer would split batches over replicas, of which the loss over the global batch knows nothing. It has no
    setting for it and writes to the same place where a model is on several GPUs already.
    """
    made._n_gpu = min(made.n_gpu, 1)
    return made
