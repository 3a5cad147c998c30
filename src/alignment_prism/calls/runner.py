"""Many model calls at once through Inspect's providers, with a journal: what was answered is never asked again.

The providers are called directly (`alignment_prism.calls.one_call`), under our own limit of connections and our own
retries: `Model.generate` keeps a transcript of every call in memory and takes as much processor time as the call
itself. Inspect's response cache stays off too: its key knows a model's name and not its weights.

A failed call is an outcome and is counted; it stops nothing but itself. Only a service that does not answer ends a run
early or at its end, and that is found out by asking (`alignment_prism.calls.health`).

Calls through a batch API are all under way at once, for a batch is what there is within seconds. The probe is then made
before them and outside of any batch, so that a wrong key is found out at once, and nothing is probed later. What is
under way in batches when a run ends is fetched by the next one (`alignment_prism.calls.batches`).
"""

from __future__ import annotations

import asyncio
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment_prism.calls.answer import Answer, refusal_of
from alignment_prism.calls.batches import CALL, Call, Notes, batches
from alignment_prism.calls.budget import Usage
from alignment_prism.calls.endpoint import Endpoint, refuse_unknown
from alignment_prism.calls.failures import Failure, failure_of, provider_words
from alignment_prism.calls.health import PATIENCE, Health
from alignment_prism.calls.interrupts import run_async
from alignment_prism.calls.journal import Journal
from alignment_prism.calls.one_call import generate
from alignment_prism.calls.retries import FIRST_RETRIES, allowed, pause
from alignment_prism.calls.turns import for_api
from alignment_prism.domain.errors import ModelError, PrismError
from alignment_prism.domain.messages import Messages, user
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Prompt

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput


STREAK_RETRIES = 1
"""Retries of a call while the service fails call after call."""
PROBE_TIMEOUT = 30.0
"""Seconds that an attempt of a probe may take at most: it is a short call."""
GRACE = 20.0
"""Seconds for which the calls under way are awaited when a run ends early: their answers are paid for."""
MOST_IN_BATCHES = 20_000
"""Calls in batches under way at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make.

    Attributes:
        messages: what is sent.
        seed: for this call, None where the draw is greedy or the provider's.
    """

    messages: Messages
    seed: int | None = None


PROBE = Request(user("Hello."))
"""What is asked to find out whether a model answers at all."""


def ask_all(
    endpoint: Endpoint,
    requests: Mapping[str, Request],
    *,
    journal: Journal | None = None,
    progress: Progress | None = None,
    readable: Callable[[str, Answer], bool] | None = None,
    judged: Sequence[Prompt] | None = None,
    probe: Request = PROBE,
) -> dict[str, Answer]:
    """Answers to all requests, by their keys; those in the journal are not asked again.

    A failed call becomes an answer with an error, is not written to the journal, and so is made again by the next run.
    An answer is journalled as it came, before anybody reads it. Ctrl-C and SIGTERM start no further call and await
    those under way for `GRACE` seconds, or until the second signal, see `alignment_prism.calls.interrupts`.

    Args:
        endpoint: the model and how it is called.
        requests: key -> what to ask. A key must cover everything that shapes the answer.
        journal: where answers are kept.
        progress: told after every answer, journalled ones included.
        readable: whether a journalled answer to a key is of use; one that is not is asked for again. None takes all.
        judged: prompts, replies to which the model is to judge; it may refuse them before the first call. None where
            it judges nothing.
        probe: asked where it is in doubt whether the model answers at all, see `alignment_prism.calls.health`. Its
            answer is not used. It must hold nothing of the user's: the provider's words about its failure are shown.

    Raises:
        InputError: the model does not know the prompts.
        ModelError: the model cannot be opened or does not answer a probe; what was answered is in the journal.
        BudgetError: the journal's budget is spent.
    """
    answers = kept_answers(requests, journal, readable)
    waiting = [key for key in requests if key not in answers]
    if progress is not None:
        progress(len(answers), len(requests))
    if waiting:
        run = _Run(endpoint, requests, answers, journal, progress, judged, probe)
        with warnings.catch_warnings():
            # It quotes what a broken server sends for a message.
            warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
            run_async(run.all(waiting), run.stop)
    return {key: answers[key] for key in requests}


def kept_answers(
    keys: Iterable[str], journal: Journal | None, readable: Callable[[str, Answer], bool] | None = None
) -> dict[str, Answer]:
    """Answers that a journal holds, and that are of use.

    Args: as of `ask_all`.
    """
    found: dict[str, Answer] = {}
    for key in keys:
        kept = None if journal is None else Answer.from_journal(journal.get(key))
        if kept is not None and (readable is None or readable(key, kept)):
            found[key] = kept
    return found


