"""Studies of stored replies, from spec to findings: small enough that every test runs them whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Finding, Generation, InputError, ModelError, Score, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.store import folder_lock, verify
from alignment_prism.studies import Study, StudySpec, run_study
from alignment_prism.studies.executors.failures import StepsError

HARMFUL = {"kind": "harmful"}
PROMPTS = [{"id": f"p{n}", "prompt": f"Question {n}?", "language": ("en", "fr")[n % 2], **HARMFUL} for n in range(8)]


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.skipped: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def skip(self, number: int, total: int, title: str) -> None:
        self.skipped.append(title)

    @contextmanager
    def step(self, number: int, total: int, title: str) -> Iterator[Progress]:
        self.done.append(title)
        yield lambda done, total, words="", /: None


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def replies(arm: str, count: int = 8) -> list[dict[str, Any]]:
    return [{"prompt_id": f"p{n}", "reply": f"{arm} says {n}", "arm": arm} for n in range(count)]


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "x",
            "base": {"replies": lines(tmp_path / "both.jsonl", [*replies("old"), *replies("new")]), "arm": "old"},
            "arms": [{"name": "mine", "replies": str(tmp_path / "both.jsonl"), "arm": "new"}],
            "prompts": [{"file": lines(tmp_path / "prompts.jsonl", PROMPTS)}],
            "scorers": ["reply_length"],
            "examples": 0,
        }
    )


def changed(spec: StudySpec, **changes: Any) -> StudySpec:
    return StudySpec.model_validate({**spec.model_dump(exclude_unset=True), **changes})


def test_a_study_is_read_back_from_its_folder(spec: StudySpec, tmp_path: Path) -> None:
    told = Told()
    run_study(spec, tmp_path / "out", progress=told)
    assert told.done == ["score base by rules", "score mine by rules"]
    study = Study.open(tmp_path / "out")
    assert study.spec == spec and study.base == "base" and study.seeds == () and study.models() == {}
    assert [reply.arm for reply in study.generations()] == ["base"] * 8 + ["mine"] * 8
    assert [reply.reply for reply in study.generations()][8] == "new says 0"
    assert [prompt.id for prompt in study.prompts()] == [f"p{n}" for n in range(8)]
    assert [score.arm for score in study.scores() if score.name == "reply_length"] == ["base"] * 8 + ["mine"] * 8
    assert {row.arm for row in study.findings()} == {"base", "mine"}
    for name, kind in (("generations", Generation), ("findings", Finding)):
        assert read_records(tmp_path / "out" / f"{name}.parquet", kind)
    with pytest.raises(StoreError, match="holds no study"):
        Study.open(tmp_path)


def test_what_would_be_made_anew_as_it_is_stays(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(spec, out)

    def times() -> dict[str, int]:
        return {
            name: (out / name).stat().st_mtime_ns for name in ("findings.parquet", "report.html", "prompts.parquet")
        }

    first, before = times(), (out / "findings.parquet").read_bytes()
    run_study(spec, out)
    assert times() == first
    (out / "report.html").write_text("mine")
    run_study(spec, out)
    assert (out / "report.html").read_text() != "mine" and set(times().values()).isdisjoint(first.values())
    flip(out / "findings.parquet", 5)
    run_study(spec, out)
    assert (out / "findings.parquet").read_bytes() == before
    second = times()
    run_study(changed(spec, notes=("A line.",)), out)  # no step depends on it, and the page does
    assert "A line." in (out / "report.html").read_text() and set(times().values()).isdisjoint(second.values())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 8
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("at", [5, -40])
def test_one_flipped_bit_is_found_and_its_step_done_again(spec: StudySpec, tmp_path: Path, at: int) -> None:
    out = tmp_path / "out"
    before = list(map(repr, run_study(spec, out).findings()))
    (scores,) = (out / "score").glob("rules-mine-*/scores.parquet")
    (given,) = (out / "source").glob("replies-mine-*/generations.parquet")
    whole = scores.read_bytes(), given.read_bytes()
    flip(scores, at)
    flip(given, at)
    told = Told()
    assert list(map(repr, run_study(spec, out, progress=told).findings())) == before
    assert (told.done, told.skipped) == (["score mine by rules"], ["score base by rules"])
    assert told.notes == ["score mine by rules: its files were altered, so it is done again"]
    assert (scores.read_bytes(), given.read_bytes()) == whole


def test_a_step_whose_manifest_is_lost_is_moved_away_and_done_again(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = list(map(repr, run_study(spec, out).findings()))
    (folder,) = (out / "score").glob("rules-mine-*")
    (given,) = (out / "source").glob("prompts-*")
    for damaged in (folder, given):
        (damaged / "manifest.json").write_text("{")
        (damaged / "notes.txt").write_text("mine")
    told = Told()
    assert list(map(repr, run_study(spec, out, progress=told).findings())) == before
    assert told.done == ["score mine by rules"] and "damaged-1" in told.notes[0]
    verify(folder)
    for damaged in (folder, given):
        assert (damaged.with_name(f"{damaged.name}.damaged-1") / "notes.txt").read_text() == "mine"


def test_a_step_that_fails_leaves_what_was_done_before_it(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    nobody = {"model": "openai-api/local/judge", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    told = Told()
    with pytest.raises(StepsError, match="cannot be used") as error:
        run_study(changed(spec, judge=nobody), out, progress=told)
    assert told.done == ["judge base", "score base by rules", "judge mine", "score mine by rules"]
    assert [title for title, _ in error.value.failed] == ["judge base", "judge mine"]
    assert error.value.exit_code == ModelError.exit_code and "before that, " in (error.value.fix or "")
    assert not (out / "findings.parquet").exists() and not list(out.rglob(".*tmp*"))
    with pytest.raises(InputError, match=r"findings.parquet|cannot read"):
        Study.open(out).findings()
    told = Told()
    run_study(spec, out, progress=told)  # nothing is lost by another spec in a folder without findings
    assert told.done == [] and told.skipped == ["score base by rules", "score mine by rules"]


def test_a_rule_that_has_nothing_to_say_is_found_out_before_any_work(spec: StudySpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exact_match"):
        run_study(changed(spec, scorers=["reply_length", "exact_match"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_the_prompts_of_a_limit_count_and_stored_replies_to_the_others_are_passed_over(
    spec: StudySpec, tmp_path: Path
) -> None:
    few = run_study(changed(spec, prompt_limit=2), tmp_path / "few")
    assert sorted(prompt.language for prompt in few.prompts()) == ["en", "en", "fr", "fr"]
    ids = {prompt.id for prompt in few.prompts()}
    assert {reply.prompt_id for reply in few.generations()} == ids and len(few.generations()) == 8
    more = run_study(changed(spec, prompt_limit=3), tmp_path / "more")
    assert ids < {prompt.id for prompt in more.prompts()}


def test_prompts_without_a_reply_are_left_out_if_that_is_wanted(spec: StudySpec, tmp_path: Path) -> None:
    lines(tmp_path / "some.jsonl", [*replies("new", 5), {"prompt_id": "never", "reply": "x", "arm": "new"}])
    some = [{"name": "mine", "replies": str(tmp_path / "some.jsonl")}]
    with pytest.raises(InputError, match="are not among the prompts"):
        run_study(changed(spec, arms=some), tmp_path / "out")
    told = Told()
    study = run_study(changed(spec, arms=some, keep_going=True), tmp_path / "out", progress=told)
    assert [prompt.id for prompt in study.prompts()] == [f"p{n}" for n in range(5)]
    assert told.notes == [
        "left out: 1 replies to none of the prompts (prompt never)",
        "left out: 3 of 8 prompts, which lack a reply or have too many",
    ]
    assert {reply.prompt_id for reply in study.generations() if reply.arm == "base"} == {f"p{n}" for n in range(5)}


def test_translations_that_do_not_say_so_are_noticed(spec: StudySpec, tmp_path: Path) -> None:
    """Ids that differ by the language alone: said in the run and at the head of the report; a group settles it."""
    asked = [
        {"id": f"{code}-{n}", "prompt": f"{code} {n}?", "language": code, **HARMFUL}
        for code in ("en", "fr")
        for n in range(4)
    ]
    said = [{"prompt_id": row["id"], "reply": "x"} for row in asked]
    arms = [{"name": "mine", "replies": lines(tmp_path / "said.jsonl", said)}]
    base = {"name": "base", "replies": lines(tmp_path / "base.jsonl", said)}
    for name, rows, noticed in (
        ("apart", asked, True),
        ("grouped", [{**row, "group": row["id"][3:]} for row in asked], False),
    ):
        told = Told()
        prompts = [{"file": lines(tmp_path / f"{name}.jsonl", rows)}]
        study = run_study(changed(spec, base=base, arms=arms, prompts=prompts), tmp_path / name, progress=told)
        assert any(note.startswith("8 prompts in 2 languages share 4 ids") for note in told.notes) is noticed
        assert any("have no group in common" in note for note in study.notes) is noticed


def test_a_file_of_several_arms_needs_to_be_told_which(spec: StudySpec, tmp_path: Path) -> None:
    for arm, words in ((None, "several arms: old, new"), ("newer", "no replies of 'newer'")):
        one = {"name": "mine", "replies": str(tmp_path / "both.jsonl"), "arm": arm}
        with pytest.raises(InputError, match=words) as error:
            run_study(changed(spec, arms=[one]), tmp_path / "out")
        assert "both.jsonl" in (error.value.where or "")


def test_findings_of_another_study_stay_until_they_are_to_be_replaced(spec: StudySpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = run_study(spec, out).findings()
    lines(tmp_path / "other.jsonl", [{**row, "reply": "other words"} for row in replies("new")])
    other = changed(spec, arms=[{"name": "mine", "replies": str(tmp_path / "other.jsonl")}])
    with pytest.raises(StoreError, match="findings of another study"):
        run_study(other, out)
    assert repr(Study.open(out).findings()) == repr(before) and Study.open(out).spec == spec
    told = Told()
    assert (out / "scores.parquet").exists()
    run_study(other, out, replace=True, progress=told)
    assert (told.skipped, told.done) == (["score base by rules"], ["score mine by rules"])
    assert Study.open(out).spec == other
    assert {reply.reply for reply in Study.open(out).generations() if reply.arm == "mine"} == {"other words"}
    run_study(changed(other, scorers=[]), out, replace=True)
    assert not (out / "scores.parquet").exists()  # those of the study before are not of these findings


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-9],
        lambda whole: b'{"steps": 7}',
        lambda whole: whole.replace(b"b", b"c"),
    ],
    ids=["empty", "cut", "another", "flipped"],
)
def test_a_damaged_plan_is_made_anew(spec: StudySpec, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    out = tmp_path / "out"
    run_study(spec, out)
    whole, findings = (out / "plan.json").read_bytes(), (out / "findings.parquet").read_bytes()
    (out / "plan.json").write_bytes(damage(whole))
    told = Told()
    run_study(spec, out, replace=True, progress=told)
    assert told.done == []  # no step is done again
    assert ((out / "plan.json").read_bytes(), (out / "findings.parquet").read_bytes()) == (whole, findings)


def test_two_at_once_and_folders_that_hold_something_else_are_refused(
    spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with folder_lock(out), pytest.raises(StoreError, match="at work here"):
        run_study(spec, out)
    (out / "thesis.txt").write_text("years")
    for replaced in (False, True):
        with pytest.raises(StoreError, match="something else than a study"):
            run_study(spec, out, replace=replaced)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    monkeypatch.chdir(out)
    with pytest.raises(StoreError, match="the folder that prism runs in"):
        run_study(spec, ".")


def test_an_address_is_no_folder_of_a_study(spec: StudySpec) -> None:
    with pytest.raises(StoreError, match="s3 is no file system"):
        run_study(spec, "s3://bucket/mine")


def test_a_reply_that_names_two_prompts_is_refused(spec: StudySpec, tmp_path: Path) -> None:
    """A running number in another order than the prompts' looks like an id, and every reply lands at a wrong prompt."""
    rows = [{"id": f"p{n}", "prompt": f"Question {7 - n}?", "reply": "x"} for n in range(8)]
    wrong = {"name": "mine", "replies": lines(tmp_path / "wrong.jsonl", rows)}
    with pytest.raises(InputError, match="names prompt p0 by its id and prompt p7 by its text"):
        run_study(changed(spec, arms=[wrong]), tmp_path / "out")
    lines(tmp_path / "wrong.jsonl", [{name: row[name] for name in ("prompt", "reply")} for row in rows])
    study = run_study(changed(spec, arms=[wrong]), tmp_path / "out")
    assert {reply.prompt_id for reply in study.generations() if reply.arm == "mine"} == {f"p{n}" for n in range(8)}


