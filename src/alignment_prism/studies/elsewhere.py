"""Finished steps of a study that a store has: fetched before anything is done, sent as they are done.

By it machines that share no disk share a study: shards on rented machines, or a new machine that goes on where one was
taken away. The folder of the study stays what everything is read from and written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from alignment_prism.domain import PrismError, StoreError
from alignment_prism.store.remote import DamagedError, RemoteStore
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import Step
from alignment_prism.studies.steps.step import TRAINING


@contextmanager
def shared_steps(
    store: RemoteStore | None, steps: Sequence[Step], out: Path, reporter: Reporter
) -> Iterator[Callable[[Step], None]]:
    """Fetch the steps that a store has and the study has not, and yield what is to be called when another is done.

    Steps are sent one after the other while others are done; those that were done by earlier runs and are not in the
    store, at the end, when nothing alters them any more. One that cannot be sent stops nothing: it is told at the end,
    and the same command sends it.

    Args:
        store: that machines share; None for none.
        steps: of the study, or of the part that this process does.
        out: the study's folder, which this process holds.
        reporter: told of each step that is fetched, and what is still to be sent at the end.

    Raises:
        StoreError: the store cannot be written; or, when all else is done, steps could not be sent.
    """
    if store is None:
        yield lambda step: None
        return
    store.make()
    there = store.keys()
    _fetch([step for step in steps if step.key in there], store, out, reporter)
    sent: dict[str, Future[None]] = {}
    titles: dict[str, str] = {}
    pool = ThreadPoolExecutor(1, thread_name_prefix="prism-store")

    def send(step: Step) -> None:
        titles[step.key] = step.title
        sent[step.key] = pool.submit(store.send, step.key, step.folder(out))

    try:
        yield send
    except BaseException as error:
        _tell_waiting(sent, store, reporter)
        pool.shutdown(cancel_futures=not isinstance(error, Exception))
        if failed := _failed(sent, titles):
            reporter.note(f"{len(failed)} finished steps are not in {store.url}: {failed[0]}")
        raise
    for step in steps:
        if step.key not in there | sent.keys() and step.is_done(out):
            send(step)
    _tell_waiting(sent, store, reporter)
    try:
        pool.shutdown()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    if failed := _failed(sent, titles):
        raise StoreError(
            f"{len(failed)} of {len(sent)} finished steps could not be sent to the store: {failed[0]}",
            where=store.url,
            fix="run the same again: they are in the study's folder, and are sent then",
        )


def _tell_waiting(sent: dict[str, Future[None]], store: RemoteStore, reporter: Reporter) -> None:
    """Say what one waits for."""
    if waiting := sum(not future.done() for future in sent.values()):
        reporter.note(f"{waiting} finished steps are still to be sent to {store.url}")


def _fetch(steps: Sequence[Step], store: RemoteStore, out: Path, reporter: Reporter) -> None:
    """Those that are not done here."""
    missing = [step for step in steps if not step.is_done(out)]
    for number, step in enumerate(missing, start=1):
        with reporter.step(number, len(missing), f"fetch: {step.title}") as progress:
            if note := step.clear(out):
                reporter.note(note)
            try:
                store.fetch(step.key, step.folder(out), TRAINING if step.kind == "train" else step.kind, progress)
            except DamagedError as error:
                reporter.note(f"{step.title}: {error.what}; the step is done again")
                continue
            if not step.is_done(out):
                step.clear(out)
                reporter.note(f"{step.title}: the store has something else under its key; the step is done again")


def _failed(sent: dict[str, Future[None]], titles: dict[str, str]) -> list[str]:
    """What could not be sent, and why."""
    found = []
    for key, future in sent.items():
        if future.cancelled():
            found.append(f"{titles[key]}: stopped before it was sent")
        elif (error := future.exception()) is not None:
            found.append(f"{titles[key]}: {error.what if isinstance(error, PrismError) else error}")
    return found
