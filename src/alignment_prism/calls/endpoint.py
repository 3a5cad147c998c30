"""Models behind Inspect ids (`openai/gpt-4o`, `openai-api/local/name`, `vllm/...`): opening them, and their errors.

An OpenAI-compatible server of one's own is `openai-api/NAME/MODEL` with its address; the key is read from
`NAME_API_KEY`, and need not exist for a server on this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from alignment_prism.domain.errors import ModelError, PrismError
from alignment_prism.domain.records import Prompt

if TYPE_CHECKING:
    from inspect_ai.model import Model

FIRST_RETRIES = 2
"""Retries of the first call of a run, about ten seconds: who cannot be reached at first is rarely there later."""

_LOADING = {"hf", "vllm", "sglang", "transformer_lens", "nnterp", "llama-cpp-python"}
"""Providers that load weights when a model is opened."""

_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}
_FATAL_STATUS = {401, 404}  # not 403: some providers answer so to a single prompt that their filter stops
_MARKUP = re.compile(r"\[/?[a-z ]+\]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and how it is called.

    Attributes:
        model: Inspect model id.
        base_url: address of the server, where it is not the provider's own; empty to leave it to the environment.
        temperature: of the draw, 0 is greedy; None leaves it to the provider.
        top_p: nucleus; None leaves it to the provider.
        max_tokens: most tokens of an answer.
        connections: calls under way at once.
        retries: of a call that failed for a passing reason (connection, rate limit, server error), with growing pauses.
        timeout: seconds that one attempt may take.
    """

    model: str
    base_url: str = ""
    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int = 256
    connections: int = 32
    retries: int = 5
    timeout: int = 300

    @property
    def address(self) -> str:
        """The model's id and, where it is known, the address it is called at."""
        url = self.base_url or _url_from_environment(self.model)
        return f"{self.model} at {url}" if url else self.model

    @property
    def is_quick_to_open(self) -> bool:
        """Whether opening it early finds out at no cost what is missing; weights would be loaded for nothing."""
        return self.model.partition("/")[0] not in _LOADING

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        """The opened model, closed again at the end.

        Raises:
            ModelError: there is no such provider, or it lacks an address, a key or a package.
        """
        from inspect_ai.model import GenerateConfig, get_model

        self.check_address()
        config = GenerateConfig(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            max_connections=self.connections,
            max_retries=self.retries,
            attempt_timeout=self.timeout,
            cache=False,
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
            raise ModelError(
                f"the model cannot be opened: {explain(error)}", where=self.address, fix=self._opening_fix(error)
            ) from error
        async with model:
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
            ModelError: it is missing, or begins with neither http:// nor https://.
        """
        url = self.base_url or _url_from_environment(self.model)
        parts = self.model.split("/")
        if not url and parts[0] == "openai-api" and len(parts) > 2:
            variable = f"{_service(parts[1])}_BASE_URL"
            raise ModelError(
                f"{self.model} is a server of one's own, and its address is not given",
                where=self.model,
                fix=f"give it with --judge-url or --model-url (base_url in a spec), or set {variable}; the key is read "
                f"from {_service(parts[1])}_API_KEY",
            )
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
            raise ModelError(f"{url!r} is no address", where=self.model, fix="write it as http://localhost:8000/v1")

    def remedy(self, error: BaseException) -> str:
        """What to do about a call that failed for good."""
        status = _status(error)
        if status in (401, 403):
            return "check the API key and what it may be used for"
        if status == 404:
            return "check the model's name and the server's address (usually ending in /v1)"
        if status == 429:
            return "wait, or lower the number of connections"
        return "check that the server runs and its address (--judge-url or --model-url, usually ending in /v1) is right"

    def _local_key(self) -> str | None:
        """A stand-in key for a server on this machine, which usually wants none, unless the environment has one."""
        url = self.base_url or _url_from_environment(self.model)
        parts = self.model.split("/")
        if parts[0] == "openai-api" and len(parts) > 2 and urlsplit(url).hostname in _LOCAL_HOSTS:
            return os.environ.get(f"{_service(parts[1])}_API_KEY") or "none"
        return None

    def _opening_fix(self, error: Exception) -> str:
        text = explain(error)
        if "not recognized" in text or "should be in the format" in text:
            return "use an Inspect model id such as openai/gpt-4o, anthropic/..., vllm/..., openai-api/NAME/MODEL"
        if "pip install" in text:
            return "install the package that it names"
        if "_BASE_URL" in text:
            return "give the server's address with --judge-url or --model-url, or in that variable"
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


def explain(error: BaseException) -> str:
    """The error in one line, retries unwrapped, without markup."""
    error = _root(error)
    message = getattr(error, "message", None)
    text = message if isinstance(message, str) and message else str(error)
    text = " ".join(_MARKUP.sub("", text).split()).removeprefix("ERROR: ")
    status = _status(error)
    if status and str(status) not in text:
        text = f"HTTP {status}: {text}"
    name = type(error).__name__
    return (text if name in ("ValueError", "PrerequisiteError") else f"{name}: {text}")[:300]


def is_fatal(error: BaseException) -> bool:
    """Whether no other call will fare better: no connection after all retries, a wrong key, no such model."""
    root = _root(error)
    names = {cls.__name__ for cls in type(root).__mro__}
    connection = names & {"APIConnectionError", "ConnectError", "ConnectionError", "ConnectTimeout", "TransportError"}
    return bool(connection) or _status(root) in _FATAL_STATUS


def _root(error: BaseException) -> BaseException:
    """The error behind tenacity's RetryError."""
    attempt = getattr(error, "last_attempt", None)
    inner = attempt.exception() if attempt is not None else None
    return inner if inner is not None else error


def _status(error: BaseException) -> int | None:
    status = getattr(_root(error), "status_code", None)
    return status if isinstance(status, int) else None


def _service(name: str) -> str:
    return name.upper().replace("-", "_")


def _url_from_environment(model: str) -> str:
    parts = model.split("/")
    name = _service(parts[1]) if parts[0] == "openai-api" and len(parts) > 2 else _service(parts[0])
    return os.environ.get(f"{name}_BASE_URL", "")
