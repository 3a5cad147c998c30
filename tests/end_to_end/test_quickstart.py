"""The whole way through the command line: prompts to findings, stopped and gone on with, as a user would."""

from __future__ import annotations

import html
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prism_command import prism

from alignment_prism import load_findings
from alignment_prism.domain import Comparison, Finding, Generation, Pair, Score
from alignment_prism.io import read_records
from alignment_prism.reports.numbers import estimate_text
from alignment_prism.store import read_manifest, verify
from alignment_prism.studies.report import study_report

pytestmark = pytest.mark.slow  # whole studies

LANGUAGES = {"en", "hi", "fr", "es", "ar", "ru"}
ARMS = {"base", "sft", "dpo_sft", "dpo_sft_0"}
PROCESS = (sys.executable, "-m", "alignment_prism.cli.main")


def quickstart(out: Path, jobs: int = 1) -> list[str]:
    return ["quickstart", "--preset", "micro", "--out", str(out), "--jobs", str(jobs)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A quickstart that ran without a stop, and what it printed."""
    out = tmp_path_factory.mktemp("quickstart") / "out"
    done = subprocess.run([*PROCESS, *quickstart(out, 2)], capture_output=True, text=True, check=False,
                          env={**os.environ, "COLUMNS": "200"})  # fmt: skip
    return out, done


def same(one: Path, other: Path) -> bool:
    """Whether two files of findings say the same; NaN equals NaN."""
    return list(map(repr, load_findings(one))) == list(map(repr, load_findings(other)))


def test_it_ends_with_a_table_findings_and_a_report(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = finished
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "nothing measured in it is evidence about real models" in " ".join(lines[:3]).replace("  ", " ")
    assert "declared" in done.stdout
    assert all(arm in done.stdout for arm in ARMS)
    assert re.search(r"harm +global +unseen", done.stdout)
    assert str(out / "report.html") in done.stdout and str(out / "findings.parquet") in done.stdout
    page = (out / "report.html").read_text(encoding="utf-8")
    body = re.sub(r"<style>.*?</style>", "", page.split("<body>")[1], flags=re.DOTALL)
    assert re.sub(r"<[^>]+>", "", body).strip().startswith("Nano is a toy world")
    assert "Loading weights" not in done.stderr and "Warning" not in done.stderr, done.stderr


def test_the_figures_of_a_real_study_show_its_own_numbers(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = finished
    report = study_report([out])
    assert set(report.figures) >= {
        "frontier", "change", "languages", "outcomes", "whereabouts", "over_refusal", "general", "categories", "power",
        "training",
    }  # fmt: skip
    page = (out / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 6_000_000
    for figure in report.figures.values():
        assert html.escape(figure.description) in page, figure.name
    results = report.results
    for metric, name in (("harm_difference", "change"), ("win_rate", "frontier"), ("refusal_rate", "over_refusal")):
        prompts = {"win_rate": "general", "refusal_rate": "benign_mention"}.get(metric, "")
        row = results.find(("dpo_sft", 0), metric, prompts=prompts, scope="all" if prompts else results.scopes[0])
        assert row is not None and estimate_text(row) in report.figures[name].description, name
    (log,) = (out / "train").glob("sft-share0.15-*/log.jsonl")
    steps = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "step"]
    (curve,) = [one for one in results.curves if not one.group and one.training.startswith("sft-share0.15-")]
    # One objective's mean over the examples since the last line, as the training itself logged it.
    assert [step for step, _ in curve.points] == [line["step"] for line in steps]
    assert [loss for _, loss in curve.points] == pytest.approx([line["loss"] for line in steps], rel=1e-3)


def test_no_prompt_and_no_reply_is_printed(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = finished
    replies = {reply.reply for folder in (out / "reply").iterdir()
               for reply in read_records(folder / "generations.parquet", Generation)}  # fmt: skip
    assert replies
    assert not [reply for reply in replies if len(reply) > 12 and reply in done.stdout + done.stderr]


def test_findings_cover_every_arm_language_and_measure(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    findings = load_findings(finished[0] / "findings.parquet")
    assert {row.arm for row in findings} == ARMS
    assert {row.study for row in findings} == {"micro"}
    by_arm = {
        arm: {
            (row.metric, row.language)
            for row in findings
            if row.arm == arm and row.prompts == "harmful/unseen" and row.scope == "all" and row.category == "all"
        }
        for arm in ARMS
    }
    for arm, cells in by_arm.items():
        for metric in ("harm_rate", "refusal_rate", "safe_help_rate", "degenerate_rate", "wrong_language_rate"):
            assert {(metric, code) for code in {*LANGUAGES, "all", "macro"}} <= cells, (arm, metric)
        assert (("harm_relative_change", "all") in cells) == (arm != "base")
    prompts = {row.prompts.split("/")[0] for row in findings}
    assert prompts == {"harmful", "benign_mention", "never_harmful", "foreign_local", "general"}
    for metric in ("accuracy", "win_rate"):
        assert any(row.metric == metric and row.prompts == "general" for row in findings)
    assert all(row.signature and row.n >= 0 for row in findings)
    assert all("nano/oracle" in row.signature for row in findings if row.metric == "harm_rate")
    shares = [row for row in findings if row.metric.endswith("_rate") and row.n]
    assert all(0 <= row.estimate <= 1 for row in shares if not math.isnan(row.estimate))
    # Undefined: at equal lengths, where length alone tells wins from losses; by position, where a language has none.
    undefined = {row.metric for row in shares if math.isnan(row.estimate)}
    assert undefined <= {"length_controlled_win_rate", "first_position_rate"}


def test_artifacts_are_whole_and_say_what_they_were_made_from(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out = finished[0]
    counts = {kind: len(list((out / kind).iterdir())) for kind in ("mix", "train", "reply", "score", "compare")}
    # Three arms train four models: sft is shared by dpo_sft, the control has an sft of its own.
    assert counts == {"mix": 2, "train": 4, "reply": 4, "score": 4, "compare": 3}
    for kind in counts:
        for folder in (out / kind).iterdir():
            verify(folder)
    for folder in (out / "mix").iterdir():
        pairs = read_records(folder / "pairs.parquet", Pair)
        safety = [pair for pair in pairs if pair.kind == "safety"]
        assert (len(pairs), len(safety)) == (80, 12 if "share0.15" in folder.name else 0)
    verdicts = [read_records(folder / "scores.parquet", Score) for folder in (out / "score").iterdir()]
    assert len({len(found) for found in verdicts}) == 1
    compared = [read_records(folder / "comparisons.parquet", Comparison) for folder in (out / "compare").iterdir()]
    assert all(found and {one.candidate_first for one in found} == {True, False} for found in compared)
    models = {read_manifest(folder).inputs["base"] for folder in (out / "train").iterdir()}
    assert len(models) == 1


def test_a_second_run_does_nothing_again_and_says_the_same(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    findings = (out / "findings.parquet").read_bytes()
    again = prism(*quickstart(out))
    assert again.returncode == 0, again.stderr
    steps = re.findall(r"^\[ *\d+/(\d+)\] (.*)$", again.stdout, re.MULTILINE)
    assert len(steps) == int(steps[0][0]) and all(text.endswith("done before") for _, text in steps)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    assert (out / "findings.parquet").read_bytes() == findings


def test_replies_that_processes_drew_are_in_the_journal_and_not_drawn_again(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill at the end of a generation: the journal is there, and no artifact of the replies."""
    from alignment_prism.generation.backends.decoding import Decoder

    out = shutil.copytree(finished[0], tmp_path / "out")
    shutil.rmtree(out / "reply")
    monkeypatch.setattr(Decoder, "reply", lambda *arguments: pytest.fail("a reply is drawn again"))
    again = prism(*quickstart(out))
    assert again.returncode == 0, again.stderr
    texts = [[(one.arm, one.prompt_id, one.reply) for one in read_records(folder / "generations.parquet", Generation)]
             for folder in (finished[0], out)]  # fmt: skip
    assert texts[0] == texts[1]
    assert same(finished[0] / "findings.parquet", out / "findings.parquet")


def test_ctrl_c_in_a_training_stops_cleanly_and_the_same_command_goes_on(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*PROCESS, *quickstart(out, 2)], stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    log = "train/dpo_sft-share0.15-*.unfinished/log.jsonl"
    deadline = time.monotonic() + 120
    while not any('"event": "step"' in path.read_text() for path in out.glob(log)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "run the same command again: prism quickstart --preset micro" in error
    assert "Traceback" not in error
    assert not (out / "findings.parquet").exists()
    assert "DPO(SFT) on 15 % safety pairs, seed 0: stopped after step" in error
    (left,) = (out / "train").glob("dpo_sft-share0.15-*.unfinished")
    assert [*left.glob("dpo/checkpoint-*/complete"), *left.glob("dpo/stage.json")]  # it may have been its last step
    again = prism(*quickstart(out))
    assert again.returncode == 0, again.stderr
    assert "train SFT-Preferred on 15 % safety pairs, seed 0: done before" in again.stdout
    assert not list(out.rglob("*.unfinished"))
    assert same(out / "findings.parquet", finished[0] / "findings.parquet")


def test_a_damaged_artifact_is_made_again(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out = finished[0]
    before = load_findings(out / "findings.parquet")
    (broken,) = (out / "reply").glob("base-*")
    (broken / "generations.parquet").unlink()
    (trained,) = (out / "train").glob("sft-share0.15-*/model/model.safetensors")
    weights = trained.read_bytes()
    trained.unlink()  # a hard link may lead to it
    trained.write_bytes(weights[:-9] + bytes([weights[-9] ^ 64]) + weights[-8:])
    again = prism(*quickstart(out))
    assert again.returncode == 0, again.stderr
    assert "train SFT-Preferred on 15 % safety pairs, seed 0: its files were altered" in again.stdout
    assert trained.read_bytes() == weights
    assert re.search(r"replies of base: \d", again.stdout)
    assert list(map(repr, load_findings(out / "findings.parquet"))) == list(map(repr, before))
    assert isinstance(before[0], Finding)


def test_another_study_does_not_take_the_place_of_the_findings(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = finished[0]
    files = [out / name for name in ("findings.parquet", "report.html", "study.json", "prompts.parquet", "plan.json")]
    before = [path.read_bytes() for path in files]
    other = prism(*[*quickstart(out), "--seed", "1"])
    assert other.returncode == 5 and "findings of another study" in other.stderr and "--replace" in other.stderr
    edited = prism("study", "show", "micro").stdout.replace("name: micro", "name: quickstart")
    (tmp_path / "mine.yaml").write_text(edited.replace("max_tokens: 32", "max_tokens: 31"))
    other = prism("study", "plan", str(tmp_path / "mine.yaml"), "--out", str(out))
    assert other.returncode == 0 and "note: the folder holds findings of another study" in other.stderr
    other = prism("study", "run", str(tmp_path / "mine.yaml"), "--out", str(out))
    assert other.returncode == 5 and "findings of another study" in other.stderr, (other.stdout, other.stderr)
    assert [path.read_bytes() for path in files] == before
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "findings.parquet").write_text("not ours")
    other = prism(*quickstart(theirs))
    assert other.returncode == 5 and "something else than a study" in other.stderr
    assert (theirs / "findings.parquet").read_text() == "not ours" and len(list(theirs.iterdir())) == 1


def test_a_second_quickstart_at_the_same_time_is_told_so(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    from alignment_prism.store import folder_lock

    with folder_lock(finished[0]):
        other = prism(*quickstart(finished[0]))
    assert other.returncode == 5 and "another prism is at work here" in other.stderr


def test_the_evaluation_prompts_are_in_the_folder_so_that_labels_can_be_drawn(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    from alignment_prism.domain import Prompt

    out = finished[0]
    prompts = read_records(out / "prompts.parquet", Prompt)
    replies = list((out / "reply").glob("*/generations.parquet"))
    assert {row.prompt_id for path in replies for row in read_records(path, Generation)} == {p.id for p in prompts}
    judged = [str(path) for path in (out / "score").glob("*/scores.parquet")]
    given = [word for path in replies for word in ("--generations", str(path))]
    drawn = prism("labels", "sample", *judged, *given, "--prompts", str(out / "prompts.parquet"),
                        "--arm", "dpo_sft", "--number", "12", "--out", str(tmp_path / "sheet.csv"))  # fmt: skip
    assert drawn.returncode == 0 and (tmp_path / "sheet.csv").is_file(), drawn.stderr


def test_wrong_arguments_are_told_before_any_work(tmp_path: Path) -> None:
    for arguments, code, words in (
        (("quickstart", "--preset", "huge"), 2, "'huge' is not one of"),
        (("quickstart", "--seed", "-1"), 2, "--seed"),
        (("study", "run", str(tmp_path / "absent.yaml")), 2, "cannot read the file"),
        (("study", "plan", "quickstrat"), 2, "quickstrat"),
        (("report", str(tmp_path / "absent.parquet")), 2, "absent.parquet"),
        (("quickstart", "--out", "/proc/none"), 5, "cannot write"),
        (("quickstart", "--preset", "micro", "--out", __file__), 5, "is a file, not a folder"),
        (("study", "plan", "micro", "--out", f"{__file__}/below"), 5, "is a file, not a folder"),
    ):
        done = prism(*arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (arguments, done.stderr)
        assert words in done.stderr and "fix:" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
