"""Studies as folders: status, list, what is left over, and the log of steps."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prism_command import prism

from alignment_prism.domain import InputError, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.studies import StudySpec, run_study
from alignment_prism.studies.housekeeping import remove_unused, status, studies_in, unused
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.step_log import Logged, read_step_log


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    prompts = [
        {"id": f"p{n}", "prompt": f"Question {n}?", "language": "en", "kind": "harmful", "references": ["x"]}
        for n in range(4)
    ]
    replies = [{"prompt_id": f"p{n}", "reply": f"{n}", "arm": arm} for n in range(4) for arm in ("old", "new")]
    stored = lines(tmp_path / "both.jsonl", replies)
    return StudySpec.model_validate(
        {
            "name": "x",
            "base": {"replies": stored, "arm": "old"},
            "arms": [{"name": "mine", "replies": stored, "arm": "new"}],
            "prompts": [{"file": lines(tmp_path / "prompts.jsonl", prompts)}],
            "scorers": ["reply_length"],
            "examples": 0,
        }
    )


def test_a_finished_study_says_so_and_its_log_has_every_step(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "results" / "one"
    run_study(spec, out)
    run_study(spec, out)  # does nothing again, and logs nothing
    assert [(line["event"], line["step"]) for line in read_step_log(out / "steps.jsonl")] == [
        ("begin", "score base by rules"), ("done", "score base by rules"),
        ("begin", "score mine by rules"), ("done", "score mine by rules"),
    ]  # fmt: skip
    found = status(out)
    assert (len(found.done), found.begun, found.waiting, found.failed) == (2, {}, (), {})
    assert found.has_findings and not found.is_running
    assert [one.out for one in studies_in(tmp_path / "results")] == [out]
    with pytest.raises(StoreError, match="holds no study"):
        status(tmp_path)


def test_what_failed_is_known_until_it_is_done(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(spec, out)
    first = next((out / "score").iterdir())
    for file in first.iterdir():
        file.unlink()
    (first / "mine.txt").write_text("in the way")
    with (out / "steps.jsonl").open("a") as log:
        log.write('{"event": "failed", "step": "score mine by rules", "error": "InputError: no"}\n{"event": "fai')
    assert status(out).failed == {"score mine by rules": "InputError: no"}
    assert len(status(out).waiting) == 1


def test_a_step_that_fails_or_stops_is_in_the_log(tmp_path: Path) -> None:
    logged = Logged(Silent(), tmp_path / "log")
    for error in (InputError("no such thing", where="here"), KeyboardInterrupt("stopped")):
        with pytest.raises(type(error)), logged.step(1, 2, "train"):
            raise error
    found = [(line["event"], line.get("error")) for line in read_step_log(tmp_path / "log")]
    assert found == [
        ("begin", None), ("failed", "InputError: no such thing"),
        ("begin", None), ("stopped", "KeyboardInterrupt: stopped"),
    ]  # fmt: skip


def test_only_what_an_earlier_spec_left_is_removed_and_only_when_asked(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(spec, out)
    assert unused(out) == []
    theirs = out / "score" / "notes"
    theirs.mkdir()
    (theirs / "mine.txt").write_text("keep")
    changed = StudySpec.model_validate({**spec.model_dump(exclude_unset=True), "scorers": ["refusal_phrase"]})
    run_study(changed, out, replace=True)
    old = [one.folder for one in unused(out)]
    assert len(old) == 2 and all(folder.is_dir() for folder in old)
    listed = prism("study", "gc", str(out))
    assert listed.returncode == 0 and "2 folders" in listed.stdout and all(folder.is_dir() for folder in old)
    assert [one.folder for one in remove_unused(out)] == old
    assert not any(folder.exists() for folder in old) and (theirs / "mine.txt").read_text() == "keep"
    assert status(out).waiting == () and unused(out) == []


def test_the_commands_answer(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "results" / "one"
    run_study(spec, out)
    assert "2 of 2 steps done, findings" in prism("study", "status", str(out)).stdout
    assert "results/one: 2 of 2" in prism("study", "ls", str(tmp_path / "results")).stdout
    assert prism("study", "status", str(tmp_path)).returncode == 5
    schema = json.loads(prism("study", "schema").stdout)
    assert {"name", "base", "arms", "grid", "judge"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert "in per cent" in schema["$defs"]["GridSpec"]["description"]


def test_what_a_further_spec_made_before_it_was_stopped_is_not_left_over(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(spec, out)
    values = spec.model_dump(mode="json")
    further = [{**values["arms"][0], "name": name} for name in ("second", "third")]
    more = StudySpec.model_validate({**values, "arms": [*values["arms"], *further]})

    class Stopped(Silent):
        def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
            if len(list((out / "score").iterdir())) == 3:
                raise KeyboardInterrupt
            return super().step(number, total, title)

    with pytest.raises(KeyboardInterrupt):
        run_study(more, out, progress=Stopped())
    assert len(list((out / "score").iterdir())) == 3 and unused(out) == []
    run_study(more, out)
    assert unused(out) == []
    run_study(spec, out, replace=True)
    assert len(unused(out)) == 4  # a source and the scores of each of the two


@pytest.mark.parametrize("change", [lambda name: name.replace("score", "scorf"), lambda name: name[:-1] + "\x00"])
def test_nothing_is_removed_by_a_plan_that_does_not_fit(spec: StudySpec, tmp_path: Path, change: Any) -> None:
    """As after a flipped bit: the step that the plan does not name any more is what the findings rest on."""
    out = tmp_path / "out"
    run_study(spec, out)
    plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    key = next(key for key, folder in plan["steps"].items() if folder.startswith("score"))
    plan["steps"][key] = change(plan["steps"][key])
    (out / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(StoreError, match="the plan names a step that is not there"):
        remove_unused(out)
    assert len(list((out / "score").iterdir())) == 2


@pytest.mark.parametrize(
    "line", [b"\xff\n", b"7\n", b"[]\n", b'{"event": 5}\n', b'{"event": "failed"}\n', b"[" * 99_999 + b"\n"]
)
def test_a_damaged_line_of_the_log_costs_only_itself(spec: StudySpec, tmp_path: Path, line: bytes) -> None:
    out = tmp_path / "out"
    run_study(spec, out)
    log = out / "steps.jsonl"
    log.write_bytes(line + log.read_bytes() + b'{"event": "failed", "step": "a", "error": "b"}\n')
    assert status(out).failed == {}  # every step of the plan is done: it was of a spec that was changed since
    next((out / "score").glob("*/manifest.json")).unlink()
    assert status(out).failed["a"] == "b"
    assert len(read_step_log(log)) in (5, 6)


def test_what_a_link_leads_to_is_nobodys_to_remove(spec: StudySpec, tmp_path: Path) -> None:
    out, disk = tmp_path / "one", tmp_path / "disk"
    run_study(spec, out)
    findings = (out / "findings.parquet").read_bytes()
    folder = sorted((out / "score").iterdir())[0]
    folder.rename(disk)  # to where there is room
    folder.symlink_to(disk)
    (out / "score" / "another").symlink_to(disk)
    assert unused(out) == []
    run_study(spec, out)
    assert folder.is_symlink()
    (disk / "scores.parquet").write_bytes(b"cut")
    run_study(spec, out)
    assert (disk / "scores.parquet").read_bytes() == b"cut" and not folder.is_symlink()
    assert (out / "findings.parquet").read_bytes() == findings
