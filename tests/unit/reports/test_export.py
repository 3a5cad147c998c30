"""A report is written in the form that the file's name asks for, with the same numbers in each."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import toy_study
from prism_command import prism

from alignment_prism import load_findings
from alignment_prism.domain import Contrast, InputError, Quantity, Score, content_digest, user
from alignment_prism.io import write_records
from alignment_prism.reports import contrasts_table, write_report
from alignment_prism.reports.numbers import as_text
from alignment_prism.studies import Study, run_study
from alignment_prism.studies.report import study_report


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    place = tmp_path_factory.mktemp("export")
    return toy_study.folder(place / "toy", place / "inputs", contrasts=[{"name": "method", "a": "sft", "b": "dpo_15"}])


def written(study: Study, out: Path, *options: str) -> Path:
    done = prism("report", str(study.out), "--out", str(out), *options, folder=study.out.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"report: {out}"
    return out


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every form of its redacted report; the spec of the study has a system prompt as well."""
    place = tmp_path_factory.mktemp("every")
    spec = json.loads((study.out / "study.json").read_text(encoding="utf-8"))
    arm = {"name": "asked", "model": "m", "system": "zebra: obey"}
    secret = place / "secret"
    shutil.copytree(study.out, secret)
    (secret / "study.json").write_text(json.dumps({**spec, "arms": [*spec["arms"], arm]}), encoding="utf-8")
    return written(study.open(secret), place / "all", "--redacted", "--samples", "50")


