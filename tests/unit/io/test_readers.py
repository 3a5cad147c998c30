"""Rows of every format, in every state that files are found in; what cannot be read is named and counted."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rows_taken import reasons, take, values

from alignment_prism.domain import InputError
from alignment_prism.io import Intake, TableOptions, files, jsonrows, read_rows
from alignment_prism.io.delimited import MERGED

ROWS = [{"prompt": "один, два", "n": 1}, {"prompt": 'say "hi"\nnow', "n": 2}, {"prompt": "\u2028x\u0085y", "n": 3}]


JSON_SHAPES = {
    "lines.jsonl": lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    "lines.ndjson": lambda rows: "\r\n".join(json.dumps(row) for row in rows) + "\r\n",
    "lines-in.json": lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    "array.json": lambda rows: json.dumps(rows, ensure_ascii=False),
    "pretty.json": lambda rows: json.dumps(rows, indent=4),
    "document.json": lambda rows: json.dumps({"name": "x", "data": rows}, indent=1),
    "compact.json": lambda rows: json.dumps({"data": rows}),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", JSON_SHAPES)
def test_json_in_all_shapes_and_encodings(tmp_path, name, encoding, packed):
    data = JSON_SHAPES[name](ROWS).encode(encoding)
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    rows, intake = take(path)
    assert values(rows) == ROWS
    assert [row.number for row in rows] == [1, 2, 3]
    assert intake.rejected == 0


def test_one_object_is_one_row(tmp_path):
    for text in ('{"prompt": "x", "messages": [{"role": "user", "content": "y"}]}', '{\n "prompt": "x"\n}\n'):
        (tmp_path / "one.json").write_text(text)
        assert values(take(tmp_path / "one.json")[0]) == [json.loads(text)]


def test_bad_lines_are_rejected_one_by_one(tmp_path):
    lines = [
        b'{"a": 1}',
        b"{'a': 1}",
        b"",
        b'{"a": 2',
        b"[1]",
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff"}',
        b'"{\\"a\\": 3}"',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"a": 4}',
    ]
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    rows, intake = take(tmp_path / "x.jsonl")
    assert values(rows) == [{"a": 1}, {"a": 3}, {"a": 4}]
    assert intake.rows == 10
    found = reasons(intake)
    assert [("not JSON" in what) for what in found[:2]] == [True, True]
    assert found[2] == "not an object" and "twice" in found[3] and "byte 8" in found[4]
    assert "not usable JSON" in found[5] and "too deeply" in found[6]
    assert intake.notes[jsonrows.NESTED] == 1
    assert [reject.row.line for reject in intake.rejects] == [2, 4, 5, 6, 7, 9, 10]
    assert [reject.row.number for reject in intake.rejects] == [2, 3, 4, 5, 6, 8, 9]


def test_strict_reading_stops_at_the_first_bad_row_and_quotes_no_text(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"secret words": \n')
    with pytest.raises(InputError) as caught:
        list(read_rows(tmp_path / "x.jsonl"))
    assert "row 2" in str(caught.value) and "secret" not in str(caught.value)


def test_a_bad_element_of_an_array_costs_only_itself(tmp_path):
    (tmp_path / "x.json").write_text('[{"a": 1}, {"a": nope, "b": "], {"}, {"a": 2}, 7 , {"a": "\\"]"}]')
    rows, intake = take(tmp_path / "x.json")
    assert values(rows) == [{"a": 1}, {"a": 2}, {"a": '"]'}]
    assert [reject.row.number for reject in intake.rejects] == [2, 4]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2}', '[{"a": 1}, {"a": 2}] tail', '[{"a": 1}, {"a": 2},'])
def test_an_array_that_breaks_off_is_said(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    rows, intake = take(tmp_path / "x.json")
    assert values(rows) == [{"a": 1}, {"a": 2}]
    assert intake.rejected == 1


def test_a_long_array_is_read_piece_by_piece(tmp_path, monkeypatch):
    rows = [{"n": number, "text": "é{[,\\" * (number % 50)} for number in range(400)]
    (tmp_path / "x.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    whole = files.read_chunks
    for size in (7, 1000):
        monkeypatch.setattr(jsonrows, "read_chunks", lambda path, size=size: whole(path, size))
        assert values(take(tmp_path / "x.json")[0]) == rows


def test_a_damaged_gz_keeps_the_rows_before_and_says_where_it_broke_off(tmp_path):
    lines = "".join(json.dumps({"n": number, "x": str(number**9)}) + "\n" for number in range(5000)).encode()
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines)[:-3000])
    rows, intake = take(tmp_path / "x.jsonl.gz")
    assert 0 < len(rows) < 5000
    assert [row.values["n"] for row in rows] == list(range(len(rows)))
    assert "breaks off" in reasons(intake)[-1]


def test_a_line_too_long_is_a_bad_row_and_costs_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 100)
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": "' + "y" * 1000 + '"}\n{"a": 2}\n')
    rows, intake = take(tmp_path / "x.jsonl")
    assert values(rows) == [{"a": 1}, {"a": 2}]
    assert "longer than" in reasons(intake)[0]


CSV = 'id,prompt,note\r\n1,"a, b",x\r\n2,"two\r\nlines",\r\n\r\n3,"say ""hi""",z\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_with_marks_and_line_ends_inside_fields(tmp_path, encoding):
    (tmp_path / "x.csv").write_bytes(CSV.encode(encoding))
    rows, intake = take(tmp_path / "x.csv")
    assert values(rows) == [
        {"id": "1", "prompt": "a, b", "note": "x"},
        {"id": "2", "prompt": "two\r\nlines", "note": ""},
        {"id": "3", "prompt": 'say "hi"', "note": "z"},
    ]
    assert [row.line for row in rows] == [2, 3, 6]
    assert [row.number for row in rows] == [1, 2, 3]