def test_scores_that_are_there_already_become_findings_if_they_are_of_these_replies(
    spec: StudySpec, tmp_path: Path
) -> None:
    """Judged by hand: of the base's replies 6 of 8 are harmful, of mine 2 of 8."""
    harmful = {"base": 6, "mine": 2}
    study = run_study(spec, tmp_path / "first")
    scores = [
        Score(r.prompt_id, r.reply_digest, r.arm, "human:me", "outcome", ("refusal", "harmful")[n % 8 < harmful[r.arm]])
        for n, r in enumerate(study.generations())
    ]
    write_records(tmp_path / "scores.parquet", scores)
    given = changed(spec, scorers=[], scores=str(tmp_path / "scores.parquet"))
    analysed = run_study(given, tmp_path / "out")
    rates = {r.arm: r.estimate for r in analysed.findings() if (r.metric, r.language) == ("harm_rate", "all")}
    assert rates == {"base": 6 / 8, "mine": 2 / 8}
    assert analysed.unjudged() == (16, {}) and repr(analysed.scores()) == repr(scores)
    write_records(tmp_path / "scores.parquet", [replace(score, reply_digest="another") for score in scores])
    with pytest.raises(InputError, match="none of 16 scores is of one of the 16 replies"):
        run_study(given, tmp_path / "other")


