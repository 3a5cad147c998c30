"""Several steps at once: those that compute by others, the rest in this process, as they get ready.

The main thread does what is done in this process, so that calls of models are interrupted as ever; another one hands
steps out and hears what became of them. What both look at is a `_Board`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from alignment_prism.domain import StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.studies.executors.crew import Crew, Told
from alignment_prism.studies.executors.failures import Failures, ends_all
from alignment_prism.studies.executors.spread import do_over_gpus
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import Context, Step

HEARTBEAT = 0.5
"""Seconds after which the main thread looks up: a signal that the system has delivered to another thread is heeded by
the main one alone, and does not wake it."""


def run_at_once(
    steps: Sequence[Step],
    waiting: set[str],
    gaps: set[str],
    aside: set[str],
    context: Context,
    reporter: Reporter,
    crew: Crew,
) -> None:
    """Do steps, as many at once as may be.

    When one fails, what does not need it is done all the same. Where its error ends the study (`executors.failures`),
    no other is begun; trainings that are under way stop at a checkpoint, and other steps are finished, since they
    would have to be done again from their start.

    Args:
        steps: all of the study.
        waiting: keys of those that are to be done.
        gaps: keys of those whose gaps are to be filled.
        aside: keys of those that the crew does.
        context: what they share.
        reporter: told of each step.
        crew: who does them.

    Raises:
        PrismError: that ends the study; or of a step that failed, `StepsError` of several.
        KeyboardInterrupt: Ctrl-C or SIGTERM; a second one ends the processes at once.
    """
    board = _Board(steps, waiting, gaps, aside, context, reporter)
    server = threading.Thread(target=board.serve, args=(crew,), name="prism-crew")
    with board.listening():
        server.start()
        try:
            while (step := board.next_here()) is not None:
                board.do_here(step)
        except BaseException as error:  # nothing above may leave the other thread waiting
            board.fail(error)
        while server.is_alive():
            server.join(HEARTBEAT)
    board.close()
    with board.failures.told(reporter):
        if board.failure is not None:
            raise board.failure
        if board.signals or board.stopped:
            raise KeyboardInterrupt("; ".join(["stopped", *board.stopped]))


class _Board:
    """Which steps are to be done, under way and done."""

    def __init__(
        self,
        steps: Sequence[Step],
        waiting: set[str],
        gaps: set[str],
        aside: set[str],
        context: Context,
        reporter: Reporter,
    ) -> None:
        self.steps, self.waiting, self.gaps, self.aside = steps, waiting, gaps, aside
        self.context, self.reporter = context, reporter
        self.pending = {step.key: step for step in steps if step.key in waiting | gaps}
        self.unfinished = set(self.pending)
        self.failures = Failures(steps, set(self.pending))
        self.failure: BaseException | None = None
        """What ends the study."""
        self.stopped: list[str] = []
        self.signals = 0
        self._told = 0
        self._number = {step.key: number for number, step in enumerate(steps, start=1)}
        self._after = _longest_ways(steps)
        self._shown: dict[str, tuple[AbstractContextManager[Progress], Progress]] = {}
        self._changed = threading.Condition()
        self._bell, self._ring = os.pipe()
        for end in (self._bell, self._ring):
            os.set_blocking(end, False)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as wishes to stop, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._interrupt)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: Any) -> None:
        self.signals += 1
        self._wake()

    def close(self) -> None:
        """Let go of the pipe that wakes the other thread, and of what the reporter still shows."""
        for shown, _ in self._shown.values():
            with suppress(BaseException):
                shown.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        os.close(self._bell)
        os.close(self._ring)

    def next_here(self) -> Step | None:
        """The next step for this process, when it is ready; None when there is none to wait for."""
        with self._changed:
            while not self._ends() and any(key not in self.aside for key in self.pending):
                ready = self._ready(here=True)
                if ready is None:
                    self._changed.wait(HEARTBEAT)
                elif self._begin(ready):
                    return ready
        return None

    def do_here(self, step: Step) -> None:
        """Do a step in this process, and write down how it went."""
        try:
            do_over_gpus(step, self.context, self._shown[step.key][1], earlier=step.key in self.gaps)
        except KeyboardInterrupt as stopped:
            self.signals = max(self.signals, 1)
            self._over(step, stopped, str(stopped))
        except Exception as error:
            self._over(step, error)
        else:
            self._over(step)

    def serve(self, crew: Crew) -> None:
        """Hand steps out as they get ready, and hear what becomes of them, until there is nothing more to hand out."""
        try:
            while True:
                with self._changed:
                    while not self._ends() and (step := self._ready(here=False, fits=crew.has_room)) is not None:
                        if self._begin(step):
                            crew.hand_out(step, earlier=step.key in self.gaps)
                    self._pass_on(crew)
                    if self._ends():
                        self._changed.notify_all()  # a signal wakes this thread alone
                    if not crew.at_work and (self._ends() or not any(key in self.aside for key in self.pending)):
                        break
                for told in crew.wait(self._bell):
                    self._hear(told)
                with suppress(BlockingIOError):
                    os.read(self._bell, 1024)
        except BaseException as error:
            self.fail(error)
            crew.kill()
        finally:
            crew.close()

    def fail(self, error: BaseException) -> None:
        """Something is wrong that no step has met."""
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()
        self._wake()

    def _ends(self) -> bool:
        return self.failure is not None or self.signals > 0 or bool(self.stopped)

    def _ready(self, *, here: bool, fits: Callable[[Step], bool] = lambda step: True) -> Step | None:
        """Of the steps that fit and have their inputs the one that most work follows after; the first of several."""
        ready = [
            step
            for step in self.pending.values()
            if (step.key not in self.aside) is here
            and not any(needed.key in self.unfinished for needed in step.needs.values())
            and fits(step)
        ]
        return max(ready, key=lambda step: self._after[step.key], default=None)

    def _begin(self, step: Step) -> bool:
        """Take a step up; False where there is no room to be made for its artifact, which is how it ends then."""
        del self.pending[step.key]
        shown = self.reporter.step(self._number[step.key], len(self.steps), step.title)
        self._shown[step.key] = (shown, shown.__enter__())
        try:
            if step.key in self.waiting and (note := step.clear(self.context.out)):
                self.reporter.note(note)
        except Exception as error:
            self._over(step, error)
            return False
        return True

    def _hear(self, told: Told) -> None:
        if told.what == "progress":
            done, total, words = told.rest
            self._shown[told.step.key][1](done, total, words)
        elif told.what in ("answer", "kept"):
            self._keep(*told.rest)
        elif told.what == "done":
            self._over(told.step)
        elif told.what == "stopped" or self.signals > 1:
            self._over(told.step, KeyboardInterrupt(), told.rest[0] if told.what == "stopped" else "ended at once")
        else:
            self._over(told.step, *told.rest)

    def _keep(self, key: str, *value: Any) -> None:
        """Write down what a worker's model has replied, or was found in the cache; the others come to a checkpoint if
        that cannot be done."""
        try:
            if self.context.journal is not None and value:
                self.context.journal.put(key, *value)
            elif self.context.journal is not None:
                self.context.journal.get(key)  # which takes it over
        except StoreError as error:
            self.fail(error)

    def _over(self, step: Step, error: BaseException | None = None, words: str = "") -> None:
        """A step has come to its end, one way or another."""
        shown, _ = self._shown.pop(step.key)
        with self._changed:
            if error is None:
                self.unfinished.discard(step.key)
                self.context.finished(step)
            elif isinstance(error, KeyboardInterrupt):
                self.stopped.append(f"{step.title}: {words}" if words else step.title)
            elif isinstance(error, Exception) and not ends_all(error, self.context.out):
                self.failures.add(step, error)
                for key in self.failures.out_of_reach:
                    self.pending.pop(key, None)
            else:
                self.failure = self.failure or error
            self._changed.notify_all()
        with suppress(BaseException):  # the reporter's context gives back what it is given
            shown.__exit__(None if error is None else type(error), error, None)
        self._wake()

    def _pass_on(self, crew: Crew) -> None:
        """Tell the workers of a wish to stop, or of a failure, once; a second wish ends them."""
        if self.signals > 1 and self._told < 3:
            self._told = 3
            crew.kill()
        elif (self.signals or self.stopped) and self._told < 2:
            self._told = 2
            crew.stop()
        elif self.failure is not None and self._told < 1:
            self._told = 1
            self.reporter.note("the study cannot go on; what is under way comes to its end first, or to a checkpoint")
            crew.stop(resumable_only=True)

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._ring, b".")


def _longest_ways(steps: Sequence[Step]) -> dict[str, int]:
    """Key -> how much work follows after a step and with it, at the least: trainings count for most of a study."""
    after: dict[str, int] = {}
    for step in reversed(steps):
        own = {"train": 5, "reply": 2}.get(step.kind, 1)
        after[step.key] = after.get(step.key, 0) + own
        for needed in step.needs.values():
            after[needed.key] = max(after.get(needed.key, 0), after[step.key])
    return after
