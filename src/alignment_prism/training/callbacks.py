"""Watching a training: its log, its progress, and a clean end on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from alignment_prism.domain.progress import Progress
from alignment_prism.training.devices import processes

COMPLETE = "complete"
"""Name of the file that marks a checkpoint whose writing was not cut off."""


class Log:
    """`log.jsonl` of a run: one JSON object a line, written at once.

    Args:
        path: the file.
        enabled: False in all processes but the first, which then write nothing.
    """

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self.path = path
        self.enabled = enabled

    def write(self, event: str, **fields: Any) -> None:
        """Append one line."""
        if self.enabled:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All lines so far; a torn last one is left out."""
        if not self.path.exists():
            return []
        lines = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines

    def cut_after(self, stage: str, step: int) -> None:
        """Remove what a stage logged after `step`: a resumed run does those steps again, and logs them again.

        How the stage was started and resumed stays, as long as there is a step that follows from it.
        """
        if not self.enabled or not self.path.exists():
            return
        kept = [
            line
            for line in self.read()
            if line.get("stage") != stage
            or (step > 0 and line["event"] in ("start", "step", "resume", "held_out") and line["step"] <= step)
        ]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept), encoding="utf-8")
        os.replace(temporary, self.path)


class StopRequest:
    """Whether the user has asked to stop; the step that is running is finished first."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as requests; a second one ends the process as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals only ever reach the main thread
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: Any) -> None:
            self.asked = True
            for one, handler in before.items():
                signal.signal(one, handler)

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Tells progress, marks complete checkpoints, turns a stop request into a checkpoint and an end.

    Args:
        title: what is trained, for the progress line.
        progress: or None.
        stop: the user's wish.
        accelerator: knows the other processes: all must stop at the same step.
    """

    def __init__(self, title: str, progress: Progress | None, stop: StopRequest, accelerator: Any) -> None:
        self.title = title
        self.progress = progress
        self.stop = stop
        self.accelerator = accelerator
        self.stopped = False
        self.last = ""
        self._began = 0.0
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._began, self._first_step = time.monotonic(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.progress is not None and self.accelerator.is_main_process:
            self.progress(state.global_step, state.max_steps, f"{self.title}{self._left(state)}")
        if self.all_agree_to_stop() and state.global_step < state.max_steps and not control.should_training_stop:
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.accelerator.wait_for_everyone()  # each process writes files of its own
        if self.accelerator.is_main_process:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    def _left(self, state: Any) -> str:
        done = state.global_step - self._first_step
        seconds = (time.monotonic() - self._began) / max(done, 1) * (state.max_steps - state.global_step)
        left = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        return f"{self.last}, {left} left"

    def all_agree_to_stop(self) -> bool:
        """Whether the user has asked any process to stop; to be called by all of them at once."""
        return asked_anywhere(self.stop)


def asked_anywhere(stop: StopRequest) -> bool:
    """Whether the user has asked any process to stop; to be called by all of them at once."""
    here = processes()
    if here.num_processes == 1:
        return stop.asked
    import torch
    from accelerate.utils import reduce

    asked = torch.tensor(int(stop.asked), device=here.device)
    return bool(reduce(asked, reduction="sum").item())


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written to its end, or None."""
    found = [path for path in folder.glob("checkpoint-*") if (path / COMPLETE).exists()]
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])
