"""Replies of any model, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_prism.calls.journal import Journal
from alignment_prism.domain.errors import InputError
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Generation, Prompt, Sampling
from alignment_prism.models.names import ModelRef, resolve

CONNECTIONS = 32
"""Calls of an API under way at once, unless somebody says otherwise."""

RETRIES = 5
"""Of a call that failed for a passing reason, unless somebody says otherwise."""


def reply(
    model: str | Path | ModelRef,
    prompts: Sequence[Prompt],
    sampling: Sampling | None = None,
    *,
    arm: str = "model",
    journal: Journal | None = None,
    progress: Progress | None = None,
    base_url: str = "",
    connections: int = CONNECTIONS,
    retries: int = RETRIES,
    timeout: float | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    chat_template: str = "",
    template_arguments: Mapping[str, Any] | None = None,
    direction: str | Path | None = None,
) -> list[Generation]:
    """k replies to each prompt, in the order of the prompts, samples of one prompt together.

    Args:
        model: what `alignment_prism.models.names.resolve` knows: a folder (an adapter's too), `nano`, a Hub id, an
            Inspect id.
        prompts: what to ask.
        sampling: how replies are drawn; None is one greedy reply of at most 512 tokens.
        arm: name of the model within its study.
        journal: where replies are kept, so that a run that was killed draws the rest only.
        progress: told how many replies are there.
        base_url: of a model behind an API: address of the server, where it is not the provider's own; of a model whose
            files are on this machine: address of a vLLM server that has loaded them, empty to load them here.
        connections: of a model behind an API: calls under way at once.
        retries: of a model behind an API: of a call that failed for a passing reason.
        timeout: of a model behind an API: seconds that an attempt of a call may take; None goes by `max_tokens`.
        device: of a model on this machine: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes an accelerator if there is one.
        batch_tokens: of a model on this machine: most positions of a batch; less needs less memory.
        chat_template: of a model on this machine: in place of its own.
        template_arguments: of a model on this machine: what the template is told, plain JSON values.
        direction: of a model on this machine: file of a direction that is added to its hidden states
            (`alignment_prism.generation.backends.steering`).

    Raises:
        ModelError: there is no such model, it cannot be used, or it cannot be reached.
        InputError: several samples without a temperature; the chat template refuses a conversation.

    Example:
        >>> reply("nano", prompts, Sampling(max_tokens=64))
    """
    found = model if isinstance(model, ModelRef) else resolve(model)
    sampling = sampling or Sampling()
    if found.is_api:
        if direction is not None:
            raise InputError("a model behind an API cannot be steered", where=found.name, fix="steer a model folder")
        from alignment_prism.generation.backends.inspect import generate_remote

        return generate_remote(
            found.id,
            prompts,
            arm=arm,
            sampling=sampling,
            journal=journal,
            progress=progress,
            max_connections=connections,
            retries=retries,
            timeout=timeout,
            base_url=base_url,
        )
    if base_url:
        from alignment_prism.generation.backends.vllm import generate_served

        return generate_served(
            found,
            prompts,
            base_url=base_url,
            arm=arm,
            sampling=sampling,
            journal=journal,
            progress=progress,
            connections=connections,
            retries=retries,
            timeout=timeout,
            chat_template=chat_template,
            template_arguments=template_arguments,
        )
    from alignment_prism.generation.backends.transformers import generate_local, load_local

    local = load_local(found.id, device=device, chat_template=chat_template, template_arguments=template_arguments)
    if direction is not None:
        from alignment_prism.generation.backends.steering import steered

        local = steered(local, Path(direction))
    return generate_local(
        local,
        prompts,
        arm=arm,
        sampling=sampling,
        batch_tokens=batch_tokens,
        journal=journal,
        progress=progress,
    )
