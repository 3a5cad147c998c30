"""`prism labels` on small tables with numbers worked out by hand: kinds, disagreement, and what is not filled in."""

import csv
import json
from dataclasses import replace

import pytest
from sheets import run

from alignment_prism.cli.agreement import command as agreement_command
from alignment_prism.cli.labels import command as labels_command
from alignment_prism.domain import OUTCOME, Finding, Generation, InputError, Outcome, Score, StoreError
from alignment_prism.io import read_records, write_records


def make(folder, harmful, benign=0, strangers=0, kinds=True):
    """Base complies with every harmful prompt, dpo with the first two fifths; nobody does harm on benign ones.

    The judge knows all that. `strangers` are judged harmful prompts that the prompts file lacks.
    """
    names = [(f"h{i}", "harmful") for i in range(harmful)] + [(f"b{i}", "benign_mention") for i in range(benign)]
    with open(folder / "prompts.jsonl", "w", encoding="utf-8") as stream:
        for name, kind in names:
            row = {"id": name, "prompt": f"request {name}", "language": "en"} | ({"kind": kind} if kinds else {})
            stream.write(json.dumps(row) + "\n")
    generations, scores = [], []
    for number, (name, kind) in enumerate(names + [(f"s{i}", "harmful") for i in range(strangers)]):
        for arm in ("base", "dpo"):
            harm = kind == "harmful" and (arm == "base" or number < 0.4 * harmful)
            reply = Generation(name, arm, arm, f"{arm} to {name}")
            generations.append(reply)
            outcome = Outcome.HARMFUL if harm else Outcome.REFUSAL
            scores.append(Score(name, reply.reply_digest, arm, "gpt", OUTCOME, outcome, rubric="r@1"))
    write_records(folder / "generations.parquet", generations)
    write_records(folder / "scores.parquet", scores)
    return folder


def sample(folder, *more):
    return run(
        labels_command, "sample", folder / "scores.parquet", "--generations", folder / "generations.parquet",
        "--prompts", folder / "prompts.jsonl", "--arm", "dpo", "--by", "none", *more,
    )  # fmt: skip


def fill(sheet, annotator, says):
    """A filled-in sheet; `says` gives the label from the reply's text, None for a line that is left out."""
    with open(sheet, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = [row | {"annotator": annotator, "label": says(row["reply"])} for row in rows]
    out = sheet.with_name(f"{annotator}.csv")
    with open(out, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if row["label"] is not None)
    return out


def right(reply):
    arm, name = reply.split(" to ")
    return "yes" if name[0] == "h" and (arm == "base" or int(name[1:]) < 8) else "no"


def corrected(design, *arguments):
    result = run(labels_command, "correct", design, *arguments, "--json")
    value = json.loads(result.output)
    (row,) = [row for row in value["corrected"] if (row["arm"], row["language"], row["scope"]) == ("dpo", "all", "all")]
    return row["change"], " | ".join(value["notes"])


def test_only_harmful_prompts_are_drawn_planned_for_and_corrected(tmp_path):
    """Twenty harmful prompts of which dpo complies with eight: 8/20 - 20/20; over all fifty it would be -12/50."""
    make(tmp_path, harmful=20, benign=30, strangers=2)
    sheet = tmp_path / "sheet.csv"
    shown = sample(tmp_path, "--number", 20, "--out", sheet)
    assert "all languages: 20 of 20 harmful prompts, 40 replies to label" in shown.output
    assert "20 harmful prompts; 32 others are not drawn from: 30 benign_mention, 2 in no prompts file" in shown.stderr
    design = json.loads((tmp_path / "sheet.csv.design.json").read_text())
    assert {row["prompt_id"][0] for row in design["prompts"]} == {"h"} and design["kind"] == "harmful"
    findings = tmp_path / "findings.jsonl"
    found, _ = corrected(f"{sheet}.design.json", fill(sheet, "anna", right), "--out", findings)
    assert found["interval"][0] == pytest.approx(-0.6) and found["labels"] == 20
    rows = {(f.arm, f.metric): f for f in read_records(findings, Finding)}
    assert {(f.prompts, f.n) for f in rows.values()} == {("harmful", 20)}
    corrected_rates = [rows[arm, "harm_rate_corrected"].estimate for arm in ("base", "dpo")]
    assert corrected_rates == pytest.approx([1.0, 0.4]) and rows["dpo", "harm_difference_corrected"].estimate < 0
    planned = sample(tmp_path, "--width", 0.9, "--dry-run").output
    assert "of 20 harmful prompts" in planned


def test_a_file_without_a_harmful_prompt_is_an_error(tmp_path):
    make(tmp_path, harmful=0, benign=10)
    with pytest.raises(InputError, match="none of the prompts .* is harmful: 10 benign_mention"):
        sample(tmp_path, "--number", 10, "--dry-run")


def test_a_design_that_was_altered_or_belongs_to_another_sheet_is_refused(tmp_path):
    make(tmp_path, harmful=20)
    for seed in (0, 1):
        sample(tmp_path, "--number", 10, "--seed", seed, "--out", tmp_path / f"sheet{seed}.csv")
    anna = fill(tmp_path / "sheet0.csv", "anna", right)
    with pytest.raises(InputError, match="drawn by another design"):
        corrected(tmp_path / "sheet1.csv.design.json", anna)
    path = tmp_path / "sheet0.csv.design.json"
    value = json.loads(path.read_text())
    value["prompts"][0]["stratum"] = "elsewhere"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="altered after the draw"):
        corrected(path, anna)


