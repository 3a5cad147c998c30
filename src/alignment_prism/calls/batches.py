"""Calls through a provider's batch API, by way of Inspect, which gathers what is asked within seconds into a batch.

Which batch holds a call is noted in the journal once the provider has taken the batch. A later run that finds the note
waits for that batch and sends no other: what was under way when a run was stopped or killed, or lost its connection, is
fetched, and paid for once. A batch that the provider does not know any more is sent again, and so is a call
whose result turns out to be no answer when it is read.

Inspect's reading of results is replaced. There a line that cannot be read, or that is about no call of ours, is a fault
of the whole batch, whose other answers would be lost; a call without a line is waited for until its time is over; and a
reply with a Unicode line separator in it is two lines. Here each of these is a matter of its own call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from alignment_prism.calls.failures import failure_of
from alignment_prism.calls.journal import Journal


@dataclass
class Call:
    """A call that a task makes.

    Attributes:
        key: under which its answer is to lie in the journal; empty for none.
        came: whether a batch has held a result of it that could be read.
    """

    key: str = ""
    came: bool = False


CALL: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that a task makes."""
_GONE = {400, 404, 410}
"""HTTP statuses with which a provider says that it has no such batch."""
_LOOKS = 3
"""At a batch that the provider does not know, before it is gone: a new one may not be known everywhere at once."""


class FailedInBatch(Exception):
    """The failure of a call that went in a batch, as `failures.failure_of` reads it.

    Args:
        code: by which the provider names the failure.
        status: HTTP status that the call alone would have had; None where there is none.
        body: what came with it; None is the code alone.
    """

    def __init__(self, code: str = "", status: int | None = None, body: object = None) -> None:
        super().__init__(f"{code or f'HTTP {status}'} in a batch")
        self.status_code = status
        self.body = body if body is not None else {"error": {"code": code}}


class _BatchGone(Exception):
    """The provider does not know a batch, or ended it without results."""


class _Background:
    """What Inspect sends batches and waits for them with, where it expects a group of tasks of anyio."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: list[asyncio.Task[Any]] = []

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
        self._tasks.append(self._group.create_task(work(*arguments)))

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


class _Coming:
    """Where Inspect puts what comes of a call, in place of a stream of anyio; what nobody waits for any more is lost.

    Attributes:
        answer: or the exception that stands for it.
    """

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def give(self, answer: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    async def send(self, answer: Any) -> None:
        self.give(answer)


class Notes:
    """Which batch holds a call that has no answer yet.

    A note has a key of its own, so that it hides no answer which another run has put into the cache. It does not go
    there itself: another run may be another account's, which knows no such batch.

    Args:
        journal: in which it is noted; None notes nothing: a run that is stopped loses what is in batches.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal

    def find(self, key: str) -> tuple[str, str] | None:
        """The batch's id, and the call's name in it."""
        note = None if self._journal is None or not key else self._journal.get(self._key(key))
        batch, name = (note.get("batch"), note.get("name")) if isinstance(note, dict) else (None, None)
        return (batch, name) if isinstance(batch, str) and isinstance(name, str) else None

    def write(self, key: str, batch: str, name: str) -> None:
        if self._journal is not None and key:
            self._journal.put(self._key(key), {"batch": batch, "name": name}, shared=False)

    def remove(self, key: str) -> None:
        if self.find(key) is not None and self._journal is not None:
            self._journal.put(self._key(key), None, shared=False)

    @staticmethod
    def _key(key: str) -> str:
        return f"batch of {key}"

    def fail(self, call: Call) -> None:
        """What came of a call is no answer: no later run is to fetch it again."""
        if call.came:
            self.remove(call.key)
            call.came = False