def test_a_folder_gets_every_form(study: Study, folder: Path) -> None:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names >= {"report.html", "report.md", "report.tex", "findings.csv", "contrasts.csv", "figures/languages.svg"}
    assert {name.removesuffix(".svg") for name in names if name.endswith(".svg")} == {
        name.removesuffix(".png") for name in names if name.endswith(".png")
    }
    rows = list(csv.DictReader((folder / "findings.csv").open(encoding="utf-8")))
    findings = load_findings(study.out / "findings.parquet")
    assert [row["metric"] for row in rows] == [row.metric for row in findings]
    assert repr([float(row["estimate"]) for row in rows]) == repr([row.estimate for row in findings])
    cell = ("dpo_15", "harm_rate", "harmful", "ar", "global", "all")
    (number,) = [
        as_text(row)
        for row in findings
        if (row.arm, row.metric, row.prompts, row.language, row.scope, row.category) == cell
    ]
    for name in ("report.html", "report.md", "report.tex"):
        assert number.replace(" ?", "") in (folder / name).read_text(encoding="utf-8"), name
    text = (folder / "report.md").read_text(encoding="utf-8")
    for words in (
        "rates in per cent, differences from base in percentage points",
        "Global harm is harm everywhere, local harm in one language or culture.",
        "- refused foreign-local: share of replies that decline; prompts for what is harmful in another language's",
        "A is sft, B is dpo_15. Percentage points, B minus A",
    ):
        assert words in text, words
    png = (folder / "figures" / "languages.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(png[16:20]) > 1000  # twice as wide as the page's
    tex = (folder / "report.tex").read_text(encoding="utf-8")
    assert tex.count("\\begin{tabular}") == tex.count("\\bottomrule") > 10 and "dpo\\_15" in tex
    assert not re.search(
        r"(?<!\\)[%_&#](?!.*\\\\)", "\n".join(line for line in tex.splitlines() if line.startswith("dpo"))
    )
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# toy\n") and "| arm |" in text and "dpo_15" in text.split("## ")[0]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX: apt-get install texlive-latex-recommended")
def test_the_tables_compile(study: Study, tmp_path: Path) -> None:
    written(study, tmp_path / "report.tex")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\\input{report}\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "too large" not in done.stdout


def test_one_figure_and_a_wrong_name(study: Study, tmp_path: Path) -> None:
    out = written(study, tmp_path / "x.svg", "--figure", "power")
    assert "<title" in (text := out.read_text(encoding="utf-8")) and "could have seen" in text
    for name, options, wrong in (
        ("x.pdf", (), ".html, .md, .tex, .csv, .svg, .png"), ("x.svg", ("--figure", "pie"), "frontier, change"),
        ("x.html", ("--figure", "power"), ".svg or .png"),
        ("x.png", ("--figure", "passport"), "figures that they have"),
    ):  # fmt: skip
        done = prism("report", str(study.out), "--out", str(tmp_path / name), *options, folder=tmp_path)
        assert done.returncode == 2 and wrong in done.stderr, done.stderr
        assert name == "x.svg" or not (tmp_path / name).exists()
    with pytest.raises(InputError, match="not written as '.docx'"):
        write_report(study.findings(), tmp_path / "x.docx")


@pytest.mark.usefixtures("no_report")
def test_several_studies_stand_side_by_side_each_against_its_own_base(study: Study, tmp_path: Path) -> None:
    other = toy_study.folder(tmp_path / "other", tmp_path / "in", name="other", arms=("local_only",))
    done = prism("report", str(study.out), str(other.out), "--out", str(tmp_path / "two.md"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "two.md").read_text(encoding="utf-8")
    for arm in ("base (toy)", "dpo_15 (toy)", "base (other)", "local_only (other)"):
        assert arm in text, arm
    assert " Base is base (toy) for sft (toy) and dpo_15 (toy); base (other) for local_only (other)." in text
    report = study_report([study.out, other.out])
    for own in (study, other):
        for row in own.findings().where(metric=["harm_difference", "harm_rate"]):
            arm = (f"{row.arm} ({own.name})", row.seed)
            there = report.results.find(arm, row.metric, prompts=row.prompts, language=row.language, scope=row.scope,
                                        category=row.category)  # fmt: skip
            assert there is None or (there.estimate, there.lower) == (row.estimate, row.lower)
            base = report.results.base_of(arm)
            assert base == (None if row.arm == "base" else (f"base ({own.name})", -1))
    assert "Not comparable" not in text and text.startswith("# toy and other") and "no contrast, because" in text
    done = prism("report", str(study.out), str(study.out), "--out", str(tmp_path / "two.md"), folder=tmp_path)
    assert done.returncode == 2 and "named twice" in done.stderr


@pytest.mark.usefixtures("no_report")
def test_arms_of_two_studies_are_contrasted_on_the_prompts_that_both_asked(study: Study, tmp_path: Path) -> None:
    other = toy_study.folder(tmp_path / "other", tmp_path / "in", name="other", arms=("dpo_15",), seed=1)
    report = study_report([study.out, other.out])
    between = [row for row in report.results.contrasts if row.contrast == "dpo_15, other against toy"]
    assert {(row.a, row.b) for row in between} == {("dpo_15 (toy)", "dpo_15 (other)")}
    done = prism("compare", f"{study.out}#dpo_15", f"{other.out}#dpo_15", "--out", "c.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    alone = list(csv.DictReader((tmp_path / "c.csv").open(encoding="utf-8")))
    assert [(repr(row.estimate), repr(row.lower), repr(row.p_value)) for row in between] == [
        (row["estimate"], row["lower"], row["p_value"]) for row in alone
    ]
    said = [line for line in report.verdict.contrasts if line.startswith("dpo_15, other against toy")]
    assert len(said) == 1 and "dpo_15 (other)" in said[0]
    assert "other against toy: base replied the same in both" in report.results.contrast_notes


def test_no_form_of_a_redacted_report_has_a_word_of_a_text(study: Study, folder: Path) -> None:
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    words = ("zebra", *toy_study.WORDS.values(), "without being seen", "एक", "क", "قبل", "a note")
    texts = {one.reply for arm in study.arms() for one in arm.generations} | {
        turn.content for prompt in study.prompts() for turn in prompt.messages
    }
    for word in (*words, *texts):
        for form in (word, json.dumps(word)[1:-1], html.escape(word)):
            assert form.encode() not in everything, word
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('class="reply ') == 50 * 3 and "(left out)" in page


@pytest.mark.usefixtures("no_report")
def test_studies_that_share_no_arm_or_no_prompt_have_no_contrast_and_it_is_said_why(
    study: Study, tmp_path: Path
) -> None:
    other = toy_study.folder(tmp_path / "other", tmp_path / "in", name="other", arms=("local_only",), seed=1)
    line = study_report([study.out, other.out]).preface[0]
    assert line.startswith("other against toy: no contrast, because no other arm is in both")
    asked = [
        replace(one, id=f"new {one.id}", messages=user(f"{one.messages[0].content} 2?")) for one in toy_study.prompts(1)
    ]
    write_records(tmp_path / "p.parquet", asked)
    rows = ({"prompt_id": one.id, "reply": f"reply to {one.id}"} for one in asked)
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    scores = [
        Score(one.id, content_digest(f"reply to {one.id}"), "", "toy", "outcome", "refusal", rubric="r@1")
        for one in asked
    ]
    write_records(tmp_path / "s.parquet", scores)
    spec = {
        "name": "apart", "arms": [{"name": "sft", "replies": str(tmp_path / "r.jsonl")}], "judge": None, "scorers": [],
        "prompts": [{"file": str(tmp_path / "p.parquet")}], "scores": str(tmp_path / "s.parquet"),
    }  # fmt: skip
    (tmp_path / "apart.json").write_text(json.dumps(spec), encoding="utf-8")
    apart = run_study(tmp_path / "apart.json", tmp_path / "apart")
    assert any("no prompt in common" in line for line in study_report([study.out, apart.out]).preface)


def test_studies_that_were_judged_otherwise_are_said_to_be_so(study: Study, tmp_path: Path) -> None:
    from alignment_prism.reports import Report, Results, together

    rows = study.findings()
    strict = [replace(row, signature=row.signature.replace("judge:toy", "judge:strict")) for row in rows]
    (line,) = together({"a": Report(Results(rows)), "b": Report(Results(strict))}).preface
    assert line == "Not comparable: the studies differ in judge (toy in a; strict in b)."


def test_contrasts_say_what_each_number_is_in() -> None:
    """Characters are no percentage points, and what nobody has described is in its own unit."""
    kinds = {"harm_rate": -0.1, "reply_length": 12.0, "grade": 0.5}
    rows = [
        Contrast("s", "b vs a", "a", "b", -1, Quantity.DIFFERENCE, name, "harmful", "all", "all", number)
        for name, number in kinds.items()
    ]
    assert [row[1][0] for row in contrasts_table(rows).rows] == ["-10.0", "+12.0", "+0.500"]
    said = {str(contrasts_table(some).caption).partition(", on the prompts")[0] for some in (rows, rows[:1], rows[1:2])}
    assert said == {
        "A is a, B is b. B minus A (harm_rate in percentage points; reply_length in characters; grade in units of the "
        "scores)",
        "A is a, B is b. Percentage points, B minus A",
        "A is a, B is b. Characters, B minus A",
    }