def test_over_refusal_is_corrected_on_harmless_prompts(tmp_path):
    """Thirty benign prompts; the judge hears a refusal in all of dpo's replies, people in every third: 1/3 - 0."""
    make(tmp_path, harmful=10, benign=30)
    scores = read_records(tmp_path / "scores.parquet", Score)
    heard = [
        replace(score, label=("safe_help", "refusal")[score.arm == "dpo"]) if score.prompt_id[0] == "b" else score
        for score in scores
    ]
    write_records(tmp_path / "scores.parquet", heard)
    sheet = tmp_path / "sheet.csv"
    shown = sample(tmp_path, "--kind", "benign_mention", "--number", 30, "--out", sheet)
    assert "30 of 30 benign_mention prompts" in shown.output and "Does the reply refuse?" in sheet.read_text()

    def says(reply):
        arm, name = reply.split(" to ")
        return "refused" if arm == "dpo" and int(name[1:]) % 3 == 0 else "no"

    out = tmp_path / "findings.jsonl"
    run(labels_command, "correct", f"{sheet}.design.json", fill(sheet, "anna", says), "--out", out)
    rows = {(f.arm, f.metric): f for f in read_records(out, Finding)}
    rate, change = "refusal_rate_corrected", "refusal_difference_corrected"
    assert set(rows) == {("dpo", change), ("dpo", rate), ("base", rate)}
    assert rows["dpo", change].estimate == pytest.approx(1 / 3)
    assert {f.prompts for f in rows.values()} == {"benign_mention"}


def ten(tmp_path):
    """Ten prompts, all drawn; base does harm on each, dpo on none as people see it: the difference is -1."""
    make(tmp_path, harmful=10)
    sheet = tmp_path / "sheet.csv"
    sample(tmp_path, "--number", 10, "--out", sheet)
    return sheet, lambda reply: "yes" if reply.startswith("base") else "no"


def test_annotators_who_disagree_keep_their_prompts(tmp_path):
    """Ties of base on h0, dpo on h1 and both on h2: (7 x -1 - 1/2 - 1/2 + 0) / 10; left out it was -1 over seven."""
    sheet, truth = ten(tmp_path)
    flipped = {"base to h0", "dpo to h1", "base to h2", "dpo to h2"}
    anna = fill(sheet, "anna", truth)
    omar = fill(
        sheet, "omar", lambda reply: {"yes": "no", "no": "yes"}[truth(reply)] if reply in flipped else truth(reply)
    )
    found, notes = corrected(f"{sheet}.design.json", anna, omar)
    assert found["interval"][0] == pytest.approx(-0.8) and found["labelled"][0] == pytest.approx(-0.8)
    assert found["labels"] == 10
    assert "annotators disagree on 4 of the 20 replies that several labelled, on 3 prompts" in notes
    assert "they tie on 4; a tie counts as one half" in notes and "one arm only" not in notes
    assert "20 replies have two labels, too few" in notes
    third = fill(sheet, "zoe", truth)
    settled, notes = corrected(f"{sheet}.design.json", anna, omar, third)
    assert settled["interval"][0] == pytest.approx(-1.0), "two of three outvote the third"
    assert "they tie on 0" in notes


def test_every_drawn_prompt_is_used_or_accounted_for(tmp_path):
    sheet, truth = ten(tmp_path)
    gone = {"base to h3", "dpo to h3", "dpo to h4"}
    anna = fill(sheet, "anna", lambda reply: None if reply in gone else truth(reply))
    found, notes = corrected(f"{sheet}.design.json", anna)
    assert found["labels"] == 8
    assert "1 prompts have a label for one arm only" in notes and "1 drawn prompts have no label at all" in notes


def test_a_filled_in_sheet_is_not_overwritten(tmp_path):
    sheet, truth = ten(tmp_path)
    sheet.write_text(fill(sheet, "anna", truth).read_text())
    before, design = sheet.read_text(), (tmp_path / "sheet.csv.design.json").read_text()
    with pytest.raises(StoreError, match="exists already") as error:
        sample(tmp_path, "--number", 10, "--seed", 1, "--out", sheet)
    assert error.value.exit_code == 5 and "replace" in error.value.settings
    assert (sheet.read_text(), (tmp_path / "sheet.csv.design.json").read_text()) == (before, design)
    sheet.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(StoreError, match="exists already"):  # its design alone is not to be lost either
        sample(tmp_path, "--number", 10, "--seed", 1, "--out", sheet)
    sample(tmp_path, "--number", 10, "--seed", 1, "--out", sheet, "--replace")
    assert sheet.read_text() != before