class _Failed(Exception):
    """A call that is made no more."""

    def __init__(self, failure: Failure, error: Exception) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.error = error


class _Halted(Exception):
    """A call that is not made again because the run ends."""


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
        probe: Request,
    ) -> None:
        self.judged = judged
        self.endpoint = endpoint
        self.requests = requests
        self.answers = answers
        self.journal = journal
        self.notes = Notes(journal)
        self.progress = progress
        self.probe = probe
        self.started = False
        self.health = Health(works=bool(answers))
        self.probing = False
        self.under_way = 0
        self.budget = journal.budget if journal is not None else None
        self.settled = asyncio.Condition()  # told when a call has ended: there may be room in the budget
        self.halt = asyncio.Event()
        self.broken: PrismError | _Failed | None = None  # of a probe: what is said of it counts late answers too

    async def all(self, keys: Sequence[str]) -> None:
        async with self.endpoint.open() as model:
            if self.judged is not None:
                refuse_unknown(model, self.judged)
            self.api: ModelAPI = model.api
            self.config: GenerateConfig = model.config
            if self.endpoint.batch:
                await self._in_batches(keys)
            else:
                await self._in_turn(keys)
        if isinstance(self.broken, _Failed):
            raise self._given_up(self.broken)
        if self.broken is not None:
            raise self.broken

    def stop(self) -> str:
        """Start no further call; says what is waited for."""
        self.halt.set()
        awaited = f"{self.under_way} answer{'s' * (self.under_way != 1)} under way, which would be paid for again"
        if self.endpoint.batch and self.journal is not None:
            awaited = "a batch that is being sent, if one is; what batches hold is fetched by the same command"
        return f"waiting up to {GRACE:.0f} s for {awaited}; once more stops at once"

    async def _in_turn(self, keys: Sequence[str]) -> None:
        """All calls, and probes where they are due."""
        connections = self.endpoint.connections
        await self._many(keys[:1], connections)
        begun = 1
        if not self.health.works:
            await self._many(keys[begun:PATIENCE], connections)
            begun = PATIENCE
            if not self.health.works:
                await self._probe()
        await self._many(keys[begun:], connections)
        if self.journal is not None and self.health.doubted_at_last(len(keys)):  # else what was answered would be lost
            await self._probe(max(FIRST_RETRIES, self.endpoint.retries))  # all is asked: there is time to make sure

    async def _in_batches(self, keys: Sequence[str]) -> None:
        """All calls through the provider's batch API, after a probe outside of it."""
        self.started = True
        try:
            await self._attempts(self.probe, FIRST_RETRIES, limit=PROBE_TIMEOUT, alone=True)
            if not self.halt.is_set():
                async with batches(self.notes, GRACE):
                    await self._many(keys, MOST_IN_BATCHES)
        except _Halted:
            return
        except _Failed as probe:
            self._end(probe)
        except ExceptionGroup as group:  # of the task that sends batches; their calls have failed with it
            error = group.exceptions[0]
            ours = error if isinstance(error, PrismError) else None  # of the journal
            self._end(ours or _Failed(failure_of(error, self.endpoint.secrets(self.api)), error))

    async def _many(self, keys: Sequence[str], connections: int) -> None:
        if self.halt.is_set():
            return
        rest = iter(keys)

        async def work() -> None:
            for key in rest:  # the workers share one iterator, so each key is taken once
                await self._one(key)
                if self.halt.is_set():
                    return

        workers: set[asyncio.Task[Any]] = set()
        workers |= {asyncio.create_task(work()) for _ in range(min(connections, len(keys)))}
        halt = asyncio.create_task(self.halt.wait())
        try:
            while workers and not halt.done():
                done, _ = await asyncio.wait({*workers, halt}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what no handler foresaw
                workers -= done
            # Those of batches take hours, and are fetched by the next run where it finds them noted.
            if workers and (not self.endpoint.batch or self.journal is None):
                done, workers = await asyncio.wait(workers, timeout=GRACE)
                for task in done:
                    task.result()
        finally:
            for task in (*workers, halt):
                task.cancel()
            await asyncio.gather(*workers, halt, return_exceptions=True)

    async def _one(self, key: str) -> None:
        if self.budget is None:
            await self._ask(key)
            return
        messages, tokens = self.requests[key].messages, self.endpoint.max_tokens
        most = self.budget.most(self.endpoint.billed_as, messages, tokens)
        async with self.settled:
            while not self.budget.reserve(most):
                if not self.budget.under_way:
                    self._end(self.budget.error(self.endpoint.address, most))
                if self.halt.is_set():
                    return
                await self.settled.wait()
        used = None
        try:
            if (answer := await self._ask(key)) is not None:
                used = Usage.of_call(answer.prompt_tokens, answer.completion_tokens)
        finally:
            self.budget.settle(most, used)
            async with self.settled:
                self.settled.notify_all()

    async def _ask(self, key: str) -> Answer | None:
        """The model's answer, noted down; None where the call failed or was not made."""
        CALL.set(call := Call(key))
        first = not self.started
        self.started = True
        retries = self.endpoint.retries
        if self.health.streak >= PATIENCE:
            retries = min(retries, STREAK_RETRIES)
        try:
            output = await self._attempts(self.requests[key], retries, first=first)
        except _Halted:
            return None
        except _Failed as failed:
            self.notes.fail(call)
            self.answers[key] = Answer("", error=str(failed.failure))
            self._tell()
            self.health.fail(failed.failure)
            if self.health.doubted or (first and failed.failure.cause.of_service):
                await self._probe()
            return None
        except PrismError as error:  # an actor of ours says itself what is wrong and how to mend it
            self._end(error)
            return None
        answer = Answer.of(output)
        if answer.error:
            self.notes.fail(call)
        elif self.journal is not None:
            self.journal.put(key, answer.as_dict(), model=self.endpoint.billed_as)
            self.notes.remove(key)
        self.answers[key] = answer
        self.health.answer()
        self._tell()
        return answer

    async def _attempts(
        self, request: Request, retries: int, *, first: bool = False, limit: float | None = None, alone: bool = False
    ) -> ModelOutput:
        """What the provider returns to a request, after passing failures to a further attempt; `alone` in no batch.

        Raises:
            _Failed: it failed for good.
            _Halted: the run ends, and there is no further attempt.
        """
        seconds = limit if limit is not None else self.endpoint.attempt_seconds
        messages = for_api(request.messages, self.api)
        for attempt in itertools.count():
            config = self.config.model_copy(update={"seed": request.seed, **({"batch": None} if alone else {})})
            self.under_way += 1
            try:
                async with asyncio.timeout(seconds):
                    output = await generate(self.api, messages, config)
                if refused := refusal_of(output):
                    raise _Failed(refused, RuntimeError(output.completion))
                return output
            except (PrismError, _Failed):
                raise
            except Exception as error:
                failure = failure_of(error, self.endpoint.secrets(self.api))
                if attempt >= allowed(self.api, failure, error, retries, first=first):
                    raise _Failed(failure, error) from error
                seconds_to_wait = pause(self.api, failure, error, attempt)
            finally:
                self.under_way -= 1
            try:
                await asyncio.wait_for(self.halt.wait(), seconds_to_wait)
            except TimeoutError:
                continue
            raise _Halted
        raise AssertionError("unreachable")

    async def _probe(self, retries: int = FIRST_RETRIES) -> None:
        """Give the service up unless it answers a probe."""
        if self.endpoint.batch or self.probing or self.halt.is_set():
            return
        self.probing = True
        self.health.begin_probe()
        try:
            limit = min(PROBE_TIMEOUT, self.endpoint.attempt_seconds)
            await self._attempts(self.probe, retries, limit=limit)
        except _Halted:
            return
        except _Failed as probe:
            self._end(probe)
        except PrismError as error:
            self._end(error)
        else:
            self.health.pass_probe()
        finally:
            self.probing = False

    def _end(self, error: PrismError | _Failed) -> None:
        self.broken = self.broken or error
        self.halt.set()

    def _given_up(self, probe: _Failed) -> ModelError:
        said = provider_words(probe.error, self.endpoint.secrets(self.api))
        counts = "; ".join(f"{count} x {failure}" for failure, count in self.health.failures.most_common())
        calls = f"; failed calls: {counts}" if self.health.failures.total() > 1 else ""
        done = sum(not answer.error for answer in self.answers.values())
        kept = f"; {done} of {len(self.requests)} answers are kept" if self.journal is not None and done else ""
        return ModelError(
            f"the model cannot be used: {probe.failure}{f': {said}' if said else ''}{calls}{kept}",
            where=self.endpoint.address,
            fix=f"{probe.failure.remedy}; then run the same command again",
            settings=probe.failure.settings,
        )

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(len(self.answers), len(self.requests))
