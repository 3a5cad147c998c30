"""`prism labels` and `prism agreement`, from files to files."""

import csv
import json

import numpy as np
import pytest
from sheets import fill, run, sample

from alignment_prism.cli.agreement import command as agreement_command
from alignment_prism.cli.labels import command as labels_command
from alignment_prism.domain import OUTCOME, Finding, Generation, InputError, Outcome, Score
from alignment_prism.io import read_records, write_records


@pytest.fixture
def study(tmp_path):
    """Prompts, generations and scores of two arms on 300 prompts, and the truth of every reply."""
    rng = np.random.default_rng(0)
    generations, scores, truth = [], [], {}
    with open(tmp_path / "prompts.jsonl", "w", encoding="utf-8") as stream:
        for i in range(300):
            row = {
                "id": f"p{i}",
                "prompt": f"request {i}",
                "language": ("ar", "fr")[i % 2],
                "scope": ("global", "local")[i % 3 == 0],
            }
            stream.write(json.dumps(row) + "\n")
    for i in range(300):
        for arm, harm in (("base", 0.6), ("dpo", 0.2)):
            reply = Generation(f"p{i}", arm, arm, f"{arm} answers {i}")
            harmful = bool(rng.random() < harm)
            said = harmful if rng.random() < (0.7 if arm == "dpo" else 0.95) else not harmful
            truth[reply.reply_digest] = harmful
            generations.append(reply)
            scores.append(
                Score(
                    f"p{i}",
                    reply.reply_digest,
                    arm,
                    "gpt",
                    OUTCOME,
                    Outcome.HARMFUL if said else Outcome.REFUSAL,
                    rubric="r@1",
                )  # fmt: skip
            )
    write_records(tmp_path / "generations.parquet", generations)
    write_records(tmp_path / "scores.parquet", scores)
    return tmp_path, truth


def test_more_prompts_than_there_are_and_too_few_for_the_strata(study):
    folder, _ = study
    said = sample(folder, "--number", "500", "--dry-run").output
    assert (
        "all languages: 300 of 300 harmful prompts, 600 replies to label; 500 were asked for, there are no more" in said
    )
    said = sample(folder, "--number", "200", "--per-language", "--dry-run").output
    assert "ar: 150 of 150 harmful prompts, 300 replies to label; 200 were asked for, there are no more" in said
    with pytest.raises(InputError, match="3 prompts are too few for 4 strata, of which each gives 5") as error:
        sample(folder, "--number", "3", "--dry-run")
    assert "at least 20" in error.value.fix and error.value.settings == {"number": "20"}


