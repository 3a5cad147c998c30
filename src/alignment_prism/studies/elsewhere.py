"""Finished steps of a study that a store has: fetched before anything is done, sent as they are done.

By it machines that share no disk share a study: shards on rented machines, or a new machine that goes on where one was
taken away. The folder of the study stays what everything is read from and written to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from alignment_prism.domain import PrismError, StoreError
from alignment_prism.store import read_manifest
from alignment_prism.store.remote import DamagedError, RemoteStore
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import Step

PATIENCE = 10.0
"""Seconds that who stops a study waits for the block that is being sent."""


@contextmanager
def shared_steps(
    store: RemoteStore | None, steps: Sequence[Step], out: Path, reporter: Reporter
) -> Iterator[tuple[Callable[[Step], None], Callable[[Step], None], frozenset[str]]]:
    """Fetch the steps that a store has and the study has not. Yield what is to be called when another is done, what is
    to be called before one that is done is made anew under its key, and keys of the steps whose files were held against
    their digests on the way.

    Steps are sent one after the other while others are done; those that were done by earlier runs and are not in the
    store, at the end, when nothing alters them any more. One that cannot be sent stops nothing: it is told at the end,
    and the same command sends it. Ctrl-C ends what is being sent at its next block, of which the store keeps nothing.

    Args:
        store: that machines share; None for none.
        steps: of the study, or of the part that this process does.
        out: the study's folder, which this process holds.
        reporter: told of each step that is fetched, and what is still to be sent at the end.

    Raises:
        StoreError: the store cannot be written; or, when all else is done, steps could not be sent.
    """
    if store is None:
        yield (lambda step: None), (lambda step: None), frozenset()
        return
    store.make()
    there = store.keys()
    whole = _fetch([step for step in steps if step.key in there], store, out, reporter)
    sender = _Sender(store, out, reporter)
    try:
        yield sender.send, lambda step: store.withdraw(step.key), frozenset(whole)
        for step in steps:
            if step.key not in there | sender.asked:
                sender.send(step)
        failed = sender.finish()
    except Exception:
        if failed := sender.finish():
            reporter.note(f"{_are(failed)} not in {store.url}: {failed[0]}")
        raise
    except BaseException:
        sender.stop()
        raise
    if failed:
        raise StoreError(
            f"{len(failed)} of {len(sender.asked)} finished steps could not be sent to the store: {failed[0]}",
            where=store.url,
            fix="run the same again: they are in the study's folder, and are sent then",
        )


class _Sender:
    """Sends finished steps, one after the other, in a thread that ends with the process."""

    def __init__(self, store: RemoteStore, out: Path, reporter: Reporter) -> None:
        self.asked: set[str] = set()
        """Keys of the steps that were to be sent."""
        self._store, self._out, self._reporter = store, out, reporter
        self._waiting: dict[str, str] = {}  # key -> title
        self._failed: list[str] = []
        self._steps: SimpleQueue[Step | None] = SimpleQueue()
        self._stop, self._ended = Event(), Event()  # an interrupted join() takes a thread for ended
        Thread(target=self._work, daemon=True, name="prism-store").start()

    def send(self, step: Step) -> None:
        """Have a step sent after those before it."""
        self.asked.add(step.key)
        self._waiting[step.key] = step.title
        self._steps.put(step)

    def finish(self) -> list[str]:
        """Wait until all are sent that can be; what could not be, and why."""
        self._steps.put(None)
        if self._waiting:
            self._reporter.note(f"{_are(self._waiting)} still to be sent to {self._store.url}")
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            self.stop()
            raise
        return self._failed

    def stop(self) -> None:
        """End what is under way, and say what was not sent; once."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._steps.put(None)
        self._ended.wait(PATIENCE)
        if left := [*self._failed, *self._waiting.values()]:
            self._reporter.note(
                f"{_are(left)} not in {self._store.url}, and sent by the same command: {'; '.join(left)}"
            )

    def _work(self) -> None:
        try:
            while (step := self._steps.get()) is not None:
                self._go_on()
                try:
                    self._store.send(step.key, step.folder(self._out), self._go_on)
                except Exception as error:
                    self._failed.append(f"{step.title}: {error.what if isinstance(error, PrismError) else error}")
                del self._waiting[step.key]
        except KeyboardInterrupt:
            pass
        finally:
            self._ended.set()

    def _go_on(self, done: int = 0, total: int = 0, words: str = "", /) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt


def _fetch(steps: Sequence[Step], store: RemoteStore, out: Path, reporter: Reporter) -> set[str]:
    """Those that are not done here; keys of the ones that are whole here then."""
    whole = {step.key for step in steps if step.is_done(out)}
    missing = [step for step in steps if step.key not in whole]
    for number, step in enumerate(missing, start=1):
        with reporter.step(number, len(missing), f"fetch: {step.title}") as progress:
            if note := step.clear(out):
                reporter.note(note)
            try:
                store.fetch(step.key, step.folder(out), step.artifact_kind, progress)
            except DamagedError as error:
                reporter.note(f"{step.title}: {error.what}; the step is done again")
                continue
            if step.kind != "train" and read_manifest(step.folder(out)).key != step.key:
                step.clear(out)
                reporter.note(f"{step.title}: the store has something else under its key; the step is done again")
                continue
            whole.add(step.key)
    return whole


def _are(steps: Collection[str]) -> str:
    return f"{len(steps)} finished steps are" if len(steps) > 1 else "1 finished step is"
