"""Several steps at once: the same bytes as one after the other, and nobody's work is lost when one of them ends badly.

The steps are mixtures, which are drawn in moments; one that is to be under way for as long as a test wants has a seed
that waits at a pipe when it is looked at.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mixture_steps import mixtures, stuck

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import InputError, ModelError
from alignment_prism.store.names import CALLS
from alignment_prism.studies.executors import at_once, pool, worker
from alignment_prism.studies.executors.at_once import run_at_once
from alignment_prism.studies.executors.crew import Told
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.steps import KINDS, Context, Step

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def light_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is trained: workers need no torch."""
    monkeypatch.setattr(pool, "PRELOADED", ())


class LateSeed(int):
    """A seed that is known as soon as somebody has written to a pipe."""

    pipe: str
    deaf: bool

    def __bool__(self) -> bool:
        with open(self.pipe, "rb") as pipe:
            while True:
                try:
                    pipe.read()
                    return False
                except KeyboardInterrupt:
                    if not self.deaf:
                        raise


def late_step(out: Path, *, deaf: bool = False) -> tuple[Step, Path]:
    """A step that waits, and the pipe that it waits at."""
    seed = LateSeed(7)
    seed.pipe, seed.deaf = str(out / "pipe"), deaf
    os.mkfifo(seed.pipe)
    (step,) = mixtures(out, 0.25)
    return Step(step.kind, "late mixture", "late", step.settings, step.needs, seed=seed), out / "pipe"


def do(steps: list[Step], out: Path, jobs: int = 2) -> None:
    keys = {step.key for step in steps}
    context = Context(out, None)
    run_at_once(steps, keys, set(), keys, context, Silent(), pool.Pool(jobs, context))


