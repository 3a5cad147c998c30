"""Processes that do steps at once, each on one core or one GPU: who has what, and what became of it."""

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
    """A process, our end of its pipe, the GPU that it sees (empty: it has a core), and the step that it does."""

    process: BaseProcess
    pipe: Connection
    gpu: str = ""
    step: Step | None = None


@dataclass(slots=True)
class Pool:
    """Up to `size` processes with a core each and one a GPU, started as they are needed and kept for the next step.

    Where the system can fork they are forked from a process that has imported everything and computed nothing, so that
    imports are paid once and in memory once.

    Attributes:
        size: processes with a core.
        context: of the study.
        gpus: as `CUDA_VISIBLE_DEVICES` names them.
        on_gpu: keys of the steps that each have one of them; the others have a core.
    """

    size: int
    context: Context
    gpus: tuple[str, ...] = ()
    on_gpu: frozenset[str] = frozenset()
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        prepare_workers()

    @property
    def at_work(self) -> bool:
        """Whether a step is under way."""
        return any(worker.step is not None for worker in self.workers)

    def has_room(self, step: Step) -> bool:
        """Whether a step can be handed out."""
        busy = [worker for worker in self.workers if worker.step is not None]
        if step.key in self.on_gpu:
            return len(self._free_gpus()) > 0
        return sum(not worker.gpu for worker in busy) < self.size

    def _free_gpus(self) -> list[str]:
        busy = {worker.gpu for worker in self.workers if worker.step is not None}
        return [gpu for gpu in self.gpus if gpu not in busy]

    def hand_out(self, step: Step, *, earlier: bool) -> None:
        """Have a step done; there is room."""
        gpu = self._free_gpus()[0] if step.key in self.on_gpu else ""
        idle = next((one for one in self.workers if one.step is None and one.gpu == gpu), None) or self._started(gpu)
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

    def _started(self, gpu: str) -> Worker:
        ours, theirs = worker_context().Pipe()
        cache = self.context.journal.cache if isinstance(self.context.journal, CallJournal) else None
        arguments = (theirs, self.context.out, self.context.known, None if cache is None else cache.path, gpu)
        process = worker_context().Process(target=work, args=arguments, daemon=True, name="prism-worker")
        process.start()
        theirs.close()
        worker = Worker(process, ours, gpu)
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