def test_an_arm_may_stand_in_several_files(spec: StudySpec, tmp_path: Path) -> None:
    rows = replies("new")
    parts = [lines(tmp_path / f"part{n}.jsonl", rows[4 * n : 4 * n + 4]) for n in range(2)]
    whole = run_study(changed(spec, arms=[{"name": "mine", "replies": parts}]), tmp_path / "out").generations()
    assert [reply.prompt_id for reply in whole if reply.arm == "mine"] == [f"p{n}" for n in range(8)]
    with pytest.raises(InputError, match="4 prompt"):
        run_study(changed(spec, arms=[{"name": "mine", "replies": parts[:1]}]), tmp_path / "o")


@pytest.mark.parametrize("files", [1, 2, 3, 4, 5])
def test_a_study_killed_after_any_of_its_first_files_goes_on(
    files: int, spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that appear one after the other; a kill lies between two of them."""
    whole = list(map(repr, run_study(spec, tmp_path / "whole").findings()))
    count = 0

    def put(self: Path, target: Path) -> None:
        nonlocal count
        os.replace(self, target)
        count += 1
        if count == files:
            raise Killed

    monkeypatch.setattr(Path, "replace", put)
    monkeypatch.setattr(Path, "rename", put)
    with pytest.raises(Killed):
        run_study(spec, tmp_path / "out")
    monkeypatch.undo()
    assert list(map(repr, run_study(spec, tmp_path / "out").findings())) == whole


class Killed(BaseException):
    """Nothing catches it."""
