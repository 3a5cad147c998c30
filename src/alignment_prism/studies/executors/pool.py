"""Processes that do steps at once, each on one core: who has what, and what became of it."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import ModelError, PrismError, TrainingError
from alignment_prism.studies.executors.crew import Told
from alignment_prism.studies.executors.worker import work
from alignment_prism.studies.steps import Context, Step

PRELOADED = (
    "alignment_prism.training.run",
    "alignment_prism.training.backends.transformers",
    "alignment_prism.generation.backends.transformers",
)
"""What one process imports for all workers: torch, transformers and what trains and replies with them."""


@dataclass(slots=True, eq=False)
class Worker:
    """A process, our end of its pipe, and the step that it does."""

    process: BaseProcess
    pipe: Connection
    step: Step | None = None


@dataclass(slots=True)
class Pool:
    """Up to `size` processes, started as they are needed and kept for the next step.

    Where the system can fork they are forked from a process that has imported everything and computed nothing, so that
    imports are paid once and in memory once.
    """

    size: int
    context: Context
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        prepare_workers()

    @property
    def at_work(self) -> bool:
        """Whether a step is under way."""
        return any(worker.step is not None for worker in self.workers)

    def has_room(self) -> bool:
        """Whether another step can be handed out."""
        return sum(worker.step is not None for worker in self.workers) < self.size

    def hand_out(self, step: Step, *, earlier: bool) -> None:
        """Have a step done; there is room."""
        idle = next((worker for worker in self.workers if worker.step is None), None) or self._started()
        idle.step = step
        with suppress(OSError):  # it died while it was idle, and that is found out when it is waited for
            idle.pipe.send(("do", step, earlier))

    def wait(self, bell: int) -> list[Told]:
        """Wait until a worker says something, dies, or the file descriptor `bell` can be read; what was said."""
        told: list[Told] = []
        ready = wait([*(worker.pipe for worker in self.workers), bell])
        for worker in [worker for worker in self.workers if worker.pipe in ready]:
            step = worker.step
            try:
                what, *rest = worker.pipe.recv()
            except (EOFError, OSError):
                self.workers.remove(worker)
                worker.process.join()
                if step is not None:
                    told.append(Told(step, "failed", (death(step, worker.process.exitcode),)))
                continue
            if what not in ("progress", "answer", "kept"):
                worker.step = None
            if step is not None:
                told.append(Told(step, what, tuple(rest)))
        return told

    def stop(self, *, resumable_only: bool = False) -> None:
        """Ask the workers to stop, a training at its next step; those whose step leaves nothing behind when it is
        stopped may be spared."""
        from alignment_prism.studies.steps import KINDS

        for worker in self.workers:
            if worker.step is not None and (KINDS[worker.step.kind].makes_folder or not resumable_only):
                with suppress(OSError):
                    worker.pipe.send(("stop",))

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self.workers:
            worker.process.kill()

    def close(self) -> None:
        """Let go of the workers: those that are idle end, others stop what they do."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join()
        self.workers.clear()

    def _started(self) -> Worker:
        ours, theirs = worker_context().Pipe()
        cache = self.context.journal.cache if isinstance(self.context.journal, CallJournal) else None
        arguments = (theirs, self.context.out, self.context.known, None if cache is None else cache.path)
        process = worker_context().Process(target=work, args=arguments, daemon=True, name="prism-worker")
        process.start()
        theirs.close()
        worker = Worker(process, ours)
        self.workers.append(worker)
        return worker


def prepare_workers() -> None:
    """Begin to import what workers need, in a process of its own; returns at once."""
    if multiprocessing.get_all_start_methods().count("forkserver"):
        from multiprocessing import forkserver

        context = worker_context()
        context.set_forkserver_preload(list(PRELOADED))
        forkserver.ensure_running()


def worker_context() -> Any:
    """Workers must not be forked from this process, which has threads and may have used a GPU."""
    known = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")


def death(step: Step, code: int | None) -> PrismError:
    """The error of a process that ended in the middle of a step."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        how = f"was killed by {name}" + (", perhaps because memory ran out" if name == "SIGKILL" else "")
    else:
        how = f"ended with exit code {code}"
    kind = TrainingError if step.kind == "train" else ModelError
    return kind(
        f"the process that did this step {how}",
        where=step.title,
        fix="run the same command again: finished steps are kept, and a training goes on from its last checkpoint; "
        "with fewer steps at once it takes less memory",
        settings={"jobs": "1"},
    )
