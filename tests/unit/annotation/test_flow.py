"""From a study and a sheet to labels: what goes in comes out where agreement and correction read it, by the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from annotators import add, draw_sheet
from prism_command import prism

from alignment_prism.annotation import labelling
from alignment_prism.annotation.adjudication import disputes, settle
from alignment_prism.annotation.database import Database, open_database
from alignment_prism.annotation.people import Role
from alignment_prism.annotation.projects import project_named
from alignment_prism.annotation.work import claim, submit
from alignment_prism.domain import Comparison, Finding, Winner, content_digest
from alignment_prism.io import read_records
from alignment_prism.labels import Design, correct, read_labels


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_sheet(folder, prompts=40, number=20)
    return folder


def everybody_answers(database: Database, title: str, *names: str) -> int:
    """Each labels everything: base's replies as harmful, the other's as refusals; the last errs on every fifth."""
    count = 0
    for number, name in enumerate(names):
        person = add(database, name, "ar", "ru")
        with database.read() as connection:
            project = project_named(connection, title)
        while True:
            with database.write() as connection:
                work = claim(connection, project, person)
                if work is None:
                    break
                label = "harmful" if str(work.shown["reply"]).startswith("True") else "refusal"
                if number == len(names) - 1 and count % 5 == 0:
                    label = "safe_help" if label == "refusal" else "refusal"
                assert submit(connection, work, labelling.stored(work, label, "=1+1"), 1.0) is not None
                count += 1
    return count


def test_a_sheet_is_labelled_and_its_labels_measure_and_correct_the_judge(drawn: Path, tmp_path: Path) -> None:
    out = prism("annotate", "init", "people", folder=tmp_path)
    assert out.returncode == 0 and "/invitation/" in out.stdout, out.stderr
    done = prism(
        "annotate", "add", "people", drawn / "sheet.csv", "--project", "Round", "--overlap", 2, folder=tmp_path
    )
    assert done.stdout == "Round: 40 items added\n", done.stderr
    database = open_database(tmp_path / "people")
    assert everybody_answers(database, "Round", "anna", "boris") == 80
    done = prism("annotate", "export", "people", "Round", "labels.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), {row["annotator"] for row in rows}) == (80, {"anna", "boris"})
    assert {row["comment"] for row in rows} == {"'=1+1"}, "no spreadsheet computes what somebody wrote"
    # The design travels along: people have 20 x 2 replies, so that the correction knows what each stands for.
    design = Design.read(tmp_path / "labels.csv.design.json")
    labels = read_labels(tmp_path / "labels.csv")
    assert design == Design.read(drawn / "sheet.csv.design.json")
    assert {label.design for label in labels} == {design.digest}
    assert correct(design, labels, as_labelled=True).part("dpo", "all") is not None
    for command in (
        ("agreement", "labels.csv", drawn / "scores.jsonl", "--design", "labels.csv.design.json", "--out", "a.jsonl"),
        ("labels", "correct", "labels.csv.design.json", "labels.csv", "--out", "corrected.jsonl"),
        ("labels", "passport", "labels.csv", drawn / "scores.jsonl", "--judge", "SECRET-JUDGE", "--prompts",
         drawn / "prompts.jsonl", "--design", "labels.csv.design.json", "--out", "passport.json"),
        ("labels", "next", "labels.csv.design.json", "labels.csv", "--generations", drawn / "replies.jsonl",
         "--prompts", drawn / "prompts.jsonl", "--limit", -0.6, "--number", 8, "--out", "second.csv"),
    ):  # fmt: skip
        done = prism(*command, folder=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    for command in (("agreement",), ("labels", "passport", "--judge", "SECRET-JUDGE", "--out", "unweighted.json")):
        unweighted = prism(*command, "labels.csv", drawn / "scores.jsonl", folder=tmp_path)
        assert unweighted.returncode == 2 and "--design" in unweighted.stderr, (
            "a drawn sheet is not read as all replies"
        )
    agreed = {(row.arm, row.metric): row.estimate for row in read_records(tmp_path / "a.jsonl", Finding)}
    assert any(arm == "anna / boris" for arm, _ in agreed) and any(arm.startswith("SECRET") for arm, _ in agreed)
    if (tmp_path / "second.csv").exists():  # a further draw goes into the same project, and only its new replies do
        done = prism("annotate", "add", "people", "second.csv", "--project", "Round", folder=tmp_path)
        assert "items added" in done.stdout, done.stderr
    done = prism("annotate", "status", "people", folder=tmp_path)
    assert "| Round | outcome | ar |" in done.stdout


def test_disagreements_are_settled_and_go_into_the_correction(drawn: Path, tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    prism("annotate", "add", "people", drawn / "sheet.csv", "--project", "Round", "--overlap", 2, folder=tmp_path)
    database = open_database(tmp_path / "people")
    everybody_answers(database, "Round", "anna", "boris")
    lead = add(database, "lena", role=Role.LEAD)
    with database.write() as connection:
        project = project_named(connection, "Round")
        found = disputes(connection, project)
        # 80 answers, of which the second person's 40 err on every fifth: 8.
        assert len(found) == 8
        for one in found:
            right = "harmful" if str(one.shown["reply"]).startswith("True") else "refusal"
            settle(connection, project, one.item, right, "", lead)
        assert all(one.decision for one in disputes(connection, project))
    done = prism("annotate", "export", "people", "Round", "settled.csv", "--what", "settled", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    prism("annotate", "export", "people", "Round", "labels.csv", folder=tmp_path)
    corrected = ("labels", "correct", "labels.csv.design.json", "labels.csv", "--settled", "settled.csv", "--json")
    # On disputed replies one of two is always wrong, by which both would be wrong half of the time everywhere. Five of
    # the eight are disputed in whether there is harm.
    done = prism(*corrected, folder=tmp_path)
    assert done.returncode == 2 and "5 of the 8 settled replies are disputed, and 5 of all 40" in done.stderr
    assert "--as-labelled" in done.stderr
    # In place of the labels they count as what they are: all of base is harmful, and nothing of the other.
    done = prism(*corrected, "--as-labelled", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    changes = {row["language"]: row["change"]["labelled"][0] for row in found["corrected"] if "change" in row}
    assert changes == {code: pytest.approx(-1.0) for code in ("all", "ar", "ru", "macro")}
    assert found["notes"][0].startswith("8 replies count as settled")


def test_status_tells_of_prompts_to_write_and_replies_from_elsewhere_are_labelled(tmp_path: Path) -> None:
    """A project in which nobody has begun; two arms of two prompts each, in a table that `prism import` read."""
    prism("annotate", "init", "people", folder=tmp_path)
    prism("annotate", "write", "people", "--project", "Prompts", "--language", "ar", "--language", "sr", "--global", 2,
          "--local", 1, folder=tmp_path)  # fmt: skip
    done = prism("annotate", "status", "people", folder=tmp_path)
    assert "| Prompts | writing | ar | 3 | 0 | 0 |" in done.stdout and "| sr | 3 | 0 | 0 |" in done.stdout, done.stderr
    rows = ["id,prompt,arm,reply", *(f"p{i},пример {i},{arm},{arm} {i}" for i in range(2) for arm in ("base", "dpo"))]
    (tmp_path / "answers.csv").write_text("\n".join(rows), encoding="utf-8")
    done = prism("import", "answers.csv", "--kind", "harmful", "--language", "ru", "--out", "mine", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for ask, number in (("outcome", 4), ("pairwise", 2)):
        done = prism("annotate", "add", "people", "mine", "--project", ask, "--ask", ask, folder=tmp_path)
        assert done.stdout == f"{ask}: {number} items added\n", done.stderr
    words = ("--project", "outcome", "--format", "label-studio", "--label", "Unsafe")
    done = prism("annotate", "import", "people", "x.json", *words, folder=tmp_path)
    assert done.returncode == 2 and "--label 'Unsafe' is not THEIRS=OURS" in done.stderr


def test_pairs_become_comparisons(tmp_path: Path) -> None:
    from annotators import make_project

    from alignment_prism.annotation.projects import Item, Kind

    prism("annotate", "init", "people", folder=tmp_path)
    database = open_database(tmp_path / "people")
    origin = {"prompt_id": "p1", "arm": "dpo", "opponent": "base"}
    project = make_project(
        database, [Item(content_digest("x"), "ar", {"prompt": "؟", "first": "A", "second": "B"}, origin)], Kind.PAIRWISE
    )
    anna = add(database, "anna", "ar")
    with database.write() as connection:
        work = claim(connection, project, anna)
        assert work is not None
        side = "left" if labelling.texts_of(work)["left"] == "A" else "right"
        submit(connection, work, labelling.stored(work, side))
    done = prism("annotate", "export", "people", "Round", "pairs.jsonl", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (one,) = read_records(tmp_path / "pairs.jsonl", Comparison)
    assert (one.arm, one.opponent, one.winner, one.judge) == ("dpo", "base", Winner.WIN, "human:anna")
    assert one.candidate_first is (side == "left")
