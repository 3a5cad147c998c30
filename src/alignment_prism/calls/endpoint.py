"""Models behind Inspect ids (`openai/gpt-4o`, `openai-api/local/name`, `vllm/...`): opening them, and their errors.

An OpenAI-compatible server of one's own is `openai-api/NAME/MODEL` with its address; the key is read from
`NAME_API_KEY`, and need not exist for a server on this machine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alignment_prism.calls.budget import IN_BATCHES
from alignment_prism.calls.failures import provider_words, public_address
from alignment_prism.calls.one_call import prepare
from alignment_prism.domain.errors import InputError, ModelError, PrismError
from alignment_prism.domain.records import Prompt

if TYPE_CHECKING:
    from inspect_ai.model import Model, ModelAPI

_LOADING = {"hf", "vllm", "sglang", "transformer_lens", "nnterp", "llama-cpp-python"}
"""Providers that load weights when a model is opened."""

_WITH_BATCHES = {"openai", "anthropic", "google", "together", "grok"}
"""Providers through whose batch API Inspect calls."""
_BATCH = 1000
"""Calls of a batch, unless fewer come within `_BATCH_DELAY`."""
_BATCH_DELAY = 15.0
"""Seconds after which a batch is sent that is not full, and between two looks at how far batches are."""
_BATCH_SECONDS = 25 * 3600.0
"""That an answer from a batch may take: providers promise a day."""

_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and how it is called.

    Attributes:
        model: Inspect model id.
        base_url: address of the server, where it is not the provider's own; empty to leave it to the environment.
        temperature: of the draw, 0 is greedy; None leaves it to the provider.
        top_p: nucleus; None leaves it to the provider.
        max_tokens: most tokens of an answer, thoughts included.
        thought_tokens: most tokens of thoughts among them, for providers that take such a number; 0 leaves it to them.
        extra_body: what else is sent with every call, for servers of one's own (`chat_template_kwargs`).
        connections: calls under way at once.
        retries: of a call that failed for a passing reason (connection, rate limit, server error), with growing pauses.
        timeout: seconds that one attempt may take; None is a minute and a fifth of a second for each of `max_tokens`,
            and 25 hours in batches.
        batch: whether calls go through the provider's batch API: cheaper, and answered within a day.
    """

    model: str
    base_url: str = ""
    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int = 256
    thought_tokens: int = 0
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    connections: int = 32
    retries: int = 5
    timeout: float | None = None
    batch: bool = False

    @property
    def billed_as(self) -> str:
        """What its calls are counted and priced under."""
        return f"{IN_BATCHES}{self.model}" if self.batch else self.model

    @property
    def address(self) -> str:
        """The model's id and, where it is known, the address it is called at, without credentials."""
        url = public_address(self.base_url or _url_from_environment(self.model))
        return f"{self.model} at {url}" if url else self.model

    @property
    def is_quick_to_open(self) -> bool:
        """Whether opening it early finds out at no cost what is missing; weights would be loaded for nothing."""
        return self.model.partition("/")[0] not in _LOADING

    @property
    def attempt_seconds(self) -> float:
        """Seconds that one attempt may take."""
        if self.timeout is not None:
            return self.timeout
        return _BATCH_SECONDS if self.batch else 60.0 + 0.2 * self.max_tokens

    def secrets(self, api: ModelAPI) -> set[str]:
        """What must never be shown: the key that an opened model uses, and credentials in the address."""
        parts = urlsplit(self.base_url or _url_from_environment(self.model))
        return {text for text in (api.api_key, parts.password, parts.query) if text and text != "none"}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        """The opened model, closed again at the end.

        Raises:
            ModelError: there is no such provider, or it lacks an address, a key or a package.
        """
        from inspect_ai.model import BatchConfig, GenerateConfig, get_model

        self.check_address()
        config = GenerateConfig(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            reasoning_tokens=self.thought_tokens or None,
            extra_body=dict(self.extra_body) or None,
            max_connections=self.connections,
            max_retries=self.retries,
            cache=False,
            batch=BatchConfig(size=_BATCH, send_delay=_BATCH_DELAY, tick=_BATCH_DELAY) if self.batch else None,
        )
        try:
            model = get_model(
                self.model, config=config, base_url=self.base_url or None, api_key=self._local_key(), memoize=False
            )
        except PrismError as error:  # an actor of ours says itself what is wrong and how to mend it
            raise ModelError(
                f"the model cannot be opened: {error.what}", where=error.where or self.address, fix=error.fix
            ) from error
        except Exception as error:  # providers raise what they like when they are made
            said = provider_words(error)
            raise ModelError(
                f"the model cannot be opened: {said}", where=self.address, fix=self._opening_fix(said)
            ) from error
        async with model:
            model.verify_model_apis()
            prepare(model.api)
            yield model

    async def check_judging(self, prompts: Sequence[Prompt]) -> None:
        """Find out, before anything else is done, whether the model can judge replies to these prompts.

        A model of ours says so itself: it is opened for that and not called. One that loads weights is left alone, and
        one that cannot be opened, for want of a key for example, says so when it is to be asked.

        Raises:
            InputError: there is no such model of ours, it is no judge, or it does not know the prompts.
            ModelError: the address is missing or none.
        """
        self.check_address()
        if not self.is_quick_to_open:
            return
        try:
            async with self.open() as model:
                refuse_unknown(model, prompts)
        except ModelError as error:
            if isinstance(error.__cause__, PrismError):
                raise error.__cause__ from None

    def check_address(self) -> None:
        """Check that a server of one's own has an address, and that an address is one; nothing is called.

        Raises:
            InputError: calls are to go in batches, and the provider takes none.
            ModelError: the address is missing, or begins with neither http:// nor https://.
        """
        provider = self.model.partition("/")[0]
        if self.batch and provider not in _WITH_BATCHES:
            fix = f"leave it out; {', '.join(sorted(_WITH_BATCHES))} have one"
            raise InputError(f"{provider!r} has no batch API that calls could go through", where=self.model, fix=fix)
        url = self.base_url or _url_from_environment(self.model)
        parts = self.model.split("/")
        if not url and parts[0] == "openai-api" and len(parts) > 2:
            variable = f"{_service(parts[1])}_BASE_URL"
            raise ModelError(
                f"{self.model} is a server of one's own, and its address is not given",
                where=self.model,
                fix=f"give its base_url, or set {variable}; the key is read from {_service(parts[1])}_API_KEY",
                settings={"base_url": "ADDRESS"},
            )
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
            raise ModelError(
                f"{public_address(url)!r} is no address", where=self.model, fix="write it as http://localhost:8000/v1"
            )

    def _local_key(self) -> str | None:
        """A stand-in key for a server on this machine, which usually wants none, unless the environment has one."""
        url = self.base_url or _url_from_environment(self.model)
        parts = self.model.split("/")
        if parts[0] == "openai-api" and len(parts) > 2 and urlsplit(url).hostname in _LOCAL_HOSTS:
            return os.environ.get(f"{_service(parts[1])}_API_KEY") or "none"
        return None

    def _opening_fix(self, text: str) -> str:
        if "not recognized" in text or "should be in the format" in text:
            return "use an Inspect model id such as openai/gpt-4o, anthropic/..., vllm/..., openai-api/NAME/MODEL"
        if "pip install" in text:
            return "install the package that it names"
        if "_BASE_URL" in text:
            return "give the server's address, in that variable if not otherwise"
        return "set the variable that it names to your API key"


def refuse_unknown(model: Model, prompts: Sequence[Prompt]) -> None:
    """Let a provider refuse to judge replies to prompts that it does not know.

    It does so by a method `check_judging(prompts)` of its API object, which raises a `PrismError`; providers without
    one judge anything.
    """
    check = getattr(model.api, "check_judging", None)
    if check is not None:
        check(prompts)


def is_provider(model: str) -> bool:
    """Whether `model` begins with the name of an Inspect provider; nothing is opened or loaded."""
    from inspect_ai._util.registry import registry_find, registry_unqualified_name

    name, slash, _ = model.partition("/")
    if not slash:
        return False
    return bool(registry_find(lambda info: info.type == "modelapi" and registry_unqualified_name(info) == name))


def _service(name: str) -> str:
    return name.upper().replace("-", "_")


def _url_from_environment(model: str) -> str:
    parts = model.split("/")
    name = _service(parts[1]) if parts[0] == "openai-api" and len(parts) > 2 else _service(parts[0])
    return os.environ.get(f"{name}_BASE_URL", "")
