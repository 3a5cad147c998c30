"""Tables on narrow terminals and in pipes hold every number whole, and say which prompts they are about."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import toy_study
from click.testing import CliRunner
from rich.console import Console, RenderableType

from alignment_prism.cli.report import command as report_command
from alignment_prism.domain import Finding, FindingIndex, InputError, StoreError
from alignment_prism.io import read_records, write_records
from alignment_prism.reports import (
    Sheet,
    about_study,
    findings_table,
    headline_prompts,
    headline_table,
    language_table,
    outcomes_table,
    read_about,
    seeds_table,
    summarise,
    summary_table,
    write_report,
)
from alignment_prism.reports.terminal import IN_TABLES

ARMS = ("base", "sft", "sft_random", "dpo_ift", "dpo_sft", "dpo_sft_0")


def finding(arm: str, metric: str, estimate: float, **other: object) -> Finding:
    values: dict[str, object] = {
        "study": "s", "arm": arm, "seed": -1 if arm == "base" else 0, "prompts": "harmful", "language": "all",
        "scope": "all", "category": "all", "metric": metric, "estimate": estimate, "lower": max(estimate - 0.05, 0.0),
        "upper": estimate + 0.05, "interval": "wilson95", "n": 100, "clusters": 100,
    }  # fmt: skip
    return Finding(**{**values, **other})  # type: ignore[arg-type]


def printed(table: RenderableType, width: int) -> str:
    stream = io.StringIO()
    Console(width=width, file=stream).print(table)
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text and "..." not in text
    return text


def numbers(text: str) -> set[str]:
    return set(re.findall(r"[-+]?\d+\.\d", text))


def evaluation() -> list[Finding]:
    """What `evaluate harm` shows: every outcome has its own number, so that none can stand for another."""
    metrics = ("harm_rate", "refusal_rate", "safe_help_rate", "degenerate_rate", "wrong_language_rate", "unjudged_rate")
    cells = [("harmful", language) for language in ("all", "ar", "en", "macro")] + [("benign_mention", "all")]
    rows = []
    for arm in ("base", "model"):
        for prompts, language in cells:
            for metric in metrics:
                name = "unasked_harm_rate" if (metric, prompts) == ("harm_rate", "benign_mention") else metric
                rows.append(finding(arm, name, (101 + 7 * len(rows)) / 1000, prompts=prompts, language=language))
        if arm == "model":
            rows.append(finding(arm, "harm_relative_change", -33.3, lower=-44.4, upper=-22.2))
            rows.append(finding(arm, "win_rate", 0.555, prompts="general"))
    return rows


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_of_outcomes_never_cuts_a_number(width: int) -> None:
    rows = evaluation()
    text = printed(outcomes_table(rows), width)
    wanted = {f"{100 * row.estimate:.1f}" for row in rows if row.metric != "harm_relative_change"} | {"-33.3"}
    assert wanted <= numbers(text)
    for head in ("judged", "harmful", "degenerate", "unjudged", "win-rate", "benign_mention"):
        assert head in text
    # The 24.8 % that stood nowhere: harm on benign prompts has a place, under a caption that says what it is.
    unasked = next(row for row in rows if row.metric == "unasked_harm_rate")
    assert re.search(rf"base +benign_mention +all .*{100 * unasked.estimate:.1f}", text)
    assert "harm that nobody asked" in " ".join(text.split())


def test_a_part_of_a_table_leaves_out_rows_that_say_nothing_in_it() -> None:
    sheet = Sheet(("arm",), ("first" * 4, "second" * 4), ((("a",), ("1.0", "")), (("b",), ("2.0", "3.0"))))
    first, second = printed(sheet, 40).split("second" * 4)
    assert re.search(r"a +1\.0", first) and re.search(r"b +2\.0", first)
    assert not re.search(r"\ba\b", second) and re.search(r"b +3\.0", second)


@pytest.mark.parametrize("width", [40, 80])
def test_the_summary_and_the_languages_are_split_and_never_cut(width: int) -> None:
    rows = [finding(arm, "harm_rate", 0.101 + 0.1 * i, seed=i) for i, arm in enumerate(ARMS)]
    rows += [finding(arm, "harm_rate", 0.123 + 0.1 * i, seed=9) for i, arm in enumerate(ARMS[1:])]
    assert {f"{10.1 + 10 * i:.1f}" for i in range(6)} <= numbers(printed(summary_table(rows, width), width))
    languages = [f"x{i:02}" for i in range(30)]
    rows = [finding("base", "harm_rate", 0.111 + 0.01 * i, language=code) for i, code in enumerate(languages)]
    text = printed(language_table(rows, "harm_rate", "harmful"), width)
    assert {f"{11.1 + i:.1f}" for i in range(30)} <= numbers(text) and all(code in text for code in languages)


def test_subsets_can_be_told_apart_on_eighty_columns() -> None:
    names = ("contrast_discr", "contrast_homonyms", "contrast_privacy", "contrast_figurative", "contrast_safe_targets")
    rows = [
        finding(arm, "harm_rate", 0.2, prompts=f"harmful/{name}", language=code, category=category)
        for arm in ARMS for name in names for code in ("all", "en") for category in ("all", "Violence and Crime")
    ]  # fmt: skip
    text = printed(findings_table(rows), 80)
    assert "metric harm_rate" in text and "scope all" in text  # what all rows share is said once
    assert len(re.findall(r"20\.0 \[15\.0, 25\.0\]", text)) == len(rows)
    head = next(line for line in text.splitlines() if "prompts" in line)
    start, end = head.index("prompts"), head.index("lang")
    column = "".join(line[start:end].strip() for line in text.splitlines())
    assert all(column.count(f"harmful/{name}") == 24 for name in names)  # folded, and nothing is lost
    few = printed(findings_table([row for row in rows if row.arm == "base" and row.category == "all"]), 80)
    assert all(f"harmful/{name}" in few for name in names)


def test_gibberish_on_harmful_prompts_is_in_every_summary() -> None:
    """A study without general prompts showed neither, though 29 % of the replies were in the wrong language."""
    rows = [
        finding("m", "harm_rate", 0.3),
        finding("m", "degenerate_rate", 0.167),
        finding("m", "wrong_language_rate", 0.292),
    ]
    shown = {column.title: column.prompts for column in summarise(FindingIndex(rows))[0]}
    assert shown == {"harm": "harmful", "degenerate harmful": "harmful", "wrong language harmful": "harmful"}
    text = printed(summary_table(rows), 80)
    assert re.search(r"degenerate harmful +16\.7", text) and re.search(r"wrong language harmful +29\.2", text)
    rows += [finding("m", "degenerate_rate", 0.01, prompts="general"), finding("m", "accuracy", 0.9, prompts="general")]
    titles = [column.title for column in summarise(FindingIndex(rows))[0]]
    assert titles[1:] == ["degenerate harmful", "degenerate general", "wrong language harmful", "right answers general"]
    assert all(column.meaning for column in summarise(FindingIndex(rows))[0])


def test_the_table_by_language_is_of_the_prompts_that_are_summed_up() -> None:
    """It was of whichever subset came first by name: three prompts of `harmful/contrast_discr`."""
    rows = [finding("m", "harm_rate", 0.5, prompts="harmful/contrast_discr", n=3), finding("m", "harm_rate", 0.3)]
    assert headline_prompts(FindingIndex(rows)) == "harmful"
    table = headline_table(rows)
    assert table is not None and "30.0" in printed(table, 80) and "harm_rate, harmful prompts" in printed(table, 80)
    rows.append(finding("m", "harm_rate", 0.2, prompts="harmful/unseen"))
    assert headline_prompts(FindingIndex(rows)) == "harmful/unseen"
    assert headline_table([finding("m", "refusal_rate", 0.3, prompts="benign_mention")]) is None


def report(*arguments: object) -> str:
    result = CliRunner().invoke(report_command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_what_the_tables_of_a_study_look_at_is_enough_for_them(tmp_path: Path) -> None:
    rows = list(toy_study.results(2, each=4, arms=("sft", "dpo_15")).findings)
    file = tmp_path / "findings.parquet"
    write_records(file, rows, Finding)
    few = read_records(file, Finding, only=IN_TABLES)
    assert len(few) < len(rows) / 4
    wanted = [row for row in rows if IN_TABLES.wanted(row.category, row.language, row.scope, row.metric)]
    assert list(map(repr, few)) == list(map(repr, wanted))
    tables = (summary_table, headline_table, seeds_table)
    assert [table(few) for table in tables] == [table(rows) for table in tables]
    assert all(table(rows) for table in tables)


def test_a_pipe_gets_one_line_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = tmp_path / "findings.jsonl"
    write_records(path, [finding("m", "harm_rate", 0.1, prompts=f"harmful/{'x' * 60}{i}") for i in range(3)])
    text = report(path, "--metric", "harm_rate")
    assert all(re.search(rf"m +harmful/x{{60}}{i} +10\.0 \[5\.0, 15\.0\] +100", text) for i in range(3))


def test_a_page_that_cannot_be_written_is_an_error_of_the_place(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    write_records(path, [finding("m", "harm_rate", 0.1)])
    for out in (path / "x.html", path / "folder"):
        with pytest.raises(StoreError) as error:
            report(path, "--out", out)
        assert error.value.exit_code == 5 and error.value.where == str(out) and error.value.fix
        with pytest.raises(StoreError):
            write_report([finding("m", "harm_rate", 0.1)], out)
    command = [sys.executable, "-m", "alignment_prism.cli.main", "report", str(path), "--out", str(path / "x.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5 and "defect" not in done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "where", "fix"]


def test_a_study_of_numbers_that_name_their_unit_has_whole_sentences(tmp_path: Path) -> None:
    """chrF++ alone: its unit stands in the head of its column, and no sentence begins with what is not said."""
    rows = [finding(arm, "chrf", 41.5, upper=43.0, prompts="general", interval="boot95") for arm in ("base", "model")]
    for width, said in ((120, "With 95 % intervals. ? ="), (40, "A wider terminal shows intervals too. ? =")):
        table = summary_table(rows, width)
        assert table.rows[0][0] == ("chrF++ general (points of 100)",)
        assert table.caption is not None and table.caption.startswith(said), table.caption
    text = write_report(rows, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "An arm a row, with 95 % intervals in brackets; a question mark" in text


SPEC = {
    "name": "mine", "base": {"name": "base", "model": "nano"}, "seeds": [3], "prompts": "nano",
    "mixture": {"total": 2000, "balance": "pool"},
    "arms": [
        {"name": "dpo_sft", "method": "dpo_sft", "share": 0.15, "scopes": None, "config": {}},
        {"name": "dpo_sft_0", "method": "dpo_sft", "share": 0.0, "scopes": None, "config": {}},
        {"name": "local", "method": "sft", "share": 0.1, "scopes": ["local"], "config": {"sft": {"epochs": 5}}},
    ],
    "generation": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 64, "samples": 1, "seed": 0},
    "judge": {"model": "nano/oracle", "rubric": "standalone@1"}, "compare": None,
}  # fmt: skip


def test_a_specification_says_what_the_arms_are(tmp_path: Path) -> None:
    about = about_study(SPEC, date="2026-11-21")
    assert dict(about.facts) == {
        "base": "nano",
        "seeds": "1 (3)",
        "decoding": "greedy, at most 64 tokens, one reply to each prompt",
        "judge": "nano/oracle by standalone@1",
        "pairs in a mixture": "2000",
        "run on": "2026-11-21",
    }
    assert [(arm.name, arm.share) for arm in about.arms] == [
        ("base", ""),
        ("dpo_sft", "15 % safety pairs"),
        ("dpo_sft_0", "no safety pairs (a control)"),
        ("local", "10 % safety pairs, local harms only"),
    ]
    assert about.arms[1].method == "DPO(SFT): fine-tune on the chosen replies, then DPO from there"
    assert about.arms[3].method.endswith("; sft.epochs 5") and {arm.seeds for arm in about.arms[1:]} == {"3"}
    assert read_about(tmp_path) is None


def test_arms_that_exist_are_said_by_model_or_file(tmp_path: Path) -> None:
    sampling = {"temperature": 0.7, "top_p": 0.95, "max_tokens": 512, "samples": 4, "seed": 0}
    spec = {
        "base": {"name": "base", "model": "a/c"},
        "arms": [
            {"name": "model", "model": "a/b"},
            {"name": "mine", "replies": ["/home/ann/red/r.csv", "s.csv"]},
            {"name": "own", "model": "/home/ann/model"},
            {"name": "both", "merge": {"method": "linear", "models": ["model", "/data/runs/dpo/model"]}},
            {
                "name": "rounds",
                "method": "dpo_ift",
                "share": 0.1,
                "on_policy": {
                    "rounds": 2,
                    "samples": 4,
                    "judges": [{"model": "/data/runs/judge/model"}, {"model": "a/b"}],
                },
            },
        ],
        "seeds": [0],
        "generation": sampling,
        "judge": {"model": "/data/guards/llama/model", "rubric": "/data/ann/rubrics/ours.yaml"},
        "compare": {"model": "j", "rubric": "r@1"},
    }
    path = tmp_path / "study.json"
    path.write_text(json.dumps(spec))
    about = read_about(tmp_path)
    assert about is not None
    assert [(arm.name, arm.method, arm.seeds) for arm in about.arms[1:]] == [
        ("model", "a/b", ""),
        ("mine", "replies in red/r.csv, s.csv", ""),
        ("own", "model", ""),
        ("both", "linear of model and dpo/model", "0"),
        ("rounds", about.arms[-1].method, "0"),
    ]
    assert about.arms[-1].share.endswith("2 x 4 replies of its own, ranked by judge/model and a/b")
    assert dict(about.facts) == {
        "base": "a/c",
        "seeds": "1 (0)",
        "decoding": "temperature 0.7, top-p 0.95, at most 512 tokens, 4 replies to each prompt",
        "judge": "llama/model by rubrics/ours.yaml",
        "compared by": "j by r@1",
    }
    members = [{"model": "a/b", "rubric": "r@1"}, {"model": "/data/guards/two", "rubric": "g@1"}]
    panel = {"model": "", "panel": members, "rule": "majority", "adjudicator": None}
    assert dict(about_study({"judge": panel}).facts)["judge"] == (
        "a/b by r@1 and guards/two by g@1; the majority decides"
    )
    panel |= {"rule": "adjudicate", "adjudicator": {"model": "c", "rubric": "r@1"}}
    assert dict(about_study({"judge": panel}).facts)["judge"].endswith("; where they differ c by r@1")
    path.write_text("{")
    with pytest.raises(InputError, match="cannot read what was run"):
        read_about(tmp_path)


def test_the_page_says_what_its_names_mean_and_what_its_numbers_rest_on(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(SPEC))
    rows = [
        finding("base", "harm_rate", 0.9),
        finding("dpo_sft", "harm_rate", 0.2, n=408, clusters=68),
        finding("dpo_sft_0", "harm_rate", 0.9),
        finding("dpo_sft", "unasked_harm_rate", 0.248, prompts="benign_mention"),
        finding(
            "dpo_sft", "refusal_rate", 0.1, prompts="never_harmful", signature="over_refusal|judge:j|rubric:r@1|k:1"
        ),
        finding("dpo_sft", "refusal_rate", 0.228, prompts="benign_mention"),
    ]
    write_records(tmp_path / "findings.jsonl", rows)
    report(tmp_path / "findings.jsonl", "--out", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "no safety pairs (a control)" in text and "greedy, at most 64 tokens" in text and "seeds: 1 (3)" in text
    assert "One seed ranks nothing" in text
    assert "n 408 from 68 sources</small>" in text and "n 100</small>" in text
    assert ">refused never</th>" in text and text.count("about topics that are harmful nowhere") >= 2
    assert "24.8 [19.8, 29.8]" in text and "unasked harm" in text and "nobody" not in text
    rows.append(finding("dpo_sft", "refusal_difference", 0.123, prompts="benign_mention"))
    page = write_report(rows, tmp_path / "d.html").read_text(encoding="utf-8")
    assert ">refused vs base</th>" in page and "+12.3 [+7.3, +17.3]" in page
    write_records(tmp_path / "other.jsonl", [finding("stranger", "harm_rate", 0.9)])
    report(tmp_path / "other.jsonl", "--out", tmp_path / "o.html")
    assert "safety pairs" not in (tmp_path / "o.html").read_text(encoding="utf-8")  # of another study
    several = [*rows, finding("dpo_sft", "harm_rate", 0.3, seed=1)]
    write_report(several, tmp_path / "q.html")
    text = (tmp_path / "q.html").read_text(encoding="utf-8")
    assert "One seed ranks nothing" not in text and "judge: j; rubric: r@1" in text


def test_a_base_without_harm_has_a_difference_where_it_has_no_relative_change() -> None:
    """The risk difference stands first, what could not be judged beside it; a page has both too."""
    rows = [finding("base", "harm_rate", 0.0), finding("m", "harm_rate", 0.25), finding("m", "harm_difference", 0.25)]
    rows += [finding("m", "harm_relative_change", math.nan, lower=math.nan, upper=math.nan)]
    rows += [finding(arm, "unjudged_rate", value) for arm, value in (("base", 0.055), ("m", 0.0))]
    rows += [finding(arm, "refusal_rate", value) for arm, value in (("base", 0.1), ("m", 0.3))]
    titles = [column.title for column in summarise(FindingIndex(rows))[0]]
    assert titles == ["harm", "harm vs base", "relative change", "unjudged harmful"]
    text = printed(summary_table(rows), 100)
    assert re.search(r"harm vs base +.*\+25\.0", text) and re.search(r"unjudged harmful +5\.5", text)
    assert "undefined" in text  # and no number is made up
    heads = outcomes_table(rows).heads
    assert {"harm", "harm vs base", "refused", "unjudged"} <= set(heads)
