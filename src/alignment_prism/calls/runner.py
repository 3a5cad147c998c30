"""Many model calls at once through Inspect, with a journal: what was answered is never asked again.

Inspect's own response cache stays off: its key knows a model's name and not its weights.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from alignment_prism.calls.endpoint import FIRST_RETRIES, Endpoint, explain, is_fatal, refuse_unknown
from alignment_prism.domain.errors import ModelError, PrismError
from alignment_prism.domain.messages import Messages, Role
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Prompt

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, Model

T = TypeVar("T")

MAX_FAILURES_IN_A_ROW = 8
"""After so many failed calls without one success between them the model is taken to be out of order."""

GRACE = 10.0
"""Seconds for which the calls under way are awaited once the model is out of order: their answers are paid for."""


class Journal(Protocol):
    """What is needed of a journal of calls, see `alignment_prism.calls.journal.CallJournal`."""

    def get(self, key: str) -> Any:
        """The stored answer or None."""

    def put(self, key: str, value: Any) -> None:
        """Store an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: its words.
        stop: Inspect's stop reason (`stop`, `max_tokens`, `model_length`, `content_filter`, ...), empty on failure.
        prompt_tokens: as the provider counts them, -1 if it does not say.
        completion_tokens: likewise.
        error: why there is no answer, empty otherwise.
    """

    text: str
    stop: str = ""
    prompt_tokens: int = -1
    completion_tokens: int = -1
    error: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make.

    Attributes:
        messages: what is sent.
        seed: for this call, None where the draw is greedy or the provider's.
    """

    messages: Messages
    seed: int | None = None


def ask_all(
    endpoint: Endpoint,
    requests: Mapping[str, Request],
    *,
    journal: Journal | None = None,
    progress: Progress | None = None,
    readable: Callable[[Answer], bool] | None = None,
    judged: Sequence[Prompt] | None = None,
) -> dict[str, Answer]:
    """Answers to all requests, by their keys; those in the journal are not asked again.

    A single failed call becomes an answer with an error, is not written to the journal, and so is made again by the
    next run. The first call goes out alone, so that a model that cannot be reached is found out at once.

    Args:
        endpoint: the model and how it is called.
        requests: key -> what to ask. A key must cover everything that shapes the answer.
        journal: where answers are kept.
        progress: told after every answer, journalled ones included.
        readable: whether a journalled answer is of use; one that is not is asked for again. None takes all.
        judged: prompts, replies to which the model is to judge; it may refuse them before the first call. None where
            it judges nothing.

    Raises:
        InputError: the model does not know the prompts.
        ModelError: the model cannot be opened or reached, or fails `MAX_FAILURES_IN_A_ROW` times in a row; what
            was answered until then is in the journal.
    """
    answers: dict[str, Answer] = {}
    if journal is not None:
        for key in requests:
            value = journal.get(key)
            if value is not None and (readable is None or readable(Answer(**value))):
                answers[key] = Answer(**value)
    waiting = [key for key in requests if key not in answers]
    if progress is not None:
        progress(len(answers), len(requests))
    if waiting:
        run = _Run(endpoint, requests, answers, journal, progress, judged)
        run_async(run.all(waiting))
    return {key: answers[key] for key in requests}


class _Run:
    """The calls of one `ask_all`."""

    def __init__(
        self,
        endpoint: Endpoint,
        requests: Mapping[str, Request],
        answers: dict[str, Answer],
        journal: Journal | None,
        progress: Progress | None,
        judged: Sequence[Prompt] | None,
    ) -> None:
        self.judged = judged
        self.endpoint = endpoint
        self.requests = requests
        self.answers = answers
        self.journal = journal
        self.progress = progress
        self.failures = 0
        self.broken: Exception | None = None

    async def all(self, keys: Sequence[str]) -> None:
        async with self.endpoint.open() as model:
            if self.judged is not None:
                refuse_unknown(model, self.judged)
            await self.one(model, keys[0], retries=min(FIRST_RETRIES, self.endpoint.retries))
            if self.broken is None:
                await self._many(model, keys[1:])
        if isinstance(self.broken, PrismError):  # An actor of ours says itself what is wrong and how to mend it.
            raise self.broken
        if self.broken is not None:
            raise self._explained(self.broken) from self.broken

    async def _many(self, model: Model, keys: Sequence[str]) -> None:
        rest = iter(keys)

        async def work() -> None:
            for key in rest:  # the workers share one iterator, so each key is taken once
                await self.one(model, key)
                if self.broken is not None:
                    return

        workers = [asyncio.create_task(work()) for _ in range(min(self.endpoint.connections, len(keys)))]
        try:
            waiting: set[asyncio.Task[None]] = set(workers)
            while waiting:
                grace = GRACE if self.broken is not None else None
                done, waiting = await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                for worker in done:
                    worker.result()  # raises what no handler foresaw
                if not done:
                    break
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def one(self, model: Model, key: str, retries: int | None = None) -> None:
        from inspect_ai.model import GenerateConfig

        request = self.requests[key]
        config = GenerateConfig(seed=request.seed, max_retries=retries)  # None leaves what the model was opened with
        try:
            output = await model.generate(to_inspect(request.messages), config=config)
        except Exception as error:
            self._failed(key, error)
            return
        self.failures = 0
        usage = output.usage
        answer = Answer(
            text=output.completion,
            stop=str(output.stop_reason or "") if output.choices else "",
            prompt_tokens=usage.input_tokens if usage else -1,
            completion_tokens=usage.output_tokens if usage else -1,
            error=output.error or ("" if output.choices else "the model returned no choice"),
        )
        self.answers[key] = answer
        if self.journal is not None and not answer.error:
            entry = {name: getattr(answer, name) for name in Answer.__slots__}
            self.journal.put(key, entry)
        self._tell()

    def _failed(self, key: str, error: Exception) -> None:
        self.failures += 1
        if isinstance(error, PrismError) or is_fatal(error) or self.failures >= MAX_FAILURES_IN_A_ROW:
            self.broken = self.broken or error
            return
        self.answers[key] = Answer("", error=explain(error))
        self._tell()

    def _explained(self, error: Exception) -> ModelError:
        done = sum(not answer.error for answer in self.answers.values())
        kept = f"; {done} of {len(self.requests)} answers are kept" if self.journal is not None and done else ""
        return ModelError(
            f"the model cannot be used: {explain(error)}{kept}",
            where=self.endpoint.address,
            fix=f"{self.endpoint.remedy(error)}; then run the same command again",
        )

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(len(self.answers), len(self.requests))


def to_inspect(messages: Messages) -> list[ChatMessage]:
    """The conversation as Inspect's messages."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {Role.SYSTEM: ChatMessageSystem, Role.USER: ChatMessageUser, Role.ASSISTANT: ChatMessageAssistant}
    return [kinds[message.role](content=message.content) for message in messages]


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop runs already (a notebook): then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    result: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            result.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="prism-calls")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]
