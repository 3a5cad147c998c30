"""One call of a model, by way of its Inspect provider, and how the provider's HTTP client is to behave."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from alignment_prism.calls.failures import AnswerTooLarge, ErrorInAnswer, WebPage

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput


MOST_BYTES = 2**24
"""That an answer may have, unpacked: a hundred times the longest that models write."""


async def generate(api: ModelAPI, messages: list[ChatMessage], config: GenerateConfig) -> ModelOutput:
    """The provider's output.

    Chat completions of a server of one's own (`openai-api/NAME/MODEL`), the one kind that can answer hundreds of calls
    a second, are asked of the provider's client directly: the same request and the same reading of the answer, without
    the client's check of the request against its types and the provider's record of the call, which together take a
    third of the time (`benchmarks/calls.md`).

    Raises:
        Exception: whatever the provider or its client raises, also where it returns the exception.
    """
    if _is_plain_chat(api, config):
        return await _chat_completion(api, messages, config)
    result = await api.generate(messages, [], "none", config)
    output = result[0] if isinstance(result, tuple) else result
    if isinstance(output, Exception):
        raise output
    return output


def prepare(api: ModelAPI) -> None:
    """Let a provider's client follow no redirect, which would carry prompts to another host, nor retry by itself; that
    of a server of one's own reads no more than `MOST_BYTES` of an answer.

    The clients of OpenAI, Anthropic, Groq and what is compatible with them do both; others keep their own ways.
    """
    client: Any = getattr(api, "client", None)
    if isinstance(getattr(client, "max_retries", None), int):
        client.max_retries = 0
    https: tuple[Any, Any] = (getattr(api, "http_client", None), getattr(client, "_client", None))
    for http in https:
        if getattr(http, "follow_redirects", False) is True:
            http.follow_redirects = False
    if type(api).__name__ == "OpenAICompatibleAPI":
        hooks = https[1].event_hooks
        https[1].event_hooks = {**hooks, "response": [*hooks["response"], _bounded]}


async def _bounded(response: Any) -> None:
    """Read what a server sends, for as long as it is an answer: compressed or without an end, it could fill memory.

    Args:
        response: of httpx, whose head has come.

    Raises:
        AnswerTooLarge: it is more than `MOST_BYTES`.
        WebPage: it is markup, under the status of an answer.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise AnswerTooLarge(f"more than {MOST_BYTES:,} bytes")
        parts.append(part)
    whole = b"".join(parts)
    if response.status_code == 200 and whole.lstrip()[:1] == b"<":
        raise WebPage("markup and no JSON")
    response._content = whole  # where the client looks first, as if it had read all of it


def _is_plain_chat(api: Any, config: GenerateConfig) -> bool:
    # Loaded with the first model of its kind; loading the client of OpenAI for other providers would take a second.
    provider = sys.modules.get("inspect_ai.model._providers.openai_compatible")
    return type(api) is getattr(provider, "OpenAICompatibleAPI", None) and not (
        api.emulate_tools or api.uses_responses_api([], config) or api.resolve_stream(config)
    )


async def _chat_completion(api: Any, messages: list[ChatMessage], config: GenerateConfig) -> ModelOutput:
    from inspect_ai.model._openai import model_output_from_openai  # the public one reads openai's version every time
    from openai.types.chat import ChatCompletion

    request = {"messages": await api.messages_to_openai(messages), **api.completion_params(config=config, tools=False)}
    request |= request.pop("extra_body", None) or {}  # the client's own method would put it into the body
    completion = await api.client.post("/chat/completions", cast_to=ChatCompletion, body=request)
    if not isinstance(completion, ChatCompletion):
        raise TypeError("the answer is no chat completion")
    error = (completion.model_extra or {}).get("error")
    if isinstance(error, dict) and not getattr(completion, "choices", None):
        raise ErrorInAnswer(error)
    return model_output_from_openai(completion, api.chat_choices_from_completion(completion, []))