def test_words_that_are_not_understood_are_named_with_their_rows(tmp_path):
    sheet, truth = ten(tmp_path)
    with pytest.raises(InputError, match="none of the 20 labels of 'anna' is understood: 'perhaps'") as error:
        corrected(f"{sheet}.design.json", fill(sheet, "anna", lambda reply: "perhaps"))
    assert "rows 1, 2, 3, 4, 5 and 15 more" in error.value.what and "yes for harmful" in error.value.fix
    with pytest.raises(InputError, match="not filled in: 'label' is empty in all 20 rows"):
        corrected(f"{sheet}.design.json", sheet)
    shaky = fill(sheet, "anna", lambda reply: "perhaps" if reply == "dpo to h4" else truth(reply))
    with open(sheet, encoding="utf-8", newline="") as stream:
        row = 1 + [line["reply"] for line in csv.DictReader(stream)].index("dpo to h4")
    found, notes = corrected(f"{sheet}.design.json", shaky)
    assert found["labels"] == 9
    assert f"anna: 1 label was not understood and count as missing: 'perhaps' (row {row})" in notes


def test_agreement_names_the_words_that_it_does_not_understand(tmp_path):
    path = tmp_path / "xstest.csv"
    words = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
    lines = [f"d{i},{rater},{words[i % 3]}" for rater in ("anna", "omar") for i in range(30)]
    path.write_text("reply_digest,annotator,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match="1_full_compliance.*2_full_refusal.*3_partial_refusal") as error:
        run(agreement_command, path)
    for word in ("harmful", "safe", "refusal", "categories"):
        assert word in error.value.fix
    with pytest.raises(InputError, match="none of the 30 labels") as error:
        run(agreement_command, path, "--categories", "full,none")
    assert "full, none" in error.value.fix
    shown = run(agreement_command, path, "--categories", ",".join(words), "--replicates", 200)
    assert "| anna / omar | all | all | raw | 1.000" in shown.output


def test_the_paper_s_draw_takes_as_many_of_each_scope_and_language(tmp_path):
    rows, generations, scores = [], [], []
    for number in range(60):
        code, scope = ("en", "hi")[number % 2], ("global", "local")[number // 2 % 2]
        rows.append({"id": f"p{number}", "prompt": f"request {number}", "language": code, "kind": "harmful",
                     "scope": scope if number < 56 else None})  # fmt: skip
        for arm in ("base", "sft", "dpo"):
            reply = Generation(f"p{number}", arm, arm, f"{arm} to p{number}")
            generations.append(reply)
            scores.append(Score(f"p{number}", reply.reply_digest, arm, "gpt", OUTCOME, Outcome.REFUSAL, rubric="r@1"))
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_records(tmp_path / "generations.parquet", generations)
    write_records(tmp_path / "scores.parquet", scores)
    given = ("sample", tmp_path / "scores.parquet", "--generations", tmp_path / "generations.parquet", "--prompts",
             tmp_path / "prompts.jsonl", "--arm", "sft", "--arm", "dpo", "--design", "paper")  # fmt: skip
    with pytest.raises(InputError, match="100 prompts of each scope and language .* 14 global in en") as error:
        run(labels_command, *given, "--out", tmp_path / "no.csv")
    assert error.value.settings == {"number": "14"} and not (tmp_path / "no.csv").exists()
    drawn = run(labels_command, *given, "--number", 10, "--out", tmp_path / "sheet.csv")
    assert "en, local: 10 of 14" in drawn.output and "4 harmful without a scope" in drawn.output
    sheet = list(csv.DictReader((tmp_path / "sheet.csv").open(encoding="utf-8", newline="")))
    assert len(sheet) == 4 * 10 * 3  # two scopes, two languages, ten prompts, three arms
    design = json.loads((tmp_path / "sheet.csv.design.json").read_text())
    chosen = [row["stratum"] for row in design["prompts"] if row["chosen"]]
    assert {stratum: chosen.count(stratum) for stratum in set(chosen)} == {
        f"{code}/{scope}": 10 for code in ("en", "hi") for scope in ("global", "local")
    }
    again = run(labels_command, *given, "--number", 10, "--seed", 0, "--out", tmp_path / "again.csv")
    assert again.output.replace("again", "sheet") == drawn.output
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "sheet.csv").read_bytes()


def test_prompts_with_columns_of_their_own_names_can_be_drawn_from(tmp_path):
    make(tmp_path, harmful=20)
    rows = [json.loads(line) for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    foreign = [{"nr": row["id"], "question": row["prompt"], "sort": "harmful"} for row in rows]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in foreign))
    with pytest.raises(InputError, match="no column 'prompt'") as error:
        sample(tmp_path, "--number", 10, "--dry-run")
    assert "mapping" in error.value.settings
    mapped = ("--map", "id=nr,prompt=question,kind=sort", "--language", "en")
    assert "10 of 20 harmful prompts" in sample(tmp_path, "--number", 10, *mapped, "--dry-run").output
