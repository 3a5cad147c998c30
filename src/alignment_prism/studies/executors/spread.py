"""A training that is spread over the GPUs of one machine: a process a GPU, which shard the model by FSDP2.

The processes are the pool's, with the variables that `accelerate launch` would give them; each is handed the same step,
and the training itself knows of the others. One of them is as good as all: what stops one stops all at the same
checkpoint, and where one fails or is killed the others are ended.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from alignment_prism.domain import ModelError, PrismError
from alignment_prism.domain.progress import Progress
from alignment_prism.io.yaml import YamlDocument
from alignment_prism.models.threads import SMALL
from alignment_prism.studies.executors.pool import Worker, death, prepare_workers, worker_context
from alignment_prism.studies.executors.work import do_step, is_spread
from alignment_prism.studies.executors.worker import work
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import Context, Step
from alignment_prism.studies.steps.train import TRAIN


def check_gpus(todo: Sequence[Step], gpus: int, find: Callable[[], int], reporter: Reporter) -> None:
    """Check before any step that trainings can be spread as is wished, and say so where there is nothing to spread.

    Args:
        todo: steps that are to be done.
        gpus: that each training of a larger model is to be spread over.
        find: how many GPUs this machine has, or the node of a cluster that has most.
        reporter: told where no training is spread.

    Raises:
        ModelError: a training is, and there are fewer.
    """
    trainings = [step for step in todo if step.kind == TRAIN.name]
    if trainings and not any(map(is_spread, trainings)):
        small = f"a model with weights up to {SMALL // 10**6} MB is trained by one process"
        reporter.note(f"no training is spread over {gpus} GPUs: {small}")
    elif trainings and (there := find()) < gpus:
        fix = "give as many as one machine has" if there else "leave it out: larger models are trained by all cores"
        what = f"trainings are to be spread over {gpus} GPUs of one machine, and there are {there}"
        raise ModelError(what, fix=fix, settings={"gpus": str(max(there, 1))})


def do_over_gpus(step: Step, context: Context, progress: Progress, *, earlier: bool) -> None:
    """Do one step, a training of a larger model by several processes where the study spreads those; as `do_step`."""
    if context.gpus > 1 and is_spread(step):
        do_spread(step, context, progress)
    else:
        do_step(step, context, progress, earlier=earlier)


def do_spread(step: Step, context: Context, progress: Progress) -> None:
    """Do a training by `context.gpus` processes of this machine, and leave its artifact.

    Args:
        step: a training.
        context: of the study.
        progress: told how far it is.

    Raises:
        PrismError: of the training, or because a process was killed.
        KeyboardInterrupt: it was stopped, at a checkpoint.
    """
    with socket.socket() as probe:  # FSDP's processes find one another by it
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prepare_workers()
    ranks = [_started(rank, context, _variables(rank, context.gpus, port)) for rank in range(context.gpus)]
    try:
        with _stopping(ranks):
            for rank in ranks:
                with suppress(OSError):  # it died as it started, and that is found out when it is waited for
                    rank.pipe.send(("do", step, False))
            _wait(step, ranks, progress)
    finally:
        for rank in ranks:
            rank.process.kill()
            rank.process.join()
            rank.pipe.close()


def _started(rank: int, context: Context, variables: Mapping[str, str]) -> Worker:
    """A process that has used no GPU: which there are, and all variables, are looked at when it begins to train."""
    ours, theirs = worker_context().Pipe()
    arguments = (theirs, context.out, context.known, {**os.environ, **variables})
    process = worker_context().Process(target=_work, args=arguments, daemon=True, name=f"prism-rank-{rank}")
    process.start()
    theirs.close()
    return Worker(process, ours)


def _work(pipe: Connection, out: Path, known: tuple[Path, ...], variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    work(pipe, out, known, None)


def _variables(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What `accelerate launch` would give a process with the FSDP2 settings that ship."""
    file = resources.files("alignment_prism.training") / "configs" / "fsdp2.yaml"
    document = YamlDocument(file.read_text(encoding="utf-8"), "fsdp2.yaml")
    settings: dict[str, Any] = document.mapping(fix="install the package again")["fsdp_config"]
    sharding = {
        name.upper(): str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()
    }
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_FSDP": "true",
        **sharding,
    }


@contextmanager
def _stopping(ranks: Sequence[Worker]) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on, where this is the main thread; a second one ends the processes at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def interrupt(number: int, frame: Any) -> None:
        nonlocal count
        count += 1
        for rank in ranks:
            if count > 1:
                rank.process.kill()
            else:
                with suppress(OSError):
                    rank.pipe.send(("stop",))

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except PrismError:
        if count > 1:  # it is that of a process which was killed
            raise KeyboardInterrupt("ended at once") from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(step: Step, ranks: Sequence[Worker], progress: Progress) -> None:
    """Until all processes have done the step."""
    stopped: str | None = None
    under_way = {rank.pipe: rank for rank in ranks}
    while under_way:
        for pipe in wait(list(under_way)):
            assert isinstance(pipe, Connection)
            try:
                what, *rest = pipe.recv()
            except (EOFError, OSError):
                process = under_way[pipe].process
                process.join()
                raise death(step, process.exitcode) from None
            if what == "progress":
                if pipe is ranks[0].pipe:
                    progress(*rest)
                continue
            if what == "failed":
                raise rest[0]
            if what == "stopped":
                stopped = rest[0]
            del under_way[pipe]
    if stopped is not None:
        raise KeyboardInterrupt(stopped)
