"""Calls through a provider's batch API, by way of Inspect, which gathers what is asked within seconds into a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class FailedInBatch(Exception):
    """The failure of a call that went in a batch, as `failures.failure_of` reads it.

    Args:
        status: HTTP status that the call alone would have had.
        body: what came with it.
    """

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"HTTP {status} in a batch")
        self.status_code, self.body = status, body


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


@asynccontextmanager
async def batches() -> AsyncIterator[None]:
    """Where calls through a batch API are made: what sends them and waits for them ends with the block.

    Inspect takes a line of OpenAI's results that holds no completion for a fault of the whole batch, and its other
    answers, which are paid for, would be lost: here such a line is the failure of its own call.

    Raises:
        ExceptionGroup: batches could not be sent or read.
    """
    from inspect_ai._util.background import set_background_task_group
    from inspect_ai.model._providers._openai_batch import OpenAIBatcher
    from inspect_ai.model._providers.util.batch_log import set_batch_log_callback, set_batch_status_callback

    batcher_class: Any = OpenAIBatcher
    parse = batcher_class._parse_jsonl_line

    def parse_line(batcher: Any, line: dict[str, Any]) -> tuple[str, Any]:
        response: Any = line.get("response") or {}
        name = str(line.get("custom_id", ""))
        if response.get("status_code", 200) != 200:
            return name, FailedInBatch(int(response["status_code"]), response.get("body"))
        try:
            parsed: tuple[str, Any] = parse(batcher, line)
            return parsed
        except Exception as error:
            return name, error

    batcher_class._parse_jsonl_line = parse_line
    set_batch_log_callback(lambda _: None)  # they print, the provider's words among them
    set_batch_status_callback(lambda _: None)
    try:
        async with asyncio.TaskGroup() as group:
            background: Any = _Background(group)
            set_background_task_group(background)
            yield
            background.cancel()  # it would look once more, and sleep
    finally:
        batcher_class._parse_jsonl_line = parse
        set_background_task_group(None)
        set_batch_log_callback(None)
        set_batch_status_callback(None)