def test_records_of_the_wrong_length_and_bad_bytes_are_bad_rows(tmp_path):
    (tmp_path / "x.csv").write_bytes(b'a,b\n1,2\n3\n4,5,6\n7,\xff\n"x"y,1\n8,9\n"open,1\n2,3\n')
    rows, intake = take(tmp_path / "x.csv")
    assert values(rows) == [{"a": "1", "b": "2"}, {"a": "8", "b": "9"}]
    what = reasons(intake)
    assert what[0].startswith("1 fields") and what[1].startswith("3 fields") and "UTF-8" in what[2]
    assert "not a valid record" in what[3] and "lines 8 to 9" in what[4]
    assert [reject.row.line for reject in intake.rejects] == [3, 4, 5, 6, 8]


def test_tables_without_a_header_or_quotes_or_commas(tmp_path):
    (tmp_path / "x.csv").write_text("one\ntwo\n")
    assert values(take(tmp_path / "x.csv", table=TableOptions(header=False))[0]) == [{"1": "one"}, {"1": "two"}]
    (tmp_path / "x.tsv").write_text('a\tb\n"Hm" said\t"x\n')
    assert take(tmp_path / "x.tsv")[1].rejected == 1
    rows, _ = take(tmp_path / "x.tsv", table=TableOptions(quoting=False))
    assert values(rows) == [{"a": '"Hm" said', "b": '"x'}]
    (tmp_path / "y.csv").write_text("a;b\n1;2\n")
    with pytest.raises(InputError, match="other delimiters"):
        take(tmp_path / "y.csv")
    assert values(take(tmp_path / "y.csv", table=TableOptions(delimiter=";"))[0]) == [{"a": "1", "b": "2"}]
    (tmp_path / "z.csv").write_text("a,a\n1,2\n")
    with pytest.raises(InputError, match="twice"):
        take(tmp_path / "z.csv")


def test_parquet_rows_and_a_damaged_file(tmp_path):
    table = pa.table({"prompt": [row["prompt"] for row in ROWS], "n": [1, 2, 3], "deep": [[{"a": 1}], None, []]})
    pq.write_table(table, tmp_path / "x.parquet")
    rows, _ = take(tmp_path / "x.parquet")
    assert rows[0].values == {"prompt": ROWS[0]["prompt"], "n": 1, "deep": [{"a": 1}]}
    data = (tmp_path / "x.parquet").read_bytes()
    for damaged in (b"", b"PAR1", data[:-20], b"x" * 100, data[:10] + b"\0" * 40 + data[50:]):
        (tmp_path / "y.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match="Parquet"):
            take(tmp_path / "y.parquet")


def test_lines_are_rows_blank_ones_too(tmp_path):
    (tmp_path / "x.txt").write_text("a\n\nb")
    assert values(take(tmp_path / "x.txt")[0]) == [{"text": "a"}, {"text": ""}, {"text": "b"}]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("none.jsonl", "no such file"),
        ("none.xlsx", "no such file"),
        ("x.xls", "format"),
        ("x.xlsx", "workbook"),
        ("x", "suffix"),
    ],
)
def test_files_that_are_none(tmp_path, name, word):
    if not name.startswith("none"):
        (tmp_path / name).write_text("a")
    with pytest.raises(InputError, match=word) as caught:
        list(read_rows(tmp_path / name))
    assert name in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(InputError, match="folder"):
        list(read_rows(tmp_path / "x.jsonl"))


def test_keep_going_stops_after_max_errors(tmp_path):
    (tmp_path / "x.jsonl").write_text("bad\n" * 10)
    intake = Intake(keep_going=True, max_errors=3)
    with pytest.raises(InputError, match="stopped after 3"):
        list(read_rows(tmp_path / "x.jsonl", intake=intake))
    assert intake.rejected == 3


def test_lost_rows_are_a_defect_that_is_noticed():
    intake = Intake()
    intake.read(2)
    intake.accept()
    with pytest.raises(RuntimeError, match="2 rows read, 1 accepted"):
        intake.check()


def test_a_quote_that_opens_in_one_record_and_closes_in_another_is_noted(tmp_path):
    """Ten records, of which a stray quote makes nine; a text of several lines with its own fields is no such thing."""
    path = tmp_path / "p.csv"
    lines = [f"{number},text {number},en" for number in range(10)]
    lines[3], lines[4] = '3,"text 3,en', '4,text 4",en'
    path.write_text("id,prompt,language\n" + "\n".join(lines) + "\n")
    rows, intake = take(path)
    assert len(rows) == 9 and intake.notes[MERGED] == 1
    assert len(take(path, table=TableOptions(quoting=False))[0]) == 10
    path.write_text('id,prompt,language\n1,"first line\nsecond line",en\n')
    assert take(path)[1].notes[MERGED] == 0