def files(out: Path, steps: list[Step]) -> dict[str, bytes]:
    found = [path for step in steps for path in step.folder(out).iterdir() if path.name != "manifest.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def test_what_processes_leave_is_what_one_leaves_after_the_other(tmp_path: Path) -> None:
    steps = mixtures(tmp_path / "one", 0, 0.5, 1)
    mixtures(tmp_path / "many")
    run_steps(steps, Context(tmp_path / "one", None), Silent())
    do(steps, tmp_path / "many")
    assert len(files(tmp_path / "one", steps)) == 6
    assert files(tmp_path / "many", steps) == files(tmp_path / "one", steps)
    assert all(step.is_done(tmp_path / "many") for step in steps)


class SeenBy(int):
    """A seed that notes which GPUs the process that looks at it sees, and waits for the other one to be looked at."""

    folder: str

    def __bool__(self) -> bool:
        place = Path(self.folder)
        (place / f"gpu{int(self)}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        for _ in range(2000):  # twenty seconds
            if len(list(place.glob("gpu*"))) >= 2:
                break
            time.sleep(0.01)
        return False


def seen(out: Path, number: int) -> Step:
    seed = SeenBy(number)
    seed.folder = str(out)
    (step,) = mixtures(out, 0.5)
    return Step(step.kind, f"late {number}", f"late{number}", step.settings, step.needs, seed=seed)


def test_larger_models_have_a_gpu_each_and_wait_for_one(tmp_path: Path) -> None:
    steps, others = [seen(tmp_path, number) for number in range(4)], mixtures(tmp_path, 0, 1)
    keys, large = {step.key for step in (*steps, *others)}, frozenset(step.key for step in steps)
    context = Context(tmp_path, None)
    crew = pool.Pool(1, context, ("2", "GPU-7"), large)
    run_at_once([*steps, *others], keys, set(), keys, context, Silent(), crew)
    assert all(step.is_done(tmp_path) for step in (*steps, *others))
    named = [(tmp_path / f"gpu{number}").read_text() for number in range(4)]
    assert sorted(named[:2]) == ["2", "GPU-7"] and set(named[2:]) <= {"2", "GPU-7"}


@pytest.mark.parametrize(
    ("gpus", "spread", "jobs", "device", "judge", "given"),
    [
        (3, 1, 8, "auto", "openai/gpt-4o", ("4", "5", "6")),
        (3, 1, 8, "auto", "hf/a/guard", ("5", "6")),  # the judge has the first one, in this process
        (1, 1, 8, "auto", "openai/gpt-4o", ()),
        (3, 2, 8, "auto", "openai/gpt-4o", ()),  # trainings are spread over them
        (3, 1, 1, "auto", "openai/gpt-4o", ()),  # one thing at a time
        (3, 1, 8, "cuda:1", "openai/gpt-4o", ()),  # the spec names one
    ],
)
def test_a_machine_with_several_gpus_uses_them(
    gpus: int,
    spread: int,
    jobs: int,
    device: str,
    judge: str,
    given: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = [replace(step, options={"device": device}) for step in mixtures(tmp_path, 0, 0.5, 1)]
    judged = (Endpoint(judge, base_url="http://127.0.0.1:1/v1"),)
    kind = replace(KINDS["mix"], computes_with=lambda step: "a/large-model", endpoints=lambda step: judged)
    monkeypatch.setitem(KINDS, "mix", kind)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    began: list[pool.Pool] = []
    monkeypatch.setattr(at_once, "run_at_once", lambda *given: began.append(given[-1]))
    monkeypatch.setattr(pool, "prepare_workers", lambda: None)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    run_steps(steps, Context(tmp_path, None, gpus=spread), Silent(), jobs=jobs)
    if given:
        (crew,) = began
        assert crew.gpus == given and crew.on_gpu == {step.key for step in steps}
    else:
        assert not began and all(step.is_done(tmp_path) for step in steps)


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_is_that_of_the_step_and_what_does_not_need_it_is_done(jobs: int, tmp_path: Path) -> None:
    steps = mixtures(tmp_path, 0, 0.5, 1)
    (bad,) = mixtures(tmp_path, 1, total=10**6)
    needs_it = replace(steps.pop(), title="in need", needs={**bad.needs, "late": bad})
    with pytest.raises(InputError, match="safety"):
        do([bad, needs_it, *steps], tmp_path, jobs=jobs)
    assert not bad.is_done(tmp_path) and not needs_it.is_done(tmp_path)
    assert all(step.is_done(tmp_path) for step in steps)


def test_what_cannot_be_removed_of_one_step_ends_no_other(tmp_path: Path) -> None:
    first, second = mixtures(tmp_path, 0, 1)
    with pytest.raises(OSError, match="not empty"):
        do([stuck(first), second], tmp_path, jobs=1)
    assert second.is_done(tmp_path)
    (third,) = mixtures(tmp_path, 0.5)
    keys, context = {first.key, third.key}, Context(tmp_path, None)
    with pytest.raises(OSError, match="not empty"):  # where it is a step for this process
        run_at_once([stuck(first), third], keys, set(), {third.key}, context, Silent(), pool.Pool(1, context))
    assert third.is_done(tmp_path)


def test_a_process_that_is_killed_is_an_error_that_names_its_step(tmp_path: Path) -> None:
    (other,) = mixtures(tmp_path, 0.5)
    late, pipe = late_step(tmp_path)

    def kill() -> None:
        with pipe.open("wb"):  # opens when the step has begun to read
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ModelError, match="killed by SIGKILL") as died:
        do([other, late], tmp_path, jobs=1)
    killer.join()
    assert other.is_done(tmp_path)
    assert died.value.where == late.title and died.value.settings == {"jobs": "1"}
    assert not late.folder(tmp_path).exists()


@pytest.mark.parametrize(
    ("deaf", "signals"), [(False, [signal.SIGTERM]), (True, [signal.SIGINT, signal.SIGTERM])], ids=["one", "two"]
)
def test_a_signal_stops_the_workers_and_a_second_one_ends_them(
    deaf: bool, signals: list[signal.Signals], tmp_path: Path
) -> None:
    late, pipe = late_step(tmp_path, deaf=deaf)
    before = signal.getsignal(signal.SIGINT)
    ended = threading.Event()

    def stop() -> None:
        with pipe.open("wb"):
            for number in signals:
                os.kill(os.getpid(), number)
            ended.wait(60)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(KeyboardInterrupt, match="stopped; late mixture"):
        do([late], tmp_path)
    ended.set()
    stopper.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert multiprocessing.active_children() == [] and not late.folder(tmp_path).exists()


def test_what_failed_before_a_stop_is_told(tmp_path: Path) -> None:
    class Noting(Silent):
        notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    (bad,) = mixtures(tmp_path, 1, total=10**6)
    late, pipe = late_step(tmp_path)

    def stop() -> None:
        with pipe.open("wb"):  # opens when the step has begun to read: the other one has failed by then
            os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    keys, context = {bad.key, late.key}, Context(tmp_path, None)
    with pytest.raises(KeyboardInterrupt):
        run_at_once([bad, late], keys, set(), keys, context, Noting(), pool.Pool(1, context))
    stopper.join()
    assert [note.partition(": ")[0] for note in Noting.notes] == ["1 step failed before that"]


def test_a_worker_reads_the_journal_and_has_its_answers_written(tmp_path: Path) -> None:
    with CallJournal(tmp_path / CALLS) as journal:
        journal.put("before", 1)
    ours, theirs = multiprocessing.Pipe()
    there = worker._Journal(theirs, tmp_path / CALLS)
    there.put("new", {"text": "x"})
    assert ours.recv() == ("answer", "new", {"text": "x"})
    assert (there.get("before"), there.get("other")) == (1, None)
    with CallJournal(tmp_path / "shared" / CALLS) as shared:
        shared.put("elsewhere", 3)
    there = worker._Journal(theirs, tmp_path / CALLS, tmp_path / "shared" / CALLS)
    assert [there.get(key) for key in ("elsewhere", "elsewhere", "before", "other")] == [3, 3, 1, None]
    assert ours.recv() == ("kept", "elsewhere") and not ours.poll()
    with CallJournal(tmp_path / "shared" / CALLS) as shared, CallJournal(tmp_path / CALLS, cache=shared) as journal:
        board = at_once._Board((), set(), set(), set(), Context(tmp_path, journal), Silent())
        board._hear(Told(late_step(tmp_path)[0], "kept", ("elsewhere",)))
        board.close()
        assert journal.taken == 1
    assert CallJournal(tmp_path / CALLS).get("elsewhere") == 3
    ours.close()
    there.put("late", 2)  # the study's process has ended, and this one is about to
