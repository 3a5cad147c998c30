"""A process of the pool: does the steps that it is handed, one after the other, until nobody is there to hand it any.

What it is told and what it tells are tuples over one pipe: `("do", step, earlier)` and `("stop",)` in, `("progress",
done, total, words)`, `("answer", key, value)` for the journal, `("kept", key)` for it to take over from the cache,
`("done",)`, `("stopped", what)` and `("failed", error)` out.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from alignment_prism.calls.budget import Budget
from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain.errors import PrismError
from alignment_prism.store import shared_fault, storage_fault
from alignment_prism.store.names import CALLS
from alignment_prism.studies.executors.work import do_step
from alignment_prism.studies.steps import Context, Step

BETWEEN_TICKS = 0.1
"""Seconds for which a progress is followed by no other."""


def work(pipe: Connection, out: Path, known: tuple[Path, ...], cache: Path | None, gpu: str = "") -> None:
    """Main of a worker; `cache` is the file of answers that runs share, `gpu` the one that it sees, if any.

    It is in a session of its own, so that Ctrl-C in a terminal reaches the study alone, which then tells its workers.
    When the study's process ends, however it does, the pipe does too: a step under way is stopped as by Ctrl-C, so that
    a training leaves its checkpoint, and the worker ends.
    """
    if hasattr(os, "setsid"):
        os.setsid()
    if gpu:  # read when CUDA is first used, which no process has done that this one is forked from
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    stop = _Stop()
    context = Context(out, _Journal(pipe, out / CALLS, cache), known)
    tasks: queue.SimpleQueue[tuple[Step, bool] | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(pipe, tasks, stop, busy), daemon=True, name="prism-tasks").start()
    try:
        while (task := tasks.get()) is not None:
            _tell(pipe, _done(task, context, pipe, busy))
    except KeyboardInterrupt:  # just before or just after a step
        _tell(pipe, ("stopped", ""))


class _Journal:
    """The study's journal as a worker has it: it reads in it and its cache, and what it adds is written by the study's
    process.

    A worker pays for nothing, for it calls no model behind an API.
    """

    def __init__(self, pipe: Connection, path: Path, cache: Path | None = None) -> None:
        self.budget: Budget | None = None
        self._pipe = pipe
        self._paths = [path] if cache is None else [path, cache]
        self._before: list[CallJournal] = []
        self._taken: set[str] = set()

    def get(self, key: str) -> Any:
        """What earlier runs have put under a key, here or in the cache, or None."""
        if not self._before:  # no step takes what another one of this run has put
            self._before = [CallJournal(path) for path in self._paths]
        own, *shared = self._before
        value = own.get(key)
        if value is None and shared and (value := shared[0].get(key)) is not None and key not in self._taken:
            self._taken.add(key)
            _tell(self._pipe, ("kept", key))
        return value

    def put(self, key: str, value: Any, *, model: str = "", shared: bool = True) -> None:
        """Have a value written down."""
        _tell(self._pipe, ("answer", key, value))


class _Stop:
    """Turns a wish to stop into one KeyboardInterrupt, or one request to a training that listens for signals itself.

    A second signal of the same stop would end a training that is about to write its checkpoint. Schedulers send SIGTERM
    to every process, and the study tells its workers besides: what comes second is passed over.
    """

    def __init__(self) -> None:
        self._seen, write = socket.socketpair()
        self._seen.setblocking(False)
        write.setblocking(False)
        self._write = write
        self._count = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)  # knows of signals that others handle too

    def ask(self) -> None:
        """Interrupt the main thread, unless a signal has done so."""
        if self._signals() == 0:
            os.kill(os.getpid(), signal.SIGINT)

    def _interrupt(self, number: int, frame: Any) -> None:
        if self._signals() <= 1:
            raise KeyboardInterrupt

    def _signals(self) -> int:
        try:
            stops = (signal.SIGINT, signal.SIGTERM)
            self._count += sum(number in stops for number in self._seen.recv(1024))
        except BlockingIOError:
            pass
        return self._count


def _listen(
    pipe: Connection, tasks: queue.SimpleQueue[tuple[Step, bool] | None], stop: _Stop, busy: threading.Event
) -> None:
    while True:
        try:
            told = pipe.recv()
        except (EOFError, OSError):
            break
        if told[0] == "do":
            busy.set()
            tasks.put((told[1], told[2]))
        elif busy.is_set():
            stop.ask()
    tasks.put(None)
    if busy.is_set():
        stop.ask()


def _done(task: tuple[Step, bool], context: Context, pipe: Connection, busy: threading.Event) -> tuple[Any, ...]:
    """Do a step; how it went."""
    step, earlier = task
    last = 0.0

    def progress(done: int, total: int, words: str = "", /) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= BETWEEN_TICKS or done == total:
            last = now
            _tell(pipe, ("progress", done, total, words))

    try:
        try:
            do_step(step, context, progress, earlier=earlier)
        finally:
            busy.clear()
    except KeyboardInterrupt as stopped:
        return "stopped", str(stopped)
    except Exception as error:
        return "failed", portable(error)
    return ("done",)


def portable(error: Exception) -> Exception:
    """The error as another process can read it, with its traceback as a note unless it is one for users.

    What it was raised from is lost on the way, so that a full disk is told from other errors here.
    """
    found = shared_fault(error) or storage_fault(error) or error
    try:
        pickle.loads(pickle.dumps(found))
    except Exception:
        found = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, PrismError):
        found.add_note(f"in another process:\n{traceback.format_exc()}")
    return found


def _tell(pipe: Connection, message: tuple[Any, ...]) -> None:
    with suppress(OSError):  # the study's process has ended, and this one is about to
        pipe.send(message)
