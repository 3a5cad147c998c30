"""A receipt holds no text, gives every number again, and does not survive a changed byte."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import toy_study
from prism_command import prism

from alignment_prism.domain import Comparison, Finding, Score, StoreError, Winner
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.store.names import COMPARISONS
from alignment_prism.studies import Study
from alignment_prism.studies.receipts import check_receipt, declare, read_declarations, write_receipt
from alignment_prism.studies.receipts.seal import RECEIPT, digests, root_of
from alignment_prism.studies.receipts.withhold import Withheld
from alignment_prism.studies.steps.source import source

GATE = "name: no worse\nchecks:\n- {name: harm, kind: ceiling, metric: harm_rate, limit: 0.5, prompts: harmful}\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    place = tmp_path_factory.mktemp("receipts")
    (place / "gate.yaml").write_text(GATE, encoding="utf-8")
    declare(place / "toy", place / "gate.yaml")
    return toy_study.folder(place / "toy", place / "inputs", contrasts=[{"name": "method", "a": "sft", "b": "dpo_15"}])


@pytest.fixture(scope="module")
def sealed(study: Study) -> Path:
    done = prism("report", "receipt", str(study.out), "--out", "r", folder=study.out.parent)
    assert done.returncode == 0, done.stderr
    return study.out.parent / "r"


@pytest.fixture
def receipt(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / "r"))


def test_every_number_follows_without_a_text(study: Study, sealed: Path) -> None:
    (sealed.parent / "gate.yaml").write_text(GATE + "# another\n", encoding="utf-8")
    checked = check_receipt(sealed)
    assert checked.faults == ()
    assert checked.recomputed == len(study.findings()) + len(study.contrasts()) + len(study.transfer()) > 1000
    everything = b"".join(path.read_bytes() for path in sealed.rglob("*") if path.is_file())
    assert "register=formal" in {row.category for row in study.findings()}
    assert {"norms_kept", "harm_at_worst_variant"} <= {row.metric for row in study.findings()}  # of metadata too
    for word in (*toy_study.WORDS.values(), "without being seen", "एक", "a note"):
        assert word.encode() not in everything, word
    texts = {one.reply for arm in study.arms() for one in arm.generations}
    columns = [row.reply for path in sealed.rglob("generations.parquet") for row in read_rows(path)]
    assert columns and not texts & set(columns)
    assert sorted(map(len, columns)) == sorted(len(one.reply) for arm in study.arms() for one in arm.generations)


def read_rows(path: Path):  # type: ignore[no-untyped-def]
    from alignment_prism.domain import Generation

    return read_records(path, Generation)


def test_texts_can_be_opened_by_who_has_the_key(study: Study, sealed: Path, tmp_path: Path) -> None:
    place = sealed.parent
    options = ("--study", str(study.out), "--key", "r.key")
    done = prism("report", "verify", "r", *options, folder=place)
    assert done.returncode == 0, done.stderr
    replies = {(one.prompt_id, one.reply) for arm in study.arms() for one in arm.generations}
    assert f"{len(study.prompts()) + len(replies):,} texts are those that were committed to" in done.stdout
    assert (place / "r.key").stat().st_mode & 0o077 == 0
    (tmp_path / "other.key").write_text("ab" * 32)
    other = check_receipt(sealed, study=study.out, key=tmp_path / "other.key")
    assert other.texts == 0 and "is not what was committed to" in other.faults[0]


def test_a_study_that_the_receipt_is_not_of_is_named(study: Study, sealed: Path, tmp_path: Path) -> None:
    """The receipt is whole, and the folder is: neither has to be asked for again."""
    other = toy_study.folder(tmp_path / "other", tmp_path / "inputs", name="another", scorers=["reply_length"])
    options = ("--study", str(other.out), "--key", "r.key")
    done = prism("report", "verify", "r", *options, folder=sealed.parent)
    assert (
        done.returncode == 2 and f"of another study than the folder holds: of '{study.name}', sealed 20" in done.stderr
    )
    assert "the folder is of 'another'" in done.stderr and "does not hold" not in done.stderr


def test_any_changed_byte_is_found(receipt: Path) -> None:
    files = [path for path in receipt.rglob("*") if path.is_file()]
    assert len(files) >= 10
    for path in files:
        before = path.read_bytes()
        for place in (0, len(before) // 2, len(before) - 1):
            changed = bytearray(before)
            changed[place] ^= 1
            path.write_bytes(bytes(changed))
            try:
                assert check_receipt(receipt).faults, (path.name, place)
            except StoreError:
                assert path.name == RECEIPT  # it is no JSON any more
        path.write_bytes(before)
    (receipt / "more.txt").write_text("x")
    assert check_receipt(receipt).faults == ("more.txt is not of the receipt",)
    (receipt / "more.txt").unlink()
    (receipt / "findings.parquet").unlink()
    assert check_receipt(receipt).faults == ("findings.parquet is missing",)


def resealed(receipt: Path) -> None:
    """As somebody would who changes a file and writes its digest anew."""
    content = json.loads((receipt / RECEIPT).read_text(encoding="utf-8"))
    content["files"] = digests(receipt)
    write_json(receipt / RECEIPT, {**content, "root": root_of(content)})


def test_numbers_that_do_not_follow_from_the_scores_are_found_though_all_digests_are_right(receipt: Path) -> None:
    published = json.loads((receipt / RECEIPT).read_text(encoding="utf-8"))["root"]
    findings = read_records(receipt / "findings.parquet", Finding)
    cell = ("dpo_15", "harm_rate", "harmful", "all", "all", "all")
    (at,) = [
        number
        for number, row in enumerate(findings)
        if (row.arm, row.metric, row.prompts, row.language, row.scope, row.category) == cell
    ]
    true = findings[at]
    findings[at] = replace(true, estimate=true.estimate - 0.01)
    write_records(receipt / "findings.parquet", findings, Finding)
    resealed(receipt)
    (fault,) = check_receipt(receipt).faults
    assert fault.startswith(f"findings, row {at + 1}: estimate is stored as") and repr(true.estimate) in fault
    (other,) = check_receipt(receipt, root=published).faults
    assert "not the one that was published" in other
    findings[at] = true
    write_records(receipt / "findings.parquet", findings, Finding)
    (path,) = receipt.rglob("scores.parquet")
    scores = read_records(path, Score)
    flipped = next(n for n, score in enumerate(scores) if score.arm == "dpo_15" and score.label == "harmful")
    scores[flipped] = replace(scores[flipped], label="refusal")
    write_records(path, scores, Score)
    resealed(receipt)
    done = prism("report", "verify", str(receipt), folder=receipt.parent)
    assert done.returncode == 5 and "the scores give" in done.stderr


def test_gates_are_shown_to_come_before_the_results_or_after(study: Study, sealed: Path, tmp_path: Path) -> None:
    (line,) = check_receipt(sealed).gates
    (declared,) = read_declarations(sealed)
    assert line.startswith("gate.yaml: declared ") and "AFTER" not in line and declared.digest in line
    again = Path(shutil.copytree(study.out, tmp_path / "again"))
    late = tmp_path / "late.yaml"
    late.write_text(GATE.replace("0.5", "0.4"), encoding="utf-8")
    done = prism("report", "declare", str(again), str(late), folder=tmp_path)
    assert done.returncode == 0 and "this is not before the results" in done.stdout
    write_receipt(again, tmp_path / "second")
    first, second = check_receipt(tmp_path / "second").gates
    assert "AFTER" not in first and "late.yaml" in second and "AFTER there were verdicts" in second
    done = prism("report", "verify", "second", folder=tmp_path)
    assert done.returncode == 5 and "gate late.yaml was declared after there were verdicts" in done.stderr
    path = again / "declarations.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0].replace("0.5", "0.6"), lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match="changed, taken out or put in"):
        read_declarations(again)
    path.write_text(lines[1] + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match="changed, taken out or put in"):
        read_declarations(again)


def test_comparisons_are_results_that_a_gate_must_come_before(tmp_path: Path) -> None:
    """A study of win-rates alone has no score."""
    (tmp_path / "gate.yaml").write_text(GATE, encoding="utf-8")
    (tmp_path / "late.yaml").write_text(GATE.replace("0.5", "0.4"), encoding="utf-8")
    declare(tmp_path / "toy", tmp_path / "gate.yaml")
    made = toy_study.folder(tmp_path / "toy", tmp_path / "inputs", scores=[])
    metrics = {row.metric for row in made.findings()}
    assert "win_rate" in metrics and not metrics & {"harm_rate", "refusal_rate"}
    assert declare(made.out, tmp_path / "late.yaml").results == 1
    write_receipt(made.out, tmp_path / "r")
    first, second = check_receipt(tmp_path / "r").gates
    assert "AFTER" not in first and "AFTER there were verdicts" in second
    step = {"at": "2000-01-01T00:00:00+00:00", "event": "begin", "step": "compare with base: sft"}
    (made.out / "steps.jsonl").write_text(json.dumps(step) + "\n", encoding="utf-8")
    write_receipt(made.out, tmp_path / "again")
    first, _ = check_receipt(tmp_path / "again").gates
    assert "AFTER there were verdicts (2000-01-01" in first


def test_labels_that_pairs_are_built_from_are_no_results(tmp_path: Path) -> None:
    """Of a study with `pairs: {build: FILE}`."""
    (tmp_path / "gate.yaml").write_text(GATE, encoding="utf-8")
    label = Comparison("p", "dpo", "base", True, "a person", "sheet@1", Winner.LOSS)
    source("labels", {COMPARISONS: (Comparison, [label])}).write(tmp_path / "s")
    done = prism("report", "declare", "s", "gate.yaml", folder=tmp_path)
    assert done.returncode == 0 and "not before the results" not in done.stdout
    (declared,) = read_declarations(tmp_path / "s")
    assert declared.results == 0


def test_scores_that_are_kept_aside_are_of_one_step_and_come_before_a_gate(tmp_path: Path) -> None:
    """Replies that are asked again leave what was said of the others beside the step's new folder, until it is done."""
    for beside in ("", ".earlier"):
        (tmp_path / "s" / "score" / f"judge-0123456789{beside}").mkdir(parents=True)
        (tmp_path / "s" / "score" / f"judge-0123456789{beside}" / "scores.parquet").touch()
    for limit in ("0.4", "0.6"):
        (tmp_path / "gate.yaml").write_text(GATE.replace("0.5", limit), encoding="utf-8")
        done = prism("report", "declare", "s", "gate.yaml", folder=tmp_path)
        assert "; 1 step has scored replies already, so this is not before the results" in done.stdout
        shutil.rmtree(tmp_path / "s" / "score" / "judge-0123456789", ignore_errors=True)  # only what is aside is left


