"""Replies of a model's files that a vLLM server has loaded: our chat template and limits, its speed.

The server (`vllm serve FOLDER`) is sent token ids, not messages: the prompt is written by the template of the files
that were named, exactly as it is where the model runs in this process. So the same command runs with and without a
server, and an adapter that it serves besides is an arm like any other. A server that serves
something else is refused: it must name the folder, the folder's name or the Hub id among its models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import Journal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain.errors import ModelError
from alignment_prism.domain.messages import Message, Role
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Generation, Prompt, Sampling, content_digest
from alignment_prism.generation.backends.inspect import generation_of, remote_calls
from alignment_prism.models.chat_templates import check_chat_template, prompt_ids, require_chat_template, with_arguments
from alignment_prism.models.names import ModelRef
from alignment_prism.models.weights import model_digest, weights_digest

PROVIDER = "prism-vllm"
"""What stands before a folder in the id of a served model; it is nobody's to type."""

_TEMPLATES: dict[str, str] = {}
"""Chat templates in place of models' own, by digest: Inspect hands a provider a name and no more."""


@modelapi(name=PROVIDER)
class ServedModel(ModelAPI):
    """A folder's model behind a vLLM server, asked by token ids.

    Args:
        model_name: the folder, with `%` and `#` as `%25` and `%23`; the Hub id behind `#`, where it came from the Hub;
            behind another `#` the digest of a chat template in place of its own (`generate_served`).
        base_url: of the server.
        api_key: that it wants, if it wants one.
        config: of the calls.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
    ) -> None:
        from openai import AsyncOpenAI
        from transformers import AutoTokenizer

        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        folder, self._hub, template = (*model_name.split("#"), "", "")[:3]
        self._folder = folder.replace("%23", "#").replace("%25", "%")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)
        self._tokenizer.chat_template = _TEMPLATES.get(template, "") or self._tokenizer.chat_template
        require_chat_template(self._tokenizer, self._folder)
        check_chat_template(self._tokenizer, self._folder)
        self.client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)
        self._served: tuple[str, int | None] | None = None
        self._asking = asyncio.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The reply of the model to a conversation.

        Raises:
            ModelError: the server serves another model.
            Exception: of the client, for the runner to tell apart.
        """
        async with self._asking:
            if self._served is None:
                self._served = await self._find()
        name, context = self._served
        turns = tuple(Message(Role(turn.role), turn.text) for turn in input)
        (ids,) = prompt_ids(self._tokenizer, [turns], model=self._folder)
        most = config.max_tokens or 1
        room = most if context is None else min(most, context - len(ids))
        if room <= 0:
            return ModelOutput(model=name, choices=[_choice("", "model_length")])
        answer = await self.client.completions.create(
            model=name,
            prompt=ids,
            max_tokens=room,
            temperature=config.temperature or 0.0,
            top_p=config.top_p if config.top_p is not None else 1.0,
            seed=config.seed,
            extra_body={"add_special_tokens": False, "skip_special_tokens": True},
        )
        (said,) = answer.choices
        output = ModelOutput(
            model=name, choices=[_choice(said.text, "max_tokens" if said.finish_reason == "length" else "stop")]
        )
        if answer.usage is not None:
            output.usage = ModelUsage(
                input_tokens=answer.usage.prompt_tokens,
                output_tokens=answer.usage.completion_tokens,
                total_tokens=answer.usage.total_tokens,
            )
        return output

    async def _find(self) -> tuple[str, int | None]:
        """The name under which the server has the model, and its context."""
        listed = (await self.client.models.list()).data
        folder = Path(self._folder)
        known = {self._folder, str(folder.resolve()), folder.name, self._hub} - {""}
        for one in listed:
            if one.id in known:
                context = getattr(one, "max_model_len", None)
                return one.id, context if isinstance(context, int) else None
        there = ", ".join(sorted(one.id for one in listed)) or "nothing"
        raise ModelError(
            f"the server serves {there}, and not this model",
            where=f"{self._folder} at {self.base_url}",
            fix=f"start it with: vllm serve {self._folder}; or name {folder.name} among its LoRA modules",
        )

    def max_tokens(self) -> int | None:
        """No limit of its own."""
        return None


def generate_served(
    model: ModelRef,
    prompts: Sequence[Prompt],
    *,
    base_url: str,
    arm: str,
    sampling: Sampling,
    journal: Journal | None = None,
    progress: Progress | None = None,
    connections: int = 32,
    retries: int = 5,
    timeout: float | None = None,
    chat_template: str = "",
    template_arguments: Mapping[str, Any] | None = None,
) -> list[Generation]:
    """k replies to each prompt, in the order of the prompts, samples of one prompt together.

    Args:
        model: whose files are on this machine.
        prompts: what to ask.
        base_url: of the server that has loaded them, `http://localhost:8000/v1`.
        arm: name of the model within its study.
        sampling: temperature, samples, seed; sample j is drawn with seed + j.
        journal: where answers are kept, under the digest of the files.
        progress: told how many replies are there.
        connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None goes by `max_tokens`.
        chat_template: in place of its own.
        template_arguments: what the template is told, plain JSON values.

    Raises:
        ModelError: the server cannot be reached, or serves another model.
    """
    folder = model.folder()
    weights = weights_digest(folder)
    hub = "" if str(folder) == model.id else model.id
    template = _template(folder, chat_template, template_arguments or {})
    mark = f"#{hub}#{template}" if template else f"#{hub}" if hub else ""
    escaped = str(folder).replace("%", "%25").replace("#", "%23")
    endpoint = Endpoint(
        f"{PROVIDER}/{escaped}{mark}",
        base_url,
        temperature=sampling.temperature,
        top_p=sampling.top_p if sampling.top_p < 1 else None,
        max_tokens=sampling.max_tokens,
        connections=connections,
        retries=retries,
        timeout=timeout,
    )
    known = f"{PROVIDER}/{model_digest(folder, weights)}{f'+{template}' if template else ''}"
    calls = remote_calls(known, prompts, sampling)
    requests = {key: Request(prompt.messages, seed) for prompt, _, seed, key in calls}
    answers = ask_all(endpoint, requests, journal=journal, progress=progress)
    found = [generation_of(prompt, sample, answers[key], arm, model.name, sampling) for prompt, sample, _, key in calls]
    return [replace(one, weights=weights) for one in found]


def _template(folder: Path, chat_template: str, arguments: Mapping[str, Any]) -> str:
    """The digest under which a provider finds a template that is not the model's own; empty where it is."""
    if not (chat_template or arguments):
        return ""
    from transformers import AutoTokenizer

    own = chat_template or AutoTokenizer.from_pretrained(folder, trust_remote_code=False).chat_template
    if not isinstance(own, str):
        return ""  # there is none, or several: the provider says so
    text = with_arguments(own, arguments)
    digest = content_digest("chat template", text)
    _TEMPLATES[digest] = text
    return digest


def _choice(text: str, reason: StopReason) -> ChatCompletionChoice:
    return ChatCompletionChoice(message=ChatMessageAssistant(content=text), stop_reason=reason)