@asynccontextmanager
async def batches(notes: Notes, grace: float) -> AsyncIterator[None]:
    """Where calls through a batch API are made: what sends them and waits for them ends with the block.

    Args:
        notes: of which batch holds a call.
        grace: seconds for which a batch that is being sent when the block ends is awaited: it may be paid for, and
            could not be fetched if it were not noted.

    Raises:
        ExceptionGroup: batches could not be sent.
    """
    from inspect_ai._util.background import set_background_task_group
    from inspect_ai.model._providers._openai_batch import OpenAIBatcher
    from inspect_ai.model._providers._together_batch import TogetherBatcher
    from inspect_ai.model._providers.util.batch import Batcher
    from inspect_ai.model._providers.util.batch_log import set_batch_log_callback, set_batch_status_callback
    from inspect_ai.model._providers.util.file_batcher import FileBatcher

    sending: set[asyncio.Task[str]] = set()
    base = _methods(notes, sending, Batcher._wrapped_create_batch)
    set_batch_log_callback(lambda _: None)  # they print, the provider's words among them
    set_batch_status_callback(lambda _: None)
    try:
        with (
            _replaced(Batcher, base),
            _replaced(FileBatcher, {"_parse_result_file": _read_results}),
            _replaced(OpenAIBatcher, {"_results_from_rejection": _rejected, **_adapted(OpenAIBatcher)}),
            _replaced(TogetherBatcher, _adapted(TogetherBatcher)),
        ):
            async with asyncio.TaskGroup() as group:
                background: Any = _Background(group)
                set_background_task_group(background)
                yield
                background.cancel()  # it would send what waits, look once more, and sleep
                if sending:
                    await asyncio.wait(sending, timeout=grace)
    finally:
        for task in sending:
            task.cancel()
        set_background_task_group(None)
        set_batch_log_callback(None)
        set_batch_status_callback(None)