def test_from_sample_to_correction(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    result = sample(folder, "--number", "60", "--per-language", "--out", sheet)
    assert "ar: 60 of 150 harmful prompts" in result.output
    with open(sheet, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 240 and set(rows[0]) == {
        "item", "reply_digest", "design", "language", "prompt", "reply", "question", "annotator", "label", "comment",
    }  # fmt: skip
    both_arms = {row["reply"].split(" ")[-1] for row in rows}
    assert len(both_arms) == 120, "both replies of every chosen prompt are on the sheet"
    design = json.loads((folder / "sheet.csv.design.json").read_text())
    assert design["judge"] == "gpt" and sum(row["chosen"] for row in design["prompts"]) == 120
    filled = fill(sheet, truth)
    out = folder / "corrected.jsonl"
    shown = run(labels_command, "correct", f"{sheet}.design.json", filled, "--out", out, "--json")
    rows = {(row["arm"], row["language"], row["scope"]): row for row in json.loads(shown.output)["corrected"]}
    cells = {(arm, language) for arm in ("base", "dpo") for language in ("all", "ar", "fr", "macro")}
    assert {(arm, language) for arm, language, scope in rows if scope == "all"} == cells
    real = np.mean([truth[r["replies"][1]] - truth[r["replies"][0]] for r in design["prompts"]])
    overall, mean = rows["dpo", "all", "all"]["change"], rows["dpo", "macro", "all"]["change"]
    # Both languages have 150 prompts, so that their mean is the whole, and its interval about as wide.
    assert mean["interval"] == pytest.approx(overall["interval"], abs=0.02)
    assert rows["dpo", "all", "global"]["prompts"] == 200
    assert overall["interval"][1] <= real <= overall["interval"][2]
    assert overall["labels"] == 120 and 120 < overall["worth"] < 300
    assert abs(overall["interval"][0] - real) < abs(overall["judged"][0] - real)
    findings = read_records(out, Finding)
    assert {f.metric for f in findings} == {"harm_difference_corrected", "harm_rate_corrected"}
    whole = [f for f in findings if f.scope == "all"]
    assert all(f"labels:{120 if f.language in ('all', 'macro') else 60}" in f.signature for f in whole)
    assert "| dpo | all | all | 300 | 120 |" in run(labels_command, "correct", f"{sheet}.design.json", filled).output


def test_noisy_annotators_are_modelled(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    sample(folder, "--number", "250", "--out", sheet)
    noisy = fill(sheet, truth, "anna", noise=0.15, seed=3)
    second = fill(sheet, truth, "omar", noise=0.15, seed=4)
    settled = fill(sheet, truth, "experts")

    def corrected(*arguments):
        shown = run(labels_command, "correct", f"{sheet}.design.json", *arguments, "--json")
        value = json.loads(shown.output)
        rows = {(row["arm"], row["language"], row["scope"]): row for row in value["corrected"]}
        return rows["dpo", "all", "all"]["change"], value["notes"]

    raw, _ = corrected(noisy)
    for more in ((second,), ("--settled", settled)):
        found, notes = corrected(noisy, *more)
        informedness = raw["interval"][0] / found["interval"][0]
        assert informedness == pytest.approx(0.7, abs=0.08), "a difference of labels is the true one times 1 - 2 x .15"
        assert found["interval"][2] - found["interval"][1] > 1.1 * (raw["interval"][2] - raw["interval"][1])
        assert any("sensitivity 0.8" in note and "labels" in note for note in notes)
    bare, notes = corrected(noisy, second, "--as-labelled")
    assert abs(bare["interval"][0]) < 0.8 * abs(found["interval"][0]) and "taken for the truth" in notes[0]
    truths, notes = corrected(noisy, "--as-labelled", "--settled", settled)
    assert truths["interval"] == corrected(settled)[0]["interval"] and "500 replies count as settled" in notes[0]


def test_people_agree_language_by_language_as_their_sheet_says(tmp_path):
    """Two people on four prompts each of Arabic and French, of which they differ on two French ones."""
    sheet, prompts = tmp_path / "reach.csv", tmp_path / "prompts.jsonl"
    rows = [(f"{code}{i}", code, who, "local" if i % 2 and not (who == "b" and code == "fr") else "global")
            for code in ("ar", "fr") for i in range(4) for who in "ab"]  # fmt: skip

    def agreed(*more):
        words = (sheet, "--categories", "global,local", "--replicates", 200, "--json", *more)
        found = json.loads(run(agreement_command, *words).output)["agreement"]
        return {(one["language"], one["scope"]): one["estimate"] for one in found if one["coefficient"] == "raw"}

    with open(sheet, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("reply_digest", "language", "annotator", "label"), *rows])
    assert agreed() == {("all", "all"): 0.75, ("ar", "all"): 1.0, ("fr", "all"): 0.5}
    # What is labelled may be a prompt, whose file knows more of it than the sheet.
    asked = [{"id": f"{code}{i}", "prompt": f"{code} {i}", "language": code, "scope": ("global", "local")[i % 2]}
             for code in ("ar", "fr") for i in range(4)]  # fmt: skip
    prompts.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    by_scope = agreed("--prompts", prompts)
    assert (by_scope["fr", "global"], by_scope["fr", "local"], by_scope["ar", "local"]) == (1.0, 0.0, 1.0)


def test_few_labels_and_labels_of_one_arm_are_warned_about(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    sample(folder, "--number", "40", "--out", sheet)
    filled = fill(sheet, truth)
    lines = filled.read_text().splitlines(keepends=True)
    filled.write_text("".join(line for line in lines if "base answers 1" not in line))
    design = json.loads((folder / "sheet.csv.design.json").read_text())
    single = sum(row["chosen"] and row["prompt_id"].startswith("p1") for row in design["prompts"])
    shown = run(labels_command, "correct", f"{sheet}.design.json", filled)
    assert f"all: only {40 - single} prompts are labelled" in shown.stderr
    assert f"all: {single} prompts have a label for one arm only and were not used" in shown.stderr


def test_width_says_how_many_labels(study):
    folder, _ = study
    wide, narrow = (
        int(sample(folder, "--width", width, "--dry-run").output.split(": ")[1].split(" ")[0])
        for width in ("0.3", "0.2")
    )
    assert wide < narrow <= 300
    with pytest.raises(InputError, match="cannot be had"):
        sample(folder, "--width", "0.01", "--dry-run")
    with pytest.raises(InputError, match="not one of number and width"):
        sample(folder, "--dry-run")


def test_labels_of_other_replies_are_not_used(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    sample(folder, "--number", "80", "--out", sheet)
    stranger = folder / "stranger.csv"
    stranger.write_text("reply_digest,annotator,label\nffff,anna,yes\n")
    result = run(labels_command, "correct", f"{sheet}.design.json", fill(sheet, truth), stranger)
    assert "1 labels are of replies that were not drawn" in result.stderr


def test_faults_of_labels(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    sample(folder, "--number", "80", "--out", sheet)
    with pytest.raises(InputError, match="no part of the sample"):
        empty = _write(folder / "empty.csv", "reply_digest,annotator,label\nabc,anna,yes\n")
        run(labels_command, "correct", f"{sheet}.design.json", empty)
    with pytest.raises(InputError, match="no outcomes of arm"):
        sample(folder, "--number", "80", "--out", sheet, "--base", "nobody", "--replace")
    with pytest.raises(InputError, match="cannot read the design"):
        run(labels_command, "correct", sheet, sheet)


def test_agreement_by_language_and_scope(study):
    folder, truth = study
    sheet = folder / "sheet.csv"
    sample(folder, "--number", "100", "--out", sheet)
    first, second = fill(sheet, truth, "anna"), fill(sheet, truth, "omar", noise=0.1, seed=1)
    both = folder / "both.csv"
    both.write_text(first.read_text() + "".join(second.read_text().splitlines(keepends=True)[1:]))
    out = folder / "agreement.parquet"
    result = run(
        agreement_command, both, folder / "scores.parquet", "--design", f"{sheet}.design.json",
        "--replicates", 300, "--out", out, "--json",
    )  # fmt: skip
    rows = json.loads(result.output)["agreement"]
    keys = {(r["raters"], r["language"], r["scope"], r["coefficient"]) for r in rows}
    assert ("anna / omar", "all", "all", "cohen-kappa") in keys
    assert ("gpt / people", "ar", "local", "gwet-ac1") in keys
    wanted = {"raters": "anna / omar", "language": "all", "scope": "all", "coefficient": "raw"}
    people = next(r for r in rows if wanted.items() <= r.items())
    assert people["n"] == 200 and people["estimate"] == pytest.approx(0.9, abs=0.06)
    assert people["lower"] < people["estimate"] < people["upper"]
    assert len(read_records(out, Finding)) == len(rows)
    design = ("--design", f"{sheet}.design.json", "--replicates", 300)
    shown = run(agreement_command, first, second, folder / "scores.parquet", *design)
    assert "| gpt / people | all | all | cohen-kappa |" in shown.output
    assert "labelled replies have no verdict" not in shown.stderr
    with pytest.raises(InputError, match="on a drawn sheet"):
        run(agreement_command, both, folder / "scores.parquet", "--replicates", 300)


def test_labels_that_are_no_labels_are_counted(tmp_path):
    people, judge = tmp_path / "people.csv", tmp_path / "judge.csv"
    rows = [(f"d{i}", ("1_full", "2_none")[i % 2]) for i in range(40)]
    people.write_text("reply_digest,annotator,label\n" + "".join(f"{d},anna,{v}\n" for d, v in rows))
    rambling = [(d, v if i % 10 else "I am sorry") for i, (d, v) in enumerate(rows)]
    judge.write_text("reply_digest,annotator,label\n" + "".join(f"{d},gpt,{v}\n" for d, v in rambling))
    words = ("--categories", "1_full,2_none", "--replicates", 300, "--json")
    result = run(agreement_command, people, judge, "--judge", "gpt", *words)
    value = json.loads(result.output)
    assert value["unusable"] == {"gpt": 4}
    raw = next(r for r in value["agreement"] if r["coefficient"] == "raw")
    assert raw["n"] == 36 and raw["estimate"] == 1.0
    with pytest.raises(InputError, match="no column 'reply_digest'"):
        run(agreement_command, _write(tmp_path / "x.csv", "a,b\n1,2\n"))
    with pytest.raises(InputError, match="nothing to compare"):
        run(agreement_command, people, "--categories", "1_full,2_none")


def _write(path, text):
    path.write_text(text)
    return path
