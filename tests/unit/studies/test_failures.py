"""Steps that fail, one after the other in this process: who is done all the same, what ends a study, what is said."""

from __future__ import annotations

import errno
import json
import pickle
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mixture_steps import mixtures, stuck
from prism_command import prism

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import BudgetError, InputError, ModelError, PrismError, SharedStoreError, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.store import storage_fault
from alignment_prism.studies.executors.failures import SHOWN, Failures, StepsError, ends_all
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.executors.worker import portable
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.steps import KINDS, Context


class Told(Silent):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
        self.begun.append(title)
        return super().step(number, total, title)


def test_what_does_not_need_the_step_that_failed_is_done(tmp_path: Path) -> None:
    first, second, needs, needs_that = mixtures(tmp_path, 0, 0.25, 0.5, 0.75)
    (bad,) = mixtures(tmp_path, 1, total=10**6)
    needs = replace(needs, title="in need", needs={**needs.needs, "late": bad})
    needs_that = replace(needs_that, title="in need of that", needs={**needs_that.needs, "late": needs})
    steps, told = [first, bad, needs, needs_that, second], Told()
    with pytest.raises(InputError, match="safety"):
        run_steps(steps, Context(tmp_path, None), told)
    assert [step.is_done(tmp_path) for step in steps] == [True, False, False, False, True]
    assert (
        told.notes[0] == "1 of 5 steps failed, and 2 that need what they make were not done: in need; in need of that"
    )
    assert "it does these 3 and nothing else" in told.notes[1]

    (other,) = mixtures(tmp_path, 0, total=10**6)
    with pytest.raises(StepsError) as several:
        run_steps([*steps, replace(other, title="another")], Context(tmp_path, None), Told())
    error = several.value
    assert [title for title, _ in error.failed] == [bad.title, "another"] and error.left == (
        "in need",
        "in need of that",
    )
    assert error.what == "2 of 6 steps failed, and 2 that need what they make were not done"
    assert [line.split(":")[0].strip() for line in (error.where or "").splitlines()] == [bad.title, "another"]
    assert error.exit_code == InputError.exit_code and isinstance(error.__cause__, ExceptionGroup)


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_met_once(tmp_path: Path) -> None:
    steps, told = mixtures(tmp_path, 0, 1), Told()
    with pytest.raises(Exception) as error, full_disk():
        run_steps(steps, Context(tmp_path, None), told)
    assert isinstance(error.value, StoreError) or storage_fault(error.value) is not None
    assert len(told.begun) == 1


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_what_all_steps_share_ends_a_study_whichever_process_meets_it(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "x")
    everybodys = [
        *(BudgetError("x"), SharedStoreError("x"), full, MemoryError(), OSError(errno.EROFS, "x")),
        raised_from(StoreError("cannot write", fix="make room"), full),
        raised_from(RuntimeError("of a library"), full),
    ]
    its_own = [
        *(ModelError("x"), InputError("x"), ValueError("x"), RuntimeError("x"), StoreError("a file is in the way")),
        PermissionError(errno.EACCES, "x", "weights"),
        raised_from(RuntimeError("of a library"), PermissionError(errno.EACCES, "x", "weights")),
    ]
    for errors, ends in ((everybodys, True), (its_own, False)):
        for error in errors:
            told = pickle.loads(pickle.dumps(portable(error)))  # which loses what it was raised from
            assert ends_all(error, tmp_path) is ends and ends_all(told, tmp_path) is ends, repr(error)
            assert isinstance(told, PrismError) is (isinstance(error, PrismError) or storage_fault(error) is not None)
            source = error if isinstance(error, PrismError) else storage_fault(error)
            assert getattr(told, "fix", None) == getattr(source, "fix", None)
    assert ends_all(KeyboardInterrupt(), tmp_path)
    assert ends_all(StoreError("x"), tmp_path / "gone") and ends_all(
        PermissionError(errno.EACCES, "x"), tmp_path / "gone"
    )


