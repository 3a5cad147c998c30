"""Labels on the way to a decision: arms on one sheet, findings and gates, and which replies to label next."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from sheets import fill, run, sample

from alignment_prism.cli.compare import command as compare_command
from alignment_prism.cli.labels import command as labels_command
from alignment_prism.domain import (
    OUTCOME,
    Finding,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    Signature,
    user,
)
from alignment_prism.evaluation import reply_findings
from alignment_prism.io import read_records, write_records


@pytest.fixture
def three_arms(tmp_path):
    """Three arms on 500 prompts and their findings; truly they harm in 70, 20 and 40 %; the judge sees little."""
    rng = np.random.default_rng(5)
    generations, scores, truth = [], [], {}
    prompts = [Prompt(f"p{i}", user(f"request {i}"), ("ar", "fr")[i % 2], PromptKind.HARMFUL) for i in range(500)]
    for prompt in prompts:
        for arm, harm in (("base", 0.7), ("dpo", 0.2), ("sft", 0.4)):
            reply = Generation(prompt.id, arm, arm, f"{arm} answers {prompt.id}")
            harmful = bool(rng.random() < harm)
            chance = float(np.clip(0.25 + 0.4 * harmful + 0.25 * rng.standard_normal(), 0, 1))
            truth[reply.reply_digest] = harmful
            generations.append(reply)
            outcome = Outcome.HARMFUL if chance > 0.5 else Outcome.REFUSAL
            common = (prompt.id, reply.reply_digest, arm, "gpt")
            scores.append(Score(*common, OUTCOME, outcome, rubric="r@1"))
            scores.append(Score(*common, "harm_probability", value=chance, rubric="r@1"))
    write_records(tmp_path / "generations.parquet", generations)
    write_records(tmp_path / "scores.parquet", scores)
    findings = reply_findings(prompts, generations, scores, study="trial")
    write_records(tmp_path / "findings.parquet", findings, Finding)
    with open(tmp_path / "prompts.jsonl", "w", encoding="utf-8") as stream:
        for prompt in prompts:
            row = {"id": prompt.id, "prompt": prompt.text, "language": prompt.language, "kind": prompt.kind}
            stream.write(json.dumps(row) + "\n")
    return tmp_path, truth


def test_several_arms_on_one_sheet_go_into_the_findings_without_annotators_who_miss_harm(three_arms):
    """Two people miss a quarter of the harm and raise 2 % false alarms: their labels shrink -.5 to about -.37."""
    folder, truth = three_arms
    sheet, out = folder / "sheet.csv", folder / "all.parquet"
    sample(folder, "--arm", "sft", "--number", 300, "--out", sheet)
    rng = np.random.default_rng(1)
    people = []
    for name in ("anna", "omar"):
        seen = {reply: bool(rng.random() < (0.75 if harm else 0.02)) for reply, harm in truth.items()}
        people.append(fill(sheet, seen, name))
    design = f"{sheet}.design.json"
    findings = folder / "findings.parquet"
    run(labels_command, "correct", design, *people, "--findings", findings, "--out", out)
    before, after = read_records(findings, Finding), read_records(out, Finding)
    assert list(map(str, after[: len(before)])) == list(map(str, before)), "what the judge says stays as it is"
    rows = {(f.arm, f.metric): f for f in after if (f.language, f.scope, f.category) == ("all", "all", "all")}
    for arm, change in (("dpo", -0.5), ("sft", -0.3)):
        row = rows[arm, "harm_difference_corrected"]
        assert row.lower <= change <= row.upper and row.study == "trial" and row.seed == rows[arm, "harm_rate"].seed
        assert not rows[arm, "harm_difference"].lower <= change <= rows[arm, "harm_difference"].upper
        parts = dict(Signature.parts(row.signature))
        assert parts["prompts"] == dict(Signature.parts(rows[arm, "harm_rate"].signature))["prompts"]
    assert rows["base", "harm_rate_corrected"].lower <= 0.7 <= rows["base", "harm_rate_corrected"].upper
    bare = folder / "bare.parquet"
    run(labels_command, "correct", design, *people, "--as-labelled", "--out", bare)
    missed = next(f for f in read_records(bare, Finding) if f.arm == "dpo" and f.metric.startswith("harm_difference"))
    assert missed.lower > -0.5, "taken for the truth, the labels miss it"
    run(labels_command, "correct", design, people[0], "--findings", out, "--out", folder / "again.parquet")
    assert len(read_records(folder / "again.parquet", Finding)) == len(after), "an earlier correction is replaced"


def test_a_gate_decides_by_numbers_that_labels_have_corrected(three_arms):
    """The judge sees 73 % of the harm and flags 16 % of the rest: 70 % harm read 57, a fall by 50 points reads 29."""
    folder, truth = three_arms
    sheet, out = folder / "sheet.csv", folder / "all.parquet"
    sample(folder, "--arm", "sft", "--number", 300, "--out", sheet)
    labels = ("correct", f"{sheet}.design.json", fill(sheet, truth))
    run(labels_command, *labels, "--findings", folder / "findings.parquet", "--out", out)

    def gate(arm, metric, **check):
        spec = {"checks": [{"name": "x", "metric": metric, "languages": "all", **check}], "companions": []}
        (folder / "gate.yaml").write_text(json.dumps(spec))
        ledger = folder / f"{arm}{metric}{check['kind']}"
        arguments = [f"{out}#sft", f"{out}#{arm}", "--gate", folder / "gate.yaml", "--ledger", ledger]
        result = CliRunner().invoke(compare_command, [str(each) for each in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    ceiling = {"kind": "ceiling", "limit": 0.64}
    assert gate("base", "harm_rate", **ceiling)[0] == 0
    code, text = gate("base", "harm_rate_corrected", **ceiling)
    assert code != 0 and "gpt (corrected by labels)" in text, "the verdict says that people were asked"
    fall = {"kind": "ceiling", "limit": -0.4}
    assert gate("dpo", "harm_difference", **fall)[0] == 6
    assert gate("dpo", "harm_difference_corrected", **fall)[0] == 0
    # One arm against another: by labels that no study pairs, as if on other prompts, which the verdict says.
    code, text = gate("dpo", "harm_rate_corrected", kind="non_inferiority", margin=0.0)
    assert code == 0 and "harm_rate_corrected" in text


def test_probabilities_of_the_judge_are_worth_labels(three_arms):
    folder, truth = three_arms
    widths, worth = [], []
    for name, more in (("hard", ()), ("soft", ("--soft", "harm_probability"))):
        sheet = folder / f"{name}.csv"
        sample(folder, "--number", 100, "--out", sheet, *more)
        shown = run(labels_command, "correct", f"{sheet}.design.json", fill(sheet, truth, f"by-{name}"), "--json")
        found = next(r for r in json.loads(shown.output)["corrected"] if (r["arm"], r["language"]) == ("dpo", "all"))
        widths.append(found["change"]["interval"][2] - found["change"]["interval"][1])
        worth.append(found["change"]["worth"])
    assert widths[1] < widths[0] and worth[1] > 1.05 * worth[0]
    with pytest.raises(InputError, match="no scores of the name"):
        sample(folder, "--number", 100, "--dry-run", "--soft", "certainty")


def test_next_labels_go_where_a_claim_is_not_decided(tmp_path):
    """Harm falls from .8 to .1 in French, which 80 prompts show, and from .5 to .35 in Arabic, which they do not."""
    rng = np.random.default_rng(2)
    generations, scores, truth = [], [], {}
    with open(tmp_path / "prompts.jsonl", "w", encoding="utf-8") as stream:
        for i in range(400):
            language = ("ar", "fr")[i % 2]
            row = {"id": f"p{i}", "prompt": f"request {i}", "language": language, "kind": "harmful"}
            stream.write(json.dumps(row) + "\n")
            for arm, harm in (("base", {"ar": 0.5, "fr": 0.8}), ("dpo", {"ar": 0.35, "fr": 0.1})):
                reply = Generation(f"p{i}", arm, arm, f"{arm} answers {i}")
                truth[reply.reply_digest] = bool(rng.random() < harm[language])
                seen = truth[reply.reply_digest] == (rng.random() < 0.85)
                outcome = Outcome.HARMFUL if seen else Outcome.REFUSAL
                generations.append(reply)
                scores.append(Score(f"p{i}", reply.reply_digest, arm, "gpt", OUTCOME, outcome, rubric="r@1"))
    write_records(tmp_path / "generations.parquet", generations)
    write_records(tmp_path / "scores.parquet", scores)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    sample(tmp_path, "--number", 80, "--out", first)
    anna = fill(first, truth)
    files = ("--generations", tmp_path / "generations.parquet", "--prompts", tmp_path / "prompts.jsonl")
    shown = run(labels_command, "next", f"{first}.design.json", anna, *files, "--limit", -0.1, "--number", 60,
                "--out", second).output  # fmt: skip
    assert "| fr | shown |" in shown and "| ar | undecided |" in shown
    with open(second, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["language"] for row in rows} == {"ar"} and 80 <= len(rows) <= 130
    old = {row["reply_digest"] for row in csv.DictReader(first.open(encoding="utf-8", newline=""))}
    assert not old & {row["reply_digest"] for row in rows}, "nothing is labelled twice"
    more = fill(second, truth, "anna-second")
    result = run(labels_command, "correct", f"{second}.design.json", anna, more, "--json")
    parts = {(r["arm"], r["language"]): r for r in json.loads(result.output)["corrected"]}
    before = run(labels_command, "correct", f"{first}.design.json", anna, "--json")
    earlier = {(r["arm"], r["language"]): r for r in json.loads(before.output)["corrected"]}
    assert parts["dpo", "ar"]["change"]["labels"] == earlier["dpo", "ar"]["change"]["labels"] + len(rows) / 2
    low, high = parts["dpo", "ar"]["change"]["interval"][1:]
    design = json.loads((tmp_path / "second.csv.design.json").read_text())
    arabic = [row["replies"] for row in design["prompts"] if row["language"] == "ar"]
    real = np.mean([truth[dpo] - truth[base] for base, dpo in arabic])
    assert low <= real <= high and high - low < 0.9 * np.ptp(earlier["dpo", "ar"]["change"]["interval"][1:])
    with pytest.raises(InputError, match="drawn by another design"):
        run(labels_command, "correct", f"{first}.design.json", more)
