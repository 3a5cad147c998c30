"""Steps on a cluster of Ray: what computes with a model is a task of some node, the rest is done in this process.

Every node has the same packages, and sees the study's folder under the same path or reaches the study's store; nothing
but the step is sent. What a node leaves is the artifact that this machine would have left, so that findings are the
same.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from alignment_prism import __version__
from alignment_prism.domain import ModelError, PrismError, SharedStoreError, StoreError, TrainingError
from alignment_prism.io import write_text
from alignment_prism.store.names import CLUSTER
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.executors.apart import do_apart, needed_by
from alignment_prism.studies.executors.crew import Told
from alignment_prism.studies.executors.local import run_steps, skip_done, unfinished
from alignment_prism.studies.executors.spread import check_gpus, do_over_gpus
from alignment_prism.studies.executors.work import fits_one_core, is_spread
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import KINDS, Context, Step

ATTEMPTS = 4
"""How often a step is begun whose process or node is lost, until that is taken for the step's fault."""

LOOK_UP = 0.2
"""Seconds after which one looks whether somebody wishes to stop."""

CONNECT = 10.0
"""Seconds in which the head of a cluster must answer."""


def run_steps_on_ray(
    steps: Sequence[Step],
    context: Context,
    reporter: Reporter,
    *,
    fill_gaps: bool = False,
    address: str = "",
    store: RemoteStore | None = None,
) -> None:
    """Do the steps that are not done, as `executors.local.run_steps`, with trainings and replies on a cluster.

    A step with a small model asks for one core. One with a larger model asks for a GPU, a training for as many of one
    node as it is spread over (`context.gpus`), or for all cores of a node where the cluster has no GPU. A step whose
    node or process is lost is begun again on another, a training at its last checkpoint.

    Args:
        steps: each after those that it needs.
        context: what they share.
        reporter: told of each step; what is done elsewhere tells its beginning and its end.
        fill_gaps: as in `run_steps`.
        address: of a running cluster, `HOST:PORT` or `auto`; empty for one on this machine that ends with the study.
        store: of finished steps, by which nodes that do not see the study's folder have their inputs and leave what
            they make; None for none.

    Raises:
        ModelError: Ray is not installed, there is no such cluster, or no node of it has as many GPUs as a training is
            spread over; or as `run_steps`.
        SharedStoreError: a node sees neither the study's folder nor a store, or has another version.
        PrismError: of a step that failed, or `StepsError` of several.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was under way can be gone on with.
    """
    from alignment_prism.studies.executors.at_once import run_at_once

    waiting, gaps = unfinished(steps, context, fill_gaps=fill_gaps)
    todo = [step for step in steps if step.key in waiting | gaps]
    aside = {step.key for step in todo if KINDS[step.kind].computes_with(step) is not None}
    if not aside:  # nothing that is left needs a cluster
        run_steps(steps, context, reporter, fill_gaps=fill_gaps)
        return
    before = signal.getsignal(signal.SIGTERM)  # Ray puts a handler of its own there
    ray = _connected(address)
    try:
        skip_done(steps, waiting | gaps, reporter)
        crew = RayCrew(ray, context, reporter, store)
        if context.gpus > 1:
            check_gpus(todo, context.gpus, lambda: crew.gpus, reporter)
        run_at_once(steps, waiting, gaps, aside, context, reporter, crew)
    finally:
        ray.shutdown()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@dataclass(slots=True)
class _Task:
    """A step under way.

    Attributes:
        step: that is done.
        earlier: as `do_step` has it.
        attempt: how often it was begun.
    """

    step: Step
    earlier: bool
    attempt: int = 1