def test_what_is_in_the_way_of_one_step_is_in_the_way_of_no_other(tmp_path: Path) -> None:
    first, second = mixtures(tmp_path, 0, 1)
    first.folder(tmp_path).parent.mkdir()
    first.folder(tmp_path).write_text("mine")
    with pytest.raises(StoreError, match="a file is where the output folder is to be"):
        run_steps([first, second], Context(tmp_path, None), Told())
    assert second.is_done(tmp_path) and first.folder(tmp_path).read_text() == "mine"


def test_what_cannot_be_removed_of_one_step_is_the_fault_of_that(tmp_path: Path) -> None:
    first, second = mixtures(tmp_path, 0, 1)
    told = Told()
    with pytest.raises(OSError, match="not empty"):
        run_steps([stuck(first), second], Context(tmp_path, None), told)
    assert second.is_done(tmp_path) and told.begun == [first.title, second.title]  # so that the log has both


def test_a_journal_that_cannot_be_written_ends_a_study(tmp_path: Path) -> None:
    journal = CallJournal(tmp_path / "calls.jsonl")  # else each of the others would pay for an answer that is lost
    with full_disk(), pytest.raises(StoreError, match="cannot write the journal") as error:
        journal.put("a", 1)
    assert ends_all(pickle.loads(pickle.dumps(portable(error.value))), tmp_path)


@pytest.mark.parametrize("end", [KeyboardInterrupt("stopped"), BudgetError("the budget is spent")])
def test_what_failed_before_a_study_is_ended_is_told(end: BaseException, tmp_path: Path) -> None:
    class Ending(Told):
        def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
            if number == 2:
                raise end
            return super().step(number, total, title)

    (bad,), (good,) = mixtures(tmp_path, 1, total=10**6), mixtures(tmp_path, 0)
    told = Ending()
    with pytest.raises(type(end)) as raised:
        run_steps([bad, good], Context(tmp_path, None), told)
    assert raised.value is end
    (note,) = told.notes
    assert note.startswith(f"1 step failed before that: {bad.title}: ") and "safety" in note


def test_a_defect_among_several_failures_is_to_be_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(KINDS, "score", replace(KINDS["score"], do=broken))
    row = {"id": "p", "prompt": "How?", "language": "en", "kind": "harmful"}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "replies.jsonl").write_text(json.dumps({"prompt_id": "p", "reply": "So."}) + "\n")
    (tmp_path / "spec.yaml").write_text(
        "name: x\nbase: {replies: replies.jsonl}\narms: [{name: a, replies: replies.jsonl}]\n"
        "prompts: [{file: prompts.jsonl}]\nscorers: [reply_length]\n"
    )
    done = prism("study", "run", "spec.yaml", "--out", "out", folder=tmp_path)
    assert done.returncode == 1 and "2 of 2 steps failed" in done.stderr and "Traceback" not in done.stderr
    assert "does these 2 and nothing else" in done.stderr
    assert "ZeroDivisionError: a defect of Alignment Prism; run again with --debug" in done.stderr
    assert "Traceback" in prism("study", "run", "spec.yaml", "--out", "out", "--debug", folder=tmp_path).stderr


def test_a_message_names_so_many_and_counts_the_rest(tmp_path: Path) -> None:
    steps = [
        replace(step, title=f"step {n}") for n, step in enumerate(mixtures(tmp_path, *[n / 40 for n in range(30)]))
    ]
    failures = Failures(steps, {step.key for step in steps})
    for step in steps:
        failures.add(step, ValueError("no\nfirst of two lines"))
    with pytest.raises(StepsError, match="30 of 30 steps failed") as error:
        failures.report(Told())
    lines = (error.value.where or "").split("\n       ")
    assert lines[0] == "step 0: ValueError: no first of two lines" and lines[SHOWN:] == ["and 10 more"]
    assert error.value.exit_code == 1
