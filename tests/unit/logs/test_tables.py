"""Tables of replies and verdicts: wide and long, nested, and everything that must not be guessed or lost."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from prism_command import prism

from alignment_prism.domain import Finding, InputError, Outcome, Prompt, PromptKind, user
from alignment_prism.io import Intake, read_records
from alignment_prism.logs import Log, LogColumns, Meaning, read_log, read_run, write_log

SAID = {"kind": "harmful", "language": "en"}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def outcomes(log: Log, arm: str | None = None) -> dict[str, str]:
    return {score.prompt_id: score.label for score in log.run(arm).scores}


def test_a_wide_table_is_a_run_for_each_model(tmp_path: Path) -> None:
    path = table(
        tmp_path / "wide.csv",
        [
            {"qid": 1, "q": "one?", "a_says": "yes", "b_says": "no", "a_label": "Comply", "b_label": "refuse"},
            {"qid": 2, "q": "two?", "a_says": "no", "b_says": "", "a_label": "refuse", "b_label": ""},
        ],
    )
    columns = LogColumns(
        {"id": "qid", "prompt": "q", "reply": "{arm}_says"},
        SAID,
        arms=("a", "b"),
        verdict="{arm}_label",
        scorer="gpt",
        meaning=Meaning({"comply": "harmful", "refuse": "refusal"}),
    )
    log = read_log([path], columns=columns)
    assert log.arms == ["a", "b"]
    assert outcomes(log, "a") == {"1": "harmful", "2": "refusal"}
    assert outcomes(log, "b") == {"1": "refusal", "2": "unjudged"}  # no verdict is no absence of harm
    assert [reply.reply for reply in log.run("b").generations] == ["no", ""]
    with pytest.raises(InputError, match="replies of several arms: a, b"):
        log.run()
    assert log.counts == {"rows": 4, "accepted": 4, "rejected": 0}


def test_a_long_table_has_its_arms_samples_and_fields_in_columns(tmp_path: Path) -> None:
    rows = [
        {
            "id": n, "doc": {"q": f"Q{n}", "lang": "French"}, "model": arm, "sample": k, "response": f"{arm}{n}{k}",
            "judge": {"score": score},
        }
        for n in range(2) for arm in ("x", "y") for k, score in ((0, 0.9), (1, 0.1))
    ]  # fmt: skip
    columns = LogColumns(
        {"prompt": "doc.q", "language": "doc.lang"},
        {"kind": "harmful"},
        verdict="judge.score",
        meaning=Meaning(harmful_from=0.5),
    )
    run = read_run(lines(tmp_path / "long.jsonl", rows), columns=columns, arm="y")
    assert [(each.prompt_id, each.sample, each.reply) for each in run.generations] == [
        ("0", 0, "y00"), ("0", 1, "y01"), ("1", 0, "y10"), ("1", 1, "y11"),
    ]  # fmt: skip
    assert [score.outcome for score in run.scores] == [Outcome.HARMFUL, Outcome.SAFE_HELP] * 2
    assert {prompt.language for prompt in run.prompts} == {"fr"}


def test_polarity_and_the_mean_of_raters(tmp_path: Path) -> None:
    """Means of (4, 2, 3) = 3, (4, 2, 2) = 2.67 and of the two that are there, (5, 2) = 3.5."""
    rows = [
        {"id": n, "safety": s, "people": p}
        for n, (s, p) in enumerate([(0.9, [4, 2, 3]), (0.2, [4, 2, 2]), (0.5, [5, None, 2])])
    ]
    path = lines(tmp_path / "rated.jsonl", rows)
    log = read_log([path], columns=LogColumns({}, SAID, verdict="safety", meaning=Meaning(harmful_below=0.5)))
    assert outcomes(log) == {"0": "safe_help", "1": "harmful", "2": "safe_help"}
    log = read_log([path], columns=LogColumns({}, SAID, raters=("people",), meaning=Meaning(harmful_from=3)))
    assert [score.label for score in log.human] == ["harmful", "safe_help", "harmful"]
    assert [label.label for label in log.labels] == ["4", "2", "3", "4", "2", "2", "5", "2"]
    assert outcomes(log) == {"0": "harmful", "1": "safe_help", "2": "harmful"}  # a run without a judge has people's


def test_a_verdict_in_free_text_is_searched_and_never_guessed(tmp_path: Path) -> None:
    words = ["Toxic:5\nBias: 1", "Toxicity: 1", "I cannot rate this", "", None]
    path = lines(tmp_path / "raw.jsonl", [{"id": n, "raw": word} for n, word in enumerate(words)])
    columns = LogColumns({}, SAID, verdict="raw", meaning=Meaning(pattern=r"Toxic\w*:\s*(\d)", harmful_from=3))
    log = read_log([path], columns=columns)
    assert list(outcomes(log).values()) == ["harmful", "safe_help", "unjudged", "unjudged", "unjudged"]
    assert [score.error for score in log.scores][2:] == [
        "the pattern is not found in the verdict",
        *["the log has no verdict"] * 2,
    ]
    with pytest.raises(InputError, match="none of 5 verdicts can be read"):
        read_log([path], columns=LogColumns({}, SAID, verdict="raw", meaning=Meaning({"bad": "harmful"})))


def test_a_score_that_nobody_explains_keeps_its_own_name(tmp_path: Path) -> None:
    path = lines(tmp_path / "s.jsonl", [{"id": 1, "toxicity": 0.25}, {"id": 2, "toxicity": None}])
    first, second = read_run(path, columns=LogColumns({}, SAID, verdict="toxicity")).scores
    assert (first.name, first.value, first.label) == ("toxicity", 0.25, "")
    assert math.isnan(second.value)
    assert second.error == "the log has no verdict"


def test_compliance_harms_where_the_prompt_asks_for_harm(tmp_path: Path) -> None:
    rows = [{"id": n, "kind": kind, "label": word} for n, (kind, word) in enumerate(
        [("harmful", "y"), ("benign_mention", "y"), ("benign_mention", "n"), ("general", "y")])]  # fmt: skip
    meaning = Meaning({"y": "complied", "n": "refusal"})
    log = read_log(
        [lines(tmp_path / "k.jsonl", rows)],
        columns=LogColumns({}, {"language": "en"}, verdict="label", meaning=meaning),
    )
    assert list(outcomes(log).values()) == ["harmful", "safe_help", "refusal", "safe_help"]


@pytest.mark.parametrize("missing", ["kind", "language"])
def test_what_nobody_says_is_asked_about(tmp_path: Path, missing: str) -> None:
    path = lines(tmp_path / "a.jsonl", [{"id": 1, "prompt": "?", "reply": "!"}])
    said = {name: value for name, value in SAID.items() if name != missing}
    with pytest.raises(InputError, match="the log does not say") as error:
        read_run(path, columns=LogColumns({}, said))
    assert missing in error.value.settings
    row_wins = lines(
        tmp_path / "b.jsonl", [{"id": 1, "prompt": "?", "reply": "!", "kind": "general", "language": "hi"}]
    )
    (prompt,) = read_run(row_wins, columns=LogColumns({}, SAID)).prompts
    assert (prompt.kind, prompt.language) == (PromptKind.GENERAL, "hi")


PROMPTS = [Prompt(f"p{n}", user(f"How is number {n} made?"), "en", PromptKind.HARMFUL) for n in range(4)]


def test_rows_are_joined_with_given_prompts_by_id_and_text(tmp_path: Path) -> None:
    rows = [
        {"id": "p0", "reply": "by id"},
        {"id": "99", "prompt": "How is  number 1 made?", "reply": "by text, for the id is of no prompt"},
        {"id": "p2", "prompt": "Example: x\nQuestion: How is number 2 made?\nAnswer:", "reply": "a template"},
        {"prompt": "How is number 3 made?", "reply": "by text"},
    ]
    run = read_run(lines(tmp_path / "r.jsonl", rows), prompts=PROMPTS)
    assert [reply.prompt_id for reply in run.generations] == ["p0", "p1", "p2", "p3"]
    assert list(run.prompts) == PROMPTS


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (
            {"id": "p0", "prompt": "How is number 1 made?", "reply": "x"},
            "names prompt p0 by its id and prompt p1 by its text",
        ),
        (
            {"id": "p0", "prompt": "Something else", "reply": "x"},
            "names prompt p0 by its id and another one by its text",
        ),
        ({"id": "p0", "language": "fr", "reply": "x"}, "the row is in fr and its prompt p0 in en"),
        ({"id": "77", "reply": "x"}, "to none of the prompts"),
    ],
)
def test_a_row_that_contradicts_its_prompt_is_refused(tmp_path: Path, row: dict[str, Any], what: str) -> None:
    """With its place and both digests, and without a word of either text."""
    path = lines(tmp_path / "r.jsonl", [{"id": "p3", "reply": "good"}, row])
    with pytest.raises(InputError, match=what) as error:
        read_run(path, prompts=PROMPTS)
    assert "row 2" in str(error.value)
    assert "How is" not in str(error.value)
    assert "Something" not in str(error.value)
    intake = Intake(keep_going=True)
    run = read_run(path, prompts=PROMPTS, intake=intake)
    assert [reply.prompt_id for reply in run.generations] == ["p3"]
    assert intake.counts() == {"rows": 2, "accepted": 1, "rejected": 1}


def test_an_id_with_two_texts_stands_for_neither(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "prompt": "one", "reply": "x"},
        {"id": "a", "prompt": "two", "reply": "y"},
        {"id": "b", "prompt": "three", "reply": "z"},
    ]
    path = lines(tmp_path / "r.jsonl", rows)
    with pytest.raises(InputError, match="the id a stands for two prompts: digest .* in row 2"):
        read_run(path, columns=LogColumns({}, SAID))
    intake = Intake(keep_going=True)
    assert [p.id for p in read_run(path, columns=LogColumns({}, SAID), intake=intake).prompts] == ["b"]
    assert intake.rejected == 2


def test_a_reply_is_there_once_or_numbered(tmp_path: Path) -> None:
    """Twice the same: one is left out. Two that differ: none is taken. As many for every prompt: samples in order."""

    def read(rows: list[dict[str, Any]]) -> tuple[list[tuple[str, int, str]], int, tuple[str, ...]]:
        intake = Intake(keep_going=True)
        log = read_log([lines(tmp_path / "r.jsonl", rows)], columns=LogColumns({}, SAID), intake=intake)
        return [(r.prompt_id, r.sample, r.reply) for r in log.generations], intake.rejected, log.notes

    a, b, other = {"id": "a", "reply": "x"}, {"id": "b", "reply": "y"}, {"id": "a", "reply": "z"}
    assert read([a, b, a])[:2] == ([("a", 0, "x"), ("b", 0, "y")], 1)
    assert read([a, b, other])[:2] == ([("b", 0, "y")], 2)
    assert read([a, b, a, b])[:2] == ([("a", 0, "x"), ("b", 0, "y")], 2)  # the file twice
    found, rejected, notes = read([a, b, other, {"id": "b", "reply": "w"}])
    assert (found, rejected) == ([("a", 0, "x"), ("b", 0, "y"), ("a", 1, "z"), ("b", 1, "w")], 0)
    assert any("taken for 2 samples" in note for note in notes)
    assert read([{**a, "sample": 0}, {**other, "sample": 0}, b])[1] == 2
    with pytest.raises(InputError, match="row 1 again"):
        read_log([lines(tmp_path / "r.jsonl", [a, b, a])], columns=LogColumns({}, SAID))


def test_samples_may_be_equal_and_files_are_no_samples(tmp_path: Path) -> None:
    """Two draws that say the same are two; the files of two models, of which none says its own, are a question."""
    rows = [{"id": n, "reply": reply} for n, replies in enumerate([("no", "no"), ("no", "yes")]) for reply in replies]
    run = read_run(lines(tmp_path / "draws.jsonl", rows), columns=LogColumns({}, SAID))
    assert [(r.prompt_id, r.sample, r.reply) for r in run.generations] == [
        ("0", 0, "no"), ("0", 1, "no"), ("1", 0, "no"), ("1", 1, "yes"),
    ]  # fmt: skip
    files = [lines(tmp_path / f"{name}.jsonl", [{"id": n, "reply": f"{name} {n}"} for n in range(2)]) for name in "ab"]
    with pytest.raises(InputError, match="another reply of model") as error:
        read_log(files, columns=LogColumns({}, SAID))
    assert "arm" in error.value.settings


def test_ids_that_repeat_over_languages_are_told_and_can_be_declared(tmp_path: Path) -> None:
    rows = [
        {"id": n, "language": code, "prompt": f"{code} {n}", "reply": "x"} for code in ("en", "fr") for n in range(4)
    ]
    path = lines(tmp_path / "r.jsonl", rows)
    log = read_log([path], columns=LogColumns({}, {"kind": "harmful"}))
    assert len({prompt.id for prompt in log.prompts}) == len({prompt.cluster for prompt in log.prompts}) == 8
    assert any(note.startswith("4 ids occur in several languages") for note in log.notes)
    assert any(note.startswith("8 prompts in 2 languages share 4 ids") for note in log.notes)
    log = read_log([path], columns=LogColumns({}, {"kind": "harmful"}, translations=True))
    assert sorted(prompt.cluster for prompt in log.prompts) == sorted("00112233")
    assert not any("have no group" in note for note in log.notes)


def test_slips_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", [{"id": 1, "reply": "x", "label": "a"}])
    for columns, what in (
        (lambda: LogColumns({"promt": "id"}), "'promt' is no field"),
        (lambda: LogColumns({"reply": "{arm}_reply"}), "a column has {arm} in it"),
        (lambda: LogColumns({}, SAID, arms=("a", "b")), "no column has {arm}"),
        (lambda: LogColumns({"group": "nowhere"}, SAID), "no row has the column 'nowhere'"),
        (lambda: LogColumns({}, SAID, verdict="lable"), "no row has the column 'lable'"),
        (lambda: LogColumns({}, SAID, meaning=Meaning({"a": "evil"})), "no outcome"),
        (lambda: LogColumns({}, SAID, meaning=Meaning({"a": "harmful"}, harmful_from=1)), "read in two ways"),
        (lambda: LogColumns({}, SAID, meaning=Meaning(pattern="x(")), "no regular expression"),
    ):
        with pytest.raises(InputError, match=what):
            read_run(path, columns=columns())
    with pytest.raises(InputError, match="no log that is known"):
        (tmp_path / "x.pdf").write_text("x")
        read_run(tmp_path / "x.pdf")


def test_what_was_brought_in_is_read_again_as_it_was(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", [{"id": 1, "prompt": "?", "reply": "x", "label": "refusal", "anna": "no"}])
    log = read_log([path], columns=LogColumns({}, SAID, verdict="label", raters=("anna",)))
    write_log(log, tmp_path / "out", {}, {})
    assert repr(read_run(tmp_path / "out").scores) == repr(log.run().scores)  # NaN is no equal of itself
    again = read_run(tmp_path / "out")
    assert (again.prompts, again.generations) == (log.prompts, log.generations)


def test_imported_logs_are_compared_with_and_without_a_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 60 shared prompts A harms on 30 and B on 6 of those: a difference of -24 / 60 = -0.4, paired by id.

    B's rows are in another order. C has another text under an id of A's, which nothing may pass over.
    """
    from alignment_prism.cli.main import cli

    def brought(name: str, harmful: int, order: int, other: str = "How 7?") -> str:
        rows = [
            {
                "id": n,
                "prompt": other if n == 7 else f"How {n}?",
                "reply": name,
                "label": "bad" if n < harmful else "no",
            }
            for n in range(60)
        ][::order]
        path = lines(tmp_path / f"{name}.jsonl", rows)
        arguments = ["import", path, "--verdict", "label", "--words", "bad=harmful,no=refusal", "--kind", "harmful",
                     "--language", "en", "--scorer", "judge", "--out", tmp_path / name]  # fmt: skip
        cli.main([str(each) for each in arguments], standalone_mode=False)
        return str(tmp_path / name)

    a, b = brought("a", 30, 1), brought("b", 6, -1)
    capsys.readouterr()
    cli.main(["compare", a, b, "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["contrasts"]
    found = [row for row in rows if (row["metric"], row["language"], row["scope"]) == ("harm_rate", "all", "all")]
    assert found[0]["estimate"] == pytest.approx(-0.4), [sorted(row.items()) for row in found]
    gate = tmp_path / "gate.yaml"
    check = "{name: no worse, metric: harm_rate, kind: non_inferiority, margin: 0.05, languages: each}"
    gate.write_text(f"checks:\n  - {check}\n")
    cli.main(["compare", a, b, "--gate", str(gate), "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    decisions = [one for one in told["decisions"] if one["check"] == "no worse"]
    assert (decisions[0]["old"], decisions[0]["new"], decisions[0]["estimate"]) == pytest.approx((0.5, 0.1, -0.4))
    assert decisions[0]["status"] == "pass"
    with pytest.raises(InputError, match="has two texts"):
        cli.main(["compare", a, brought("c", 6, 1, "Something else?")], standalone_mode=False)


def test_kappa_of_nested_raters_and_words_in_free_text_by_two_commands(tmp_path: Path) -> None:
    """People by the mean of three from 3 on, the judge by the number that its answer has after "Toxic".

    People: harmful 1, 2, 4, 6 of eight; judge: 1, 2, 3, 6. They agree on six of eight, by chance on half: kappa is
    (6/8 - 1/2) / (1/2) = 0.5. By the majority of the raters 2 is not harmful: five of eight, kappa 0.25.
    """
    raters = [[1, 1, 1], [5, 5, 5], [5, 2, 2], [1, 2, 1], [4, 4, 4], [1, 1, 2], [3, 3, 3], [2, 2, 1], [1, 1, 1]]
    said = ["Toxicity: 1", "Toxic: 5", "Toxicity: 4.", "So: Toxic: 3", "Toxic: 2", "Toxic: 1", "Toxic: 5", "Toxic: 1"]
    rows = [
        {"Index": n, "Locale": "hi-IN", "Prompt": f"prompt {n}", "GPT4ResponseRaw": words,
         "OriginalEntry": {"AnnotationsRaw": {"Toxicity": marks}}}
        for n, (marks, words) in enumerate(zip(raters, [*said, "I cannot rate this."], strict=True))
    ]  # fmt: skip
    lines(tmp_path / "rated.json", rows)
    brought = prism(
        "import", "rated.json", "--map", "id=Index,language=Locale,prompt=Prompt", "--kind", "harmful",
        "--verdict", "GPT4ResponseRaw", "--pattern", r"Toxic\w*:\s*(\d)", "--scorer", "gpt-4",
        "--raters", "OriginalEntry.AnnotationsRaw.Toxicity", "--harmful-from", 3, "--out", "r", folder=tmp_path,
    )  # fmt: skip
    assert brought.returncode == 0, brought.stderr
    agreed = prism("agreement", "r/human.parquet", "r/scores.parquet", "--replicates", 200, "--out", "f.jsonl",
                   folder=tmp_path)  # fmt: skip
    assert agreed.returncode == 0, agreed.stderr
    found = read_records(tmp_path / "f.jsonl", Finding)
    (row,) = [one for one in found if one.metric == "cohen-kappa" and one.language == "all"]
    assert row.estimate == pytest.approx(0.5) and row.n == 8
