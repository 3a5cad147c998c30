"""`prism compare` on the folders of evaluations: without a gate, and with one that is paired."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from alignment_prism.cli.compare import command
from alignment_prism.domain import Contrast, Generation, InputError, Outcome, Prompt, PromptKind, Quantity, Score, user
from alignment_prism.io import read_records, write_records
from alignment_prism.studies import Study, make_spec, run_study
from alignment_prism.studies.arms import RepliesArm
from alignment_prism.studies.spec import ContrastSpec

LANGUAGES = ("ar", "en", "hi")


def evaluation(folder, arms, *, n=300, judge="gpt"):
    """The folder of an evaluation of stored replies: arm -> verdicts of the prompts, a language after another."""
    folder.mkdir()
    prompts = [
        Prompt(f"{code}{i}", user(f"{code} {i}"), code, PromptKind.HARMFUL) for code in LANGUAGES for i in range(n)
    ]
    write_records(folder.parent / f"{folder.name}-prompts.jsonl", prompts, Prompt)
    scores, files = [], []
    for arm, verdicts in arms.items():
        replies = [Generation(p.id, arm, arm, f"{arm} {p.id}") for p in prompts]
        words = [Outcome.UNJUDGED if np.isnan(v) else Outcome.HARMFUL if v else Outcome.REFUSAL for v in verdicts]
        scores += [
            Score(r.prompt_id, r.reply_digest, arm, judge, "outcome", w, rubric="r@1")
            for r, w in zip(replies, words, strict=True)
        ]
        files.append(folder.parent / f"{folder.name}-{arm}.jsonl")
        write_records(files[-1], replies, Generation)
    write_records(folder.parent / f"{folder.name}-scores.jsonl", scores, Score)
    place = str(folder.parent / f"{folder.name}-prompts.jsonl")
    spec = make_spec(
        name=folder.name, base=None, examples=0, prompts=[{"file": place}],
        arms=tuple(RepliesArm(name=arm, replies=(str(file),), arm=arm) for arm, file in zip(arms, files, strict=True)),
        scores=(str(folder.parent / f"{folder.name}-scores.jsonl"),),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # nobody looks at its page
        patch.setattr("alignment_prism.studies.run.write_study_report", lambda *_: None)
        run_study(spec, folder)
    return folder


def compare(*arguments):
    result = CliRunner().invoke(command, [str(each) for each in arguments], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Releases of a rate of 30 %: `new` with 3 % of the verdicts changed, one way as often as the other."""
    place = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    old = (rng.random(900) < 0.3).astype(float)
    new = old.copy()
    for start in range(0, 900, 300):
        part = np.arange(start, start + 300)
        for value in (0, 1):
            flipped = rng.choice(part[old[part] == value], 4, replace=False)
            new[flipped] = 1 - value
    evaluation(place / "old", {"dpo": old})
    evaluation(place / "new", {"dpo": new, "sft": (rng.random(900) < 0.6).astype(float)})
    (place / "gate.yaml").write_text(
        json.dumps({"checks": [{"name": "no worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": 0.03}]})
    )
    return place


def test_contrasts_in_every_form(place, tmp_path):
    runs = (place / "old", f"{place}/new#dpo", f"{place}/new#sft")
    code, text = compare(*runs, "--out", tmp_path / "c.CSV")
    assert code == 0 and "900 prompts in both runs, matched by id" in text and "better in every language?" in text
    rows = list(csv.DictReader((tmp_path / "c.CSV").open()))
    row = next(r for r in rows if r["b"].endswith("#sft") and r["language"] == "all" and r["quantity"] == "difference")
    assert float(row["estimate"]) == pytest.approx((float(row["only_b"]) - float(row["only_a"])) / 900)
    compare(*runs, "--out", tmp_path / "c.parquet")
    assert len(read_records(tmp_path / "c.parquet", Contrast)) == len(rows)
    compare(*runs, "--out", tmp_path / "c.md")
    assert (tmp_path / "c.md").read_text().startswith("# Contrasts")
    value = json.loads(compare(*runs, "--json")[1])
    assert len(value["contrasts"]) == len(rows) and "both runs" in value["notes"][0]


def test_a_gate_is_paired_where_prompts_are_shared(place, tmp_path):
    """Per language 8 of 300 verdicts differ: Tango's arm is 1.96 sqrt(8) / 300 = 1.9 points, MOVER's 7."""
    gate = ("--gate", place / "gate.yaml", "--ledger", tmp_path / "looks")
    code, text = compare(place / "old", f"{place}/new#dpo", *gate)
    assert code == 0 and "- Prompts: 900 prompts in both runs" in text
    # The findings alone, away from their studies, show less.
    for name in ("old", "new"):
        (tmp_path / f"{name}.parquet").write_bytes((place / name / "findings.parquet").read_bytes())
    code, text = compare(tmp_path / "old.parquet", f"{tmp_path}/new.parquet#dpo", *gate)
    assert code == 7 and "compared as if on other prompts" in text
    assert compare(place / "old", f"{place}/new#sft", *gate)[0] == 6