@contextmanager
def _replaced(owner: Any, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    before = {name: owner.__dict__[name] for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


def _methods(
    notes: Notes, sending: set[asyncio.Task[str]], create: Callable[..., Coroutine[Any, Any, str]]
) -> dict[str, Callable[..., Any]]:
    """Of Inspect's `Batcher`: how a call is made, and a batch sent, looked at and taken apart."""

    async def generate_for_request(batcher: Any, request: dict[str, Any]) -> Any:
        call = CALL.get() or Call()
        notes.fail(call)  # which is made again
        while True:
            noted = notes.find(call.key)
            answer = await _asked(batcher, request, call.key, noted)
            if isinstance(answer, _BatchGone) and noted is not None:
                notes.remove(call.key)  # and so to a batch of this run
                continue
            if isinstance(answer, _BatchGone):
                raise FailedInBatch("batch_without_results") from answer
            if isinstance(answer, Exception):
                raise answer
            call.came = True
            return answer

    async def wrapped_create_batch(batcher: Any, calls: list[Any]) -> str:
        task = asyncio.create_task(sent(batcher, calls))
        sending.add(task)
        task.add_done_callback(sending.discard)
        return await asyncio.shield(task)

    async def sent(batcher: Any, calls: list[Any]) -> str:
        name = await create(batcher, calls)
        for call in calls:
            notes.write(call.key, name, call.custom_id)
        return name

    async def wrapped_check_batch(batcher: Any, batch: Any) -> Any:
        try:
            found = await batcher._check_batch(batch)
        except Exception as error:
            batch.consecutive_check_failure_count += 1
            looks = batch.consecutive_check_failure_count
            gone = isinstance(error, _BatchGone) or (failure_of(error).status in _GONE and looks >= _LOOKS)
            if gone:
                resolve(batcher, batch, dict.fromkeys(batch.requests, _BatchGone()))
            elif looks >= batcher._max_consecutive_check_failures:  # of hours: its note stays, for the next run
                await batcher._fail_and_cleanup_inflight_batch("it cannot be looked at", batch, error)
            return None
        batch.consecutive_check_failure_count = 0
        ended = type(batcher).__name__ == "GoogleBatcher" and found.failed_count  # its way to say so
        if found.completion_info is None and ended:
            resolve(batcher, batch, dict.fromkeys(batch.requests, _BatchGone()))
            return None
        return found

    def resolve(batcher: Any, batch: Any, results: Mapping[str, Any]) -> None:
        batcher._inflight_batches.pop(batch.id, None)  # first: a call that comes now is looked up anew
        for name, call in batch.requests.items():
            answer = results.get(name, FailedInBatch("no_result_in_batch"))
            if isinstance(answer, Exception):
                notes.remove(call.key)
            call.result_stream.give(answer)

    async def resolve_inflight_batch(batcher: Any, batch: Any, results: Mapping[str, Any]) -> None:
        resolve(batcher, batch, results)

    return {
        "generate_for_request": generate_for_request,
        "_wrapped_create_batch": wrapped_create_batch,
        "_wrapped_check_batch": wrapped_check_batch,
        "_resolve_inflight_batch": resolve_inflight_batch,
    }


async def _asked(batcher: Any, request: dict[str, Any], key: str, noted: tuple[str, str] | None) -> Any:
    """What comes of a call: the answer, or the exception that stands for it.

    Args:
        batcher: of the provider.
        request: as it goes into a batch; not used where one holds it already.
        key: of the call.
        noted: id of the batch that holds it, and its name there.
    """
    from inspect_ai._util.background import run_in_background
    from inspect_ai.model._providers.util.batch import Batch, BatchRequest

    coming = _Coming()
    call: Any = BatchRequest[Any](request=dict(request), result_stream=coming)  # type: ignore[arg-type]
    call.key = key
    if noted is None:
        batcher._intake_queue.append(call)
    else:
        held, call.custom_id = noted
        batch = batcher._inflight_batches.setdefault(held, Batch[Any](id=held, requests={}))
        batch.requests[call.custom_id] = call
    if not batcher._is_batch_worker_running:
        batcher._is_batch_worker_running = True
        run_in_background(batcher._batch_worker)
    return await coming.answer


async def _read_results(batcher: Any, address: str) -> dict[str, Any]:
    """The results in a file, by the names of their calls; lines that name none are passed over."""
    found: dict[str, Any] = {}
    for text in (await batcher._download_result_file(address)).decode(errors="replace").split("\n"):
        with suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict) and (name := line.get("custom_id") or line.get("key")):
                found[str(name)] = _result(batcher, line)
    return found


def _result(batcher: Any, line: dict[str, Any]) -> Any:
    """The answer in a line, or its failure as an exception."""
    response, error = line.get("response"), line.get("error")
    if isinstance(response, dict) and (status := response.get("status_code", 200)) != 200:
        return FailedInBatch(status=status if type(status) is int else None, body=response.get("body"))
    if isinstance(error, dict):
        code = error.get("code")
        return FailedInBatch(str(code or ""), code if type(code) is int else None, {"error": error})
    try:
        return batcher._parse_jsonl_line(line)[1]
    except Exception as fault:
        return fault


def _rejected(batcher: Any, batch: Any, errors: Any) -> dict[str, Exception]:
    """What comes of the calls of a batch that OpenAI did not take after all, as where too much waits already."""
    codes = [str(error.code or "") for error in getattr(errors, "data", None) or ()] or ["batch_rejected"]
    if len(codes) != len(batch.requests):
        codes = codes[:1] * len(batch.requests)
    return {name: FailedInBatch(code) for name, code in zip(batch.requests, codes, strict=True)}


def _adapted(owner: Any) -> dict[str, Callable[..., Any]]:
    """Of a batcher that looks at batches as OpenAI's does: one that is over, and has no results, is gone."""
    adapt = owner._adapt_batch_info

    def adapted(batcher: Any, information: Any) -> Any:
        found = adapt(batcher, information)
        if found.status in {"expired", "cancelled"} and not (found.output_file_id or found.error_file_id):
            raise _BatchGone
        return found

    return {"_adapt_batch_info": adapted}
