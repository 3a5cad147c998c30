"""Running coroutines from ordinary code, so that Ctrl-C and SIGTERM lose no call that is under way."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger(__name__)


def run_async(coroutine: Coroutine[Any, Any, T], stop: Callable[[], str] | None = None) -> T:
    """Run a coroutine to its end, also where an event loop runs already (a notebook): then in a thread of its own.

    The first Ctrl-C or SIGTERM calls `stop`, the second cancels the coroutine; after it has ended the signal takes its
    usual effect (KeyboardInterrupt, the end of the process), whatever the coroutine returned. Signals are heeded where
    this is called in the main thread, and the handlers that were there are put back. Where a notebook's loop runs,
    the interrupt that its kernel raises does the same.

    Args:
        coroutine: what to run.
        stop: called in the loop's thread; makes the coroutine come to its end soon, and returns what is being waited
            for, which is logged as a warning. None cancels it at once.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run = _Run(coroutine, stop)
        return run.under_signals() if threading.current_thread() is threading.main_thread() else run.to_end()
    return _Run(coroutine, stop).in_thread()


class _Run(Generic[T]):
    """One coroutine, and how it is interrupted from outside its loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], stop: Callable[[], str] | None) -> None:
        self.coroutine = coroutine
        self.stop = stop
        self.interrupts = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[T] | None = None

    def to_end(self) -> T:
        return asyncio.run(self._watched())

    async def _watched(self) -> T:
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.ensure_future(self.coroutine)
        if self.interrupts:  # before there was a loop
            self._react()
        return await self.task

    def interrupt(self) -> None:
        """Stop, and at the second time cancel; safe in a signal handler and from another thread."""
        self.interrupts += 1
        loop = self.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._react)

    def _react(self) -> None:
        assert self.task is not None
        if self.interrupts == 1 and self.stop is not None:
            _log.warning("stopping: %s", self.stop())
        else:
            self.task.cancel()

    def under_signals(self) -> T:
        received: list[int] = []

        def handle(number: int, frame: FrameType | None) -> None:
            received.append(number)
            self.interrupt()

        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN and handler is not None:
                signal.signal(number, handle)
        try:
            result = self.to_end()
        except BaseException:
            if not received:
                raise
        finally:
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
            raise KeyboardInterrupt  # the handler that was there before us did nothing
        return result

    def in_thread(self) -> T:
        result: list[T] = []
        errors: list[BaseException] = []

        def target() -> None:
            try:
                result.append(self.to_end())
            except BaseException as error:
                errors.append(error)
            finally:
                ended.set()

        ended = threading.Event()
        thread = threading.Thread(target=target, name="prism-calls")
        thread.start()
        interrupt: BaseException | None = None
        while not ended.is_set():
            try:
                ended.wait()  # an interrupted join() takes the thread for ended
            except KeyboardInterrupt as error:
                interrupt = error
                self.interrupt()
        if interrupt is not None:
            raise interrupt
        if errors:
            raise errors[0]
        return result[0]
