"""What DeepSpeed does otherwise than DDP and FSDP: weights gathered from ZeRO's parts, and models loaded whole."""

from __future__ import annotations

from typing import Any


def gathered(engine: Any, *, keep: bool) -> dict[str, Any]:
    """All weights of a model that DeepSpeed has trained, on the CPU; to be called by all processes at once.

    Trained weights come from the optimiser, which holds them in float32: those of the module are rounded to bfloat16
    where that is the training's precision. accelerate's `get_state_dict` gives these, and under ZeRO 3 nothing at all
    where the launcher's settings do not ask for it (`zero3_save_16bit_model`).

    Args:
        engine: of DeepSpeed, around the model.
        keep: False in processes that need not have them; one tensor at a time is gathered there all the same.

    Returns:
        As the model's own `state_dict` names them, without those that another name stands for (tied weights).
    """
    from deepspeed.runtime.zero import GatheredParameters
    from deepspeed.utils import safe_get_full_fp32_param

    state = {} if not keep else {name: buffer for name, buffer in engine.module.state_dict().items() if buffer.numel()}
    for name, parameter in engine.module.named_parameters():
        whole = safe_get_full_fp32_param(parameter) if parameter.requires_grad else None
        with GatheredParameters([parameter], enabled=whole is None and hasattr(parameter, "ds_id")):
            if keep:
                state[name] = (parameter if whole is None else whole).detach().to("cpu", copy=True)
    return state


def load_whole() -> None:
    """Have transformers load models whole in every process, as all that tries them before a training expects.

    Under ZeRO 3 it would leave each process a part of every weight, but for the first training of a process, before
    which it does not know of ZeRO.
    """
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled, unset_hf_deepspeed_config

    if is_deepspeed_zero3_enabled():
        unset_hf_deepspeed_config()