class RayCrew:
    """The nodes of a cluster that this process is connected to.

    Attributes:
        gpus: of the node that has most.
    """

    def __init__(self, ray: Any, context: Context, reporter: Reporter, store: RemoteStore | None = None) -> None:
        self._ray, self._context, self._reporter, self._store = ray, context, reporter, store
        self._tasks: dict[Any, _Task] = {}
        self._ends = False
        there = ray.cluster_resources()
        self._size = max(int(there.get("CPU", 1)), 1)
        self._whole, self.gpus = (
            max((int(node["Resources"].get(what, 0)) for node in ray.nodes() if node["Alive"]), default=0)
            for what in ("CPU", "GPU")
        )
        self._whole = max(self._whole, 1)
        self._remote = ray.remote(max_retries=0)(do_on_node)
        self._mark = token_hex(16)
        write_text(context.out / CLUSTER, self._mark)

    @property
    def at_work(self) -> bool:
        """Whether a step is under way."""
        return bool(self._tasks)

    def has_room(self, step: Step) -> bool:
        """Whether the cluster has a core for another step; which node is Ray's to find."""
        return len(self._tasks) < self._size

    def hand_out(self, step: Step, *, earlier: bool) -> None:
        """Have a step done."""
        self._begin(_Task(step, earlier))

    def wait(self, bell: int) -> list[Told]:
        """Wait until a step is over, or the file descriptor `bell` can be read; what became of which."""
        while True:
            under_way = list(self._tasks)
            over = self._ray.wait(under_way, num_returns=len(under_way), timeout=0)[0] if under_way else []
            told = [what for one in over if (what := self._outcome(one, self._tasks.pop(one))) is not None]
            rung = select.select([bell], [], [], 0 if told else LOOK_UP)[0]
            if told or rung or not self._tasks:
                return told

    def stop(self, *, resumable_only: bool = False) -> None:
        """Interrupt what is under way, as Ctrl-C would; nothing is begun again after that."""
        self._ends = True
        for reference, task in self._tasks.items():
            if KINDS[task.step.kind].makes_folder or not resumable_only:
                self._ray.cancel(reference, force=False)

    def kill(self) -> None:
        """End the processes that steps are done in."""
        self._ends = True
        for reference in self._tasks:
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave nothing under way behind."""
        self.kill()
        self._tasks.clear()
        (self._context.out / CLUSTER).unlink(missing_ok=True)

    def _begin(self, task: _Task) -> None:
        small = fits_one_core(task.step)
        gpus = 0 if small or not self.gpus else self._context.gpus if is_spread(task.step) else 1
        cores = 1 if small or gpus else self._whole
        # one task is on one node: its GPUs are reserved together, and given back together
        remote = self._remote.options(num_cpus=cores, num_gpus=gpus, name=task.step.title)
        out, known = str(self._context.out), list(map(str, self._context.known))
        url = "" if self._store is None else self._store.url
        needed = needed_by(task.step, self._context.out, earlier=task.earlier) if url else {}
        shared = (os.getcwd(), out, self._mark, url, needed, known)
        self._tasks[remote.remote(task.step, *shared, task.earlier, __version__, gpus)] = task

    def _outcome(self, reference: Any, task: _Task) -> Told | None:
        """What became of a step; None where it is begun again."""
        errors = self._ray.exceptions
        try:
            what, *rest = self._ray.get(reference)
            return self._by_store(task, *rest) if what in ("sent", "lacks") else Told(task.step, what, tuple(rest))
        except errors.TaskCancelledError:
            return Told(task.step, "stopped", ("",))
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as lost:
            if self._ends:
                return Told(task.step, "stopped", ("ended at once",))
            if task.attempt < ATTEMPTS:
                self._reporter.note(f"{task.step.title}: its node or process was lost, and it is begun again")
                self._begin(_Task(task.step, task.earlier, task.attempt + 1))
                return None
            return Told(task.step, "failed", (_lost(task.step, lost),))
        except Exception as error:  # of Ray, or of what a node has not installed
            return Told(task.step, "failed", (_unusable(task.step, error),))

    def _by_store(self, task: _Task, lacking: Sequence[Step] = ()) -> Told | None:
        """Send what a node lacks, and begin its step again; or fetch what it made."""
        assert self._store is not None  # or no node would say so
        step, out = task.step, self._context.out
        try:
            if not lacking:
                step.clear(out)
                self._store.fetch(step.key, step.folder(out), step.artifact_kind)
                return Told(step, "done")
            if task.attempt == ATTEMPTS:
                what = f"a node does not find in the store what was sent there: {lacking[0].title}"
                raise StoreError(what, where=self._store.url, fix="see whether something removes it there")
            for needed in lacking:
                self._store.send(needed.key, needed.folder(out))
        except PrismError as error:
            return Told(step, "failed", (error,))
        if self._ends:
            return Told(step, "stopped", ("",))
        self._begin(_Task(step, task.earlier, task.attempt + 1))
        return None


def do_on_node(
    step: Step,
    place: str,
    out: str,
    mark: str,
    url: str,
    needed: Mapping[str, str],
    known: Sequence[str],
    earlier: bool,
    version: str,
    gpus: int,
) -> tuple[Any, ...]:
    """Do a step on this node, as a task; how it went, as `crew.Told` has it.

    Args:
        step: to do.
        place: working folder of the study's process, which paths are relative to; another where it is not here.
        out: the study's folder, named as there, since names of models are written into replies.
        mark: that this run has set in that folder: a node may have one by its name, of a study of its own.
        url: of the study's store, for a node that does not see that folder; empty for none.
        needed: what such a node is to have of the study, as `apart.needed_by` has it.
        known: files of earlier scores.
        earlier: as `do_step` has it.
        version: that the study runs with.
        gpus: that this task has.
    """
    from alignment_prism.studies.executors.worker import portable

    try:
        # A node that `nohup` or a service started ignores this signal, which is what Ray interrupts by.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(OSError):
            os.chdir(place)
        if version != __version__:
            what = f"a node has alignment-prism {__version__}, and the study runs with {version}"
            raise SharedStoreError(what, where=socket.gethostname(), fix="install the same version on every node")
        context = Context(Path(out), None, tuple(map(Path, known)), max(gpus, 1))
        if not _is_marked(Path(out), mark):
            if url:
                return do_apart(step, context, RemoteStore(url), needed, earlier=earlier)
            what = "a node does not see the study's folder"
            fix = "give a folder that all nodes share, by a path that is the same on each, or a store that all reach"
            where, settings = f"{out} on {socket.gethostname()}", {"out": "FOLDER", "store": "URL"}
            raise SharedStoreError(what, where=where, fix=fix, settings=settings)
        do_over_gpus(step, context, lambda done, total, words="", /: None, earlier=earlier)
    except KeyboardInterrupt as stopped:
        return "stopped", str(stopped)
    except Exception as error:
        return "failed", portable(error)
    return ("done",)


def _is_marked(out: Path, mark: str) -> bool:
    try:
        return (out / CLUSTER).read_text(encoding="utf-8") == mark
    except OSError:
        return False


def _connected(address: str) -> Any:
    """Ray, connected to a cluster, or to one that is started here and listens on this machine alone.

    Raises:
        ModelError: it is not installed, or there is no such cluster.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when a cluster is started; nothing is reported of one of ours
    try:
        import ray
    except ImportError as error:
        fix = "install it: pip install 'alignment-prism[ray]'"
        raise ModelError("the executor ray needs Ray, which is not installed", fix=fix) from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    try:
        if address:
            _check_answers(address)
            ray.init(address=address, **quiet)
        else:
            # by this address Ray listens on the loopback alone
            ray.init(address="local", _node_ip_address="127.0.0.1", include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        what = f"no cluster of Ray could be used: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        fix = "start one as docs/cluster.md says, and name it, or say `auto` on one of its nodes"
        if isinstance(error, ray.exceptions.AuthenticationError):
            fix = "set RAY_AUTH_MODE=token here, with the token of the cluster's head in ~/.ray/auth_token"
        raise ModelError(what, where=address or "this machine", fix=fix, settings={"address": "HOST:PORT"}) from error
    return ray


def _check_answers(address: str) -> None:
    """Find out quickly that nobody is there: Ray takes minutes for it."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "://" in address:
        raise ValueError(f"{address!r} is no HOST:PORT")
    with socket.create_connection((host.strip("[]"), int(port)), CONNECT):
        pass


def _lost(step: Step, error: Exception) -> PrismError:
    kind = TrainingError if step.kind == "train" else ModelError
    return kind(
        f"the process that did this step was lost {ATTEMPTS} times: {type(error).__name__}",
        where=step.title,
        fix="see whether its node has enough memory, and run the same command again: finished steps are kept",
    )


def _unusable(step: Step, error: Exception) -> PrismError:
    cause = getattr(error, "cause", None) or error
    fix = "install the same packages on every node, and start Ray there in their environment"
    return ModelError(f"a node could not begin the step: {type(cause).__name__}: {cause}", where=step.title, fix=fix)
