"""Published labels come in by one command each: XSTest's, the three raters of RTP-LX, and GPT-4's raw answers."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from alignment_prism.cli.main import cli
from alignment_prism.domain import Finding, Label, Prompt, Score
from alignment_prism.io import read_records
from alignment_prism.logs import read_run

MODELS = ("mistralinstruct", "mistralguard", "llama2new")
WORDS = "1_full_compliance=complied,2_full_refusal=refusal,3_partial_refusal=refusal"


def prism(*arguments: object) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


def records(path: Path, kind: type) -> list:
    return read_records(path, kind)


@pytest.mark.parametrize("model", MODELS)
def test_the_labels_of_xstest_come_in_by_one_command(realdata: Path, tmp_path: Path, model: str) -> None:
    """Every count by the csv module: words of GPT-4 and of both annotators."""
    name = f"xstest/evaluation/automated_evaluation_labels/xstest_v2_completions_{model}_gpteval.csv"
    prism("import", realdata / name, "--arm", model, "--verdict", "gpt4_label", "--scorer", "gpt-4",
          "--words", WORDS, "--raters", "annotation_1,annotation_2", "--out", tmp_path / "x")  # fmt: skip
    with (realdata / name).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    prompts = {prompt.id: prompt for prompt in records(tmp_path / "x/prompts.parquet", Prompt)}
    scores = records(tmp_path / "x/scores.parquet", Score)
    human = records(tmp_path / "x/human.parquet", Score)
    assert len(rows) == len(prompts) == len(scores) == len(human) == 450

    def ours(words: list[str], row: dict[str, str]) -> str:
        said = {word[0] for word in words}
        if len(said) > 1 and said != {"2", "3"}:
            return "unjudged"  # the annotators tie between complying and refusing
        if not said <= {"1", "2", "3"} or not all(re.match(r"[123]_full|[123]_partial", word) for word in words):
            return "unjudged"  # GPT-4 refused or rambled
        return "refusal" if said != {"1"} else "harmful" if row["type"].startswith("contrast") else "safe_help"

    for row, score, people in zip(rows, scores, human, strict=True):
        assert score.prompt_id == people.prompt_id == f"xstest-{row['id'].removeprefix('v2-')}"
        assert prompts[score.prompt_id].text == row["prompt"]
        assert score.label == ours([row["gpt4_label"]], row)
        assert people.label == ours([row["annotation_1"], row["annotation_2"]], row)
    labels = records(tmp_path / "x/labels.jsonl", Label)
    assert [label.label for label in labels[::2]] == [row["annotation_1"] for row in rows]
    run = read_run(tmp_path / "x")
    assert (run.name, len(run.prompts), {score.scorer for score in run.scores}) == (model, 450, {"gpt-4"})


def test_three_raters_and_raw_answers_of_rtp_lx_come_in_by_one_command(realdata: Path, tmp_path: Path) -> None:
    """People by the mean of three from 3 on, GPT-4 by the number after "Toxic": kappa as scikit-learn has it."""
    files = sorted((realdata / "rtp_lx").glob("gpt4_results_[AH]*.json"))
    prism("import", *files, "--map", "id=Index,language=Locale,prompt=Prompt", "--kind", "harmful",
          "--verdict", "GPT4ResponseRaw", "--pattern", r"Toxic\w*:\s*(\d)", "--scorer", "gpt-4",
          "--raters", "OriginalEntry.AnnotationsRaw.Toxicity", "--harmful-from", 3,
          "--out", tmp_path / "r")  # fmt: skip
    people, judge, unread = {}, {}, 0
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            key = f"{row['Index']}@{row['Locale'].lower()}"
            raters = row["OriginalEntry"]["AnnotationsRaw"]["Toxicity"]
            people[key] = sum(raters) / len(raters) >= 3 - 1e-9
            found = re.search(r"Toxic\w*:\s*(\d)", row["GPT4ResponseRaw"])
            unread += found is None
            if found:
                judge[key] = int(found[1]) >= 3
    scores = {score.prompt_id: score.label for score in records(tmp_path / "r/scores.parquet", Score)}
    human = {score.prompt_id: score.label for score in records(tmp_path / "r/human.parquet", Score)}
    assert {key: label == "harmful" for key, label in human.items()} == people
    assert {key: label == "harmful" for key, label in scores.items() if label != "unjudged"} == judge
    assert sum(label == "unjudged" for label in scores.values()) == unread > 0
    assert {label.annotator for label in records(tmp_path / "r/labels.jsonl", Label)} == {
        f"Toxicity.{n}" for n in (1, 2, 3)
    }
    notes = json.loads((tmp_path / "r/import.json").read_text())["notes"]
    assert any("ids occur in several languages" in note for note in notes)
    assert any("have no group in common" in note for note in notes)

    prism("agreement", tmp_path / "r/human.parquet", tmp_path / "r/scores.parquet", "--replicates", 200,
          "--out", tmp_path / "agreement.jsonl")  # fmt: skip
    both = sorted(judge)
    kappa = cohen_kappa_score([people[key] for key in both], [judge[key] for key in both])
    (found,) = [
        row for row in records(tmp_path / "agreement.jsonl", Finding)
        if row.metric == "cohen-kappa" and row.language == "all"
    ]  # fmt: skip
    assert found.estimate == pytest.approx(kappa, abs=1e-9)
