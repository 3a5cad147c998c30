"""In and out as a whole: labels of other tools, backups while people work, and from one engine to the other."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path

import pytest
from annotators import add, make_project, replies
from postgres import new_database
from prism_command import prism
from sqlalchemy import select

from alignment_prism.annotation.backup import restore_backup, write_backup
from alignment_prism.annotation.database import Database, create_database, open_database
from alignment_prism.annotation.exports import answers, write_labels
from alignment_prism.annotation.imports import add_labels, read_label_studio, read_potato
from alignment_prism.annotation.labelling import stored
from alignment_prism.annotation.people import everyone
from alignment_prism.annotation.projects import project_named
from alignment_prism.annotation.schema import metadata
from alignment_prism.annotation.work import claim, save_draft, submit
from alignment_prism.domain import InputError, StoreError
from alignment_prism.labels import read_labels


def test_a_backup_made_while_people_write_is_whole_and_restores(database: Database, tmp_path: Path) -> None:
    project = make_project(database, replies("ar", 4), overlap=2)
    anna = add(database, "أمل", "ar")
    with database.write() as connection:
        work = claim(connection, project, anna)
        assert work is not None
        submit(connection, work, stored(work, "refusal", "ملاحظة\n\"'<b>"))
        going_on = claim(connection, project, anna)
        assert going_on is not None
    stop = threading.Event()
    written = threading.Event()

    def type_on() -> None:
        number = 0
        while not stop.is_set():
            with database.write() as connection:
                save_draft(connection, going_on, stored(going_on, "", f"كلمة {number}"))
            number += 1
            written.set()

    typing = threading.Thread(target=type_on)
    typing.start()
    written.wait()
    rows = write_backup(database, tmp_path / "one.zip")
    stop.set()
    typing.join()
    assert rows["people"] == 1 and rows["revisions"] >= 2
    restored = restore_backup(tmp_path / "one.zip", tmp_path / "restored")
    assert restored.is_sqlite and restored.secret == database.secret
    with restored.read() as connection, database.read() as original:
        assert [one.content["comment"] for one in answers(connection, project)] == ["ملاحظة\n\"'<b>"]
        for table in metadata.sorted_tables:
            if table.name not in ("revisions", "assignments"):
                query = select(table).order_by(*table.primary_key.columns)
                assert connection.execute(query).all() == original.execute(query).all(), table.name
    # Numbers go on after the last one: nothing meets a row that is there.
    with restored.write() as connection:
        again = claim(connection, project_named(connection, "Round"), everyone(connection)[0])
        assert again is not None
        submit(connection, again, stored(again, "harmful"))
    add(restored, "boris", "ar")


@pytest.mark.slow
def test_a_folder_moves_from_one_engine_to_the_other_and_back(server: str, tmp_path: Path) -> None:
    first = create_database(tmp_path / "first")
    make_project(first, replies("hi", 2))
    add(first, "अमित", "hi")
    write_backup(first, tmp_path / "one.zip")
    second = restore_backup(tmp_path / "one.zip", tmp_path / "second", new_database(server, "moved"))
    assert not second.is_sqlite
    add(second, "नया", "hi")  # its numbers go on after those that came
    write_backup(second, tmp_path / "two.zip")
    second.engine.dispose()
    third = restore_backup(tmp_path / "two.zip", tmp_path / "third")
    with third.read() as connection:
        assert [one.name for one in everyone(connection)] == ["अमित", "नया"]


def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    done = prism("annotate", "backup", "people", "one.zip", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert prism("annotate", "backup", "people", "one.zip", folder=tmp_path).returncode == 5
    assert prism("annotate", "restore", "one.zip", "people", folder=tmp_path).returncode == 5
    assert prism("annotate", "restore", "one.zip", "again", folder=tmp_path).returncode == 0
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["facts.jsonl"] = content["facts.jsonl"].replace(b"schema", b"schemb")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(StoreError, match="damaged: facts"):
        restore_backup(tmp_path / "bad.zip", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(StoreError, match="cannot read"):
        restore_backup(tmp_path / "text.zip", tmp_path / "bad")


def test_nothing_that_is_written_takes_the_place_of_the_database(database: Database, tmp_path: Path) -> None:
    """Of either engine, from Python: a folder's own files are refused as a backup by whatever name, and nothing else
    is; labels have no such look, since no file of labels is named as they are."""
    folder = tmp_path / "annotations"
    project = make_project(database, replies("ar", 1))
    anna = add(database, "anna", "ar")
    with database.write() as connection:
        work = claim(connection, project, anna)
        assert work is not None
        submit(connection, work, stored(work, "refusal"))
    (tmp_path / "link").symlink_to(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    for name in ("annotation.sqlite3", "annotation.sqlite3-wal", "annotation.yaml"):
        for place in (folder, tmp_path / "link"):
            with pytest.raises(InputError, match="the output is also an input"):
                write_backup(database, place / name)
        with database.read() as connection, pytest.raises(InputError, match="a sheet is not written as"):
            write_labels(connection, project, str(folder / name))
    assert {name: (folder / name).read_bytes() for name in before} == before
    write_backup(database, folder / "one.zip")
    assert open_database(folder).secret == database.secret


def test_a_backup_of_before_is_replaced_where_that_is_said(tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    for more, code in (((), 0), ((), 5), (("--replace",), 0)):
        done = prism("annotate", "backup", "people", "people/one.zip", *more, folder=tmp_path)
        assert done.returncode == code, done.stderr
    assert prism("annotate", "restore", "people/one.zip", "again", folder=tmp_path).returncode == 0


VERA = {"id": 3, "email": "vera@example.org", "first_name": "", "last_name": ""}
"""As Label Studio says who annotated (`data_export/serializers.py`)."""


def test_two_annotators_of_label_studio_whose_addresses_differ_late_are_two(tmp_path: Path) -> None:
    task = {
        "id": 1,
        "data": {"reply_digest": "ru0"},
        "annotations": [
            {
                "completed_by": who,
                "result": [{"from_name": "harm", "value": {"choices": ["Refusal"]}}],
            }
            for who in (VERA, VERA | {"id": 4, "email": "vera@example.com"}, VERA | {"id": 5, "email": "v" * 60 + "@x"})
        ],
    }
    (tmp_path / "export.json").write_text(json.dumps([task]), encoding="utf-8")
    found = read_label_studio(tmp_path / "export.json", "reply_digest")
    assert [one.annotator for one in found][:2] == ["vera 3", "vera 4"]
    database = create_database(tmp_path / "people")
    project = make_project(database, replies("ru", 1))
    with database.write() as connection:
        found = read_label_studio(tmp_path / "export.json", "reply_digest")
        assert add_labels(connection, project, found, source="label-studio").added == 3, "a long name is shortened"


def test_what_was_asked_must_be_said_where_several_questions_were(tmp_path: Path) -> None:
    result = [
        {"from_name": name, "type": "choices", "value": {"choices": labels}}
        for name, labels in (("harm", ["Refusal", "Harmful"]), ("fluent", ["Yes"]))
    ]
    task = {"id": 1, "data": {"k": "a"}, "annotations": [{"completed_by": 1, "result": result}]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    with pytest.raises(InputError, match="2 questions") as caught:
        list(read_label_studio(tmp_path / "export.json", "k"))
    assert "fluent, harm" in caught.value.fix
    # Two choices at once are no label of ours, and are counted as unread by their words.
    assert [one.label for one in read_label_studio(tmp_path / "export.json", "k", "harm")] == ["Refusal + Harmful"]


def test_labels_of_label_studio_are_taken_over(tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    database = open_database(tmp_path / "people")
    make_project(database, replies("ru", 2))

    def annotation(who: object, label: str, **more: object) -> dict[str, object]:
        result = [
            {"from_name": "harm", "to_name": "reply", "type": "choices", "value": {"choices": [label]}},
            {"from_name": "why", "to_name": "reply", "type": "textarea", "value": {"text": ["потому что"]}},
        ]
        return {"completed_by": who, "result": result, "lead_time": 4.5, "was_cancelled": False,
                "created_at": "2026-01-02T03:04:05.000000Z", **more}  # fmt: skip

    tasks = [
        {"id": 1, "data": {"reply_digest": "ru0", "model": "SECRET"},
         "annotations": [annotation(VERA, "Unsafe"), annotation(7, "Refusal")]},
        {"id": 2, "data": {"reply_digest": "new", "text": "Привет", "answer": "Здравствуйте", "lang": "ru"},
         "annotations": [annotation(7, "Safe help"), annotation(8, "Refusal", was_cancelled=True)]},
        {"id": 3, "data": {"reply_digest": "nobody knows it"}, "annotations": [annotation(7, "Refusal")]},
        {"id": 4, "data": {"reply_digest": "ru1"}, "annotations": [annotation(7, "Maybe")]},
    ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    words = ("annotate", "import", "people", "export.json", "--project", "Round", "--format", "label-studio", "--label",
             "Unsafe=harmful", "--map", "prompt=text,reply=answer,language=lang")  # fmt: skip
    done = prism(*words, folder=tmp_path)
    assert done.stdout == "3 labels added, 1 new items, 0 labels were there already\n", done.stderr
    assert "1 labels of items that the project does not have" in done.stderr and "'Maybe'" in done.stderr
    assert prism(*words, folder=tmp_path).stdout.startswith("0 labels added, 0 new items, 3 labels were there")
    prism("annotate", "export", "people", "Round", "labels.csv", folder=tmp_path)
    found = {
        (one.reply_digest, one.annotator): (one.label, one.comment) for one in read_labels(tmp_path / "labels.csv")
    }
    assert found == {
        ("ru0", "vera 3 (label-studio)"): ("harmful", "потому что"),
        ("ru0", "7 (label-studio)"): ("refusal", "потому что"),
        ("new", "7 (label-studio)"): ("safe_help", "потому что"),
    }


def test_labels_of_potato_2_are_taken_over_from_its_states_and_its_export_alike(tmp_path: Path) -> None:
    """As Potato 2 keeps them (`user_state_management.py`) and exports them (`export/tabular_exporter.py`)."""
    said = {"asha": ("Harmful", "true"), "ravi": ("Refusal", True)}
    output, lines = tmp_path / "annotation_output", []
    for who, (label, value) in said.items():
        pairs = [
            [{"schema": "harm", "name": label}, value],
            [{"schema": "harm", "name": "Other"}, False],
            [{"schema": "why", "name": "text_box"}, "क्योंकि"],
        ]
        state = {"user_id": who, "instance_id_ordering": ["hi0"], "current_instance_index": 0,
                 "instance_id_to_label_to_value": {"hi0": pairs}, "instance_id_to_span_to_value": {},
                 "instance_id_to_behavioral_data": {}}  # fmt: skip
        (output / who).mkdir(parents=True)
        (output / who / "user_state.json").write_text(json.dumps(state), encoding="utf-8")
        nested = {"harm": {label: value, "Other": False}, "why": {"text_box": "क्योंकि"}}
        lines.append(json.dumps({"instance_id": "hi0", "user_id": who, "labels": nested, "spans": {}, "links": {}}))
    (output / "exports" / "jsonl").mkdir(parents=True)
    export = output / "exports" / "jsonl" / "annotations.jsonl"
    export.write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = [("hi0", "asha", "Harmful", "क्योंकि"), ("hi0", "ravi", "Refusal", "क्योंकि")]
    for place in (output, export, output / "exports"):
        found = [(one.key, one.annotator, one.label, one.comment) for one in read_potato(place, "harm", "why")]
        assert found == expected, place
    assert [one.label for one in read_potato(output, comment="why")] == ["Harmful", "Refusal"]
    with pytest.raises(InputError, match="2 questions"):
        list(read_potato(output))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"none of user_state\.json"):
        list(read_potato(tmp_path / "empty"))


def test_labels_of_potato_are_taken_over(tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    database = open_database(tmp_path / "people")
    make_project(database, replies("hi", 2))
    for who, label, value in (("asha", "Harmful", "true"), ("ravi", "Refusal", True)):
        rows = [
            {"id": "hi0", "displayed_text": "...", "span_annotations": [],
             "label_annotations": {"harm": {label: value, "Other": False}, "why": {"text_box": "क्योंकि"}}},
            {"id": "hi1", "displayed_text": "...", "label_annotations": {"harm": {"Safe help": "3"}}},
        ]  # fmt: skip
        folder = tmp_path / "annotation_output" / who
        folder.mkdir(parents=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "annotated_instances.jsonl").write_text(lines, encoding="utf-8")
    done = prism("annotate", "import", "people", "annotation_output", "--project", "Round", "--format", "potato",
                 "--question", "harm", "--comment", "why", folder=tmp_path)  # fmt: skip
    assert done.stdout == "4 labels added, 0 new items, 0 labels were there already\n", done.stderr
    with database.read() as connection:
        found = {
            (one.key, one.annotator): one.content for one in answers(connection, project_named(connection, "Round"))
        }
    assert found["hi0", "asha (potato)"] == {"label": "harmful", "comment": "क्योंकि"}
    assert found["hi0", "ravi (potato)"]["label"] == "refusal"
    assert found["hi1", "ravi (potato)"] == {"label": "safe_help", "comment": ""}