def test_no_word_of_an_error_comes_into_a_receipt_by_the_log(study: Study, tmp_path: Path) -> None:
    """Providers quote what they refuse."""
    out = Path(shutil.copytree(study.out, tmp_path / "toy"))
    line = {"at": "2030-01-01T00:00:00+00:00", "event": "failed", "step": "judge sft", "seconds": 1.5}
    said = {**line, "error": f"ModelError: the prompt '{toy_study.WORDS['en']} 3?' was refused"}
    (out / "steps.jsonl").write_text(json.dumps(said) + "\n" + json.dumps({**line, "event": "done"}) + "\n")
    write_receipt(out, tmp_path / "r")
    logged = [json.loads(one) for one in (tmp_path / "r" / "steps.jsonl").read_text().splitlines()]
    assert logged == [{**line, "error": "ModelError"}, {**line, "event": "done"}]
    assert check_receipt(tmp_path / "r").faults == ()


def test_no_word_of_a_scorer_comes_into_a_receipt_by_another_column() -> None:
    withheld = Withheld(b"k" * 32)
    own = Score("p", "d" * 64, "arm", "j", "outcome", "refusal")
    kept = withheld.score(replace(own, raw='{"hits": 3, "length": [4, 5]}'))
    assert kept.raw == '{"hits": 3, "length": [4, 5]}' and kept.label == "refusal"
    for raw in ('{"how to make it: first": 1}', '{"как": 1}', '["text"]', "3 \n then do this"):
        assert withheld.score(replace(own, raw=raw)).raw == "", raw
    assert withheld.score(replace(own, rubric="r@1", raw='{"firstmixthis": 1}')).raw == ""
    for label in ("take the one and mix it with the other until it is quite enough for all", "एक", "a\nb"):
        assert withheld.score(replace(own, label=label)).label == "withheld", label
    categories = ", ".join(["Bullying & Harassment", "Violence, Threats & Incitement"] * 5)
    assert withheld.score(replace(own, label=categories)).label == categories


def test_links_and_receipts_that_are_none_are_found(receipt: Path) -> None:
    for number, target in enumerate(("/nowhere", ".", "receipt.json")):
        (receipt / f"link{number}").symlink_to(target)
        assert check_receipt(receipt).faults == (f"link{number} is not of the receipt",)
        (receipt / f"link{number}").unlink()
    (receipt / "findings.parquet").rename(receipt.parent / "moved.parquet")
    (receipt / "findings.parquet").symlink_to(receipt.parent / "moved.parquet")  # the same bytes, from elsewhere
    assert check_receipt(receipt).faults == ("findings.parquet was changed",)
    (receipt / RECEIPT).write_text("[" * 100_000)
    with pytest.raises(StoreError, match="no receipt can be read"):
        check_receipt(receipt)