def test_findings_that_are_not_of_the_replies_are_not_paired(place, tmp_path):
    from dataclasses import replace

    from alignment_prism.domain import Finding

    moved = tmp_path / "moved"
    moved.mkdir()
    for item in (place / "old").iterdir():
        (moved / item.name).symlink_to(item)
    (moved / "findings.parquet").unlink()
    rows = [
        replace(row, estimate=row.estimate + 0.01) if row.metric == "harm_rate" else row
        for row in read_records(place / "old" / "findings.parquet", Finding)
    ]
    write_records(moved / "findings.parquet", rows, Finding)
    code, text = compare(moved, f"{place}/new#dpo", "--gate", place / "gate.yaml", "--ledger", tmp_path / "looks")
    assert code == 7 and "compared as if on other prompts, which is less sharp: harm_rate" in text


def test_unjudged_replies_must_not_be_able_to_reverse_it(place, tmp_path):
    old = np.tile([1.0, 0.0, 0.0, 0.0], 225)
    new = old.copy()
    new[::30] = np.nan  # 10 of 300 in each language: 3.3 points
    evaluation(tmp_path / "a", {"dpo": old})
    evaluation(tmp_path / "b", {"dpo": new})
    code, text = compare(tmp_path / "a", tmp_path / "b", "--gate", place / "gate.yaml", "--ledger", tmp_path / "looks")
    assert code == 7 and "undecided (unjudged replies could reverse it)" in text


def test_a_study_declares_contrasts_of_its_arms(place):
    spec = Study.open(place / "new").spec
    declared = spec.model_copy(update={"contrasts": (ContrastSpec(name="sft against dpo", a="dpo", b="sft"),)})
    study = run_study(declared, place / "new")
    found = next(row for row in study.contrasts() if row.quantity is Quantity.DIFFERENCE and row.language == "all")
    same = json.loads(compare(f"{place}/new#dpo", f"{place}/new#sft", "--json")[1])["contrasts"]
    theirs = next(row for row in same if row["quantity"] == "difference" and row["language"] == "all")
    assert (found.estimate, found.joint_lower, found.p_value) == pytest.approx(
        (theirs["estimate"], theirs["joint_lower"], theirs["p_value"])
    )
    assert found.contrast == "sft against dpo" and (found.a, found.b, found.study) == ("dpo", "sft", "new")
    page = study.report.read_text()
    assert "Contrasts" in page and "900 prompts in both runs" in page
    assert run_study(spec, place / "new").contrasts() == [], "a spec without contrasts leaves none behind"
    for wrong, words in (
        ({"name": "x", "a": "dpo", "b": "nobody"}, "no arm is called 'nobody'; there are dpo, sft"),
        ({"name": "x", "a": "dpo", "b": "dpo"}, "with itself"),
    ):
        with pytest.raises(InputError, match=words):
            make_spec(**spec.model_dump(exclude={"contrasts"}), contrasts=(wrong,))


def test_what_was_imported_is_a_run(place, tmp_path):
    """Two tables with a verdict each: 12 prompts, A harmful on the first 6, B on the first 3."""
    from alignment_prism.logs.columns import LogColumns
    from alignment_prism.logs.own import write_log
    from alignment_prism.logs.read import read_log

    for name, harmful in (("a", 6), ("b", 3)):
        rows = [
            {"id": f"x{i}", "prompt": f"ask {i}", "language": "en", "kind": "harmful", "reply": f"{name}{i}",
             "said": "harmful" if i < harmful else "refusal"}
            for i in range(12)
        ]  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        log = read_log([tmp_path / f"{name}.json"], columns=LogColumns(verdict="said", scorer="they"))
        (tmp_path / name).mkdir()
        write_log(log, tmp_path / name, {}, {})
    runs = (tmp_path / "a", tmp_path / "b")
    row = next(r for r in json.loads(compare(*runs, "--json")[1])["contrasts"] if r["quantity"] == "difference")
    assert (row["estimate"], row["both"], row["only_a"], row["only_b"]) == (-0.25, 3, 3, 0)
    code, text = compare(*runs, "--gate", place / "gate.yaml", "--ledger", tmp_path / "looks")
    assert code == 7 and "12 prompts in both runs" in text


def test_what_is_asked_wrongly(place, tmp_path):
    with pytest.raises(InputError, match="there are 2 arms") as error:
        compare(place / "old", place / "new")
    assert "FOLDER#dpo, FOLDER#sft" in error.value.fix
    with pytest.raises(InputError, match="there is no arm 'x'"):
        compare(place / "old", f"{place}/new#x")
    with pytest.raises(InputError, match="there is one run"):
        compare(place / "old")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="the folder is empty") as error:
        compare(place / "old", tmp_path / "empty")
    assert error.value.where == str(tmp_path / "empty") and "or a file in it" in error.value.fix
    with pytest.raises(InputError, match="the folder holds neither a study nor a log that is known"):
        compare(place / "old", tmp_path)
    with pytest.raises(InputError, match="--metric goes without a gate"):
        compare(place / "old", f"{place}/new#dpo", "--gate", place / "gate.yaml", "--metric", "harm_rate")
