"""Files made to do harm to who reads them: they are refused soon, and in little memory."""

from __future__ import annotations

import gzip
import json
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rows_taken import reasons, take, values

from alignment_prism.domain import InputError
from alignment_prism.io import delimited, files, jsonrows, parquet, workbooks


def test_what_unpacks_to_more_than_a_line_or_a_document_may_hold_is_refused_as_it_is_read(tmp_path, monkeypatch):
    for module in (delimited, files, jsonrows, parquet):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 5_000)
    monkeypatch.setattr(jsonrows, "MAX_DOCUMENT_BYTES", 2**21)
    wide = tmp_path / "wide.jsonl.gz"
    good = json.dumps({"prompt": "ok"})
    with gzip.open(wide, "wb") as stream:
        stream.write("\n".join([good, "x" * 3 * 2**20, good, good]).encode("utf-16"))
    rows, intake = take(wide)
    assert len(rows) == 3 and reasons(intake) == ["a line too long"]
    document = tmp_path / "document.json.gz"
    with gzip.open(document, "wb") as stream:
        stream.write(b'{"prompt": "' + b"x" * 3 * 2**20 + b'"}')
    rows, intake = take(document)
    assert rows == [] and intake.rejected == 1
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"prompt": ["a", "x" * 6_000, "b"], "n": [1, 2, 3]}), table)
    rows, intake = take(table)
    assert values(rows) == [{"prompt": "a", "n": 1}, {"prompt": "b", "n": 3}] and intake.rejected == 1


def test_a_table_that_unpacks_to_thousands_of_times_its_size_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_COLUMN_BYTES", 2**20)
    bomb, long = tmp_path / "bomb.parquet", tmp_path / "long.parquet"
    pq.write_table(pa.table({"prompt": ["x" * 2**22]}), bomb, compression="zstd")
    monkeypatch.setattr(parquet, "_sizes", lambda column: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match="'prompt' unpacks from .* to 4,194,3.., which is more than any text does"):
        take(bomb)
    monkeypatch.undo()
    texts = [" ".join(str((n + 1) * k * 7919 % 99_991) for k in range(300)) for n in range(1_000)]  # 1.7 MB
    pq.write_table(pa.table({"prompt": texts}), long, compression="zstd")
    monkeypatch.setattr(parquet, "MAX_COLUMN_BYTES", 2**20)
    assert [row.values["prompt"] for row in take(long)[0]] == texts


def test_long_rows_are_read_few_at_once(tmp_path, monkeypatch):
    pq.write_table(pa.table({"prompt": [f"{n} " * 300 for n in range(50)]}), tmp_path / "t.parquet")
    monkeypatch.setattr(parquet, "MAX_LINE_BYTES", 5_000)  # some 900 bytes a row, so 5 rows at once
    sizes = []
    whole = parquet._values
    monkeypatch.setattr(parquet, "_values", lambda batch: sizes.append(batch.num_rows) or whole(batch))
    assert len(take(tmp_path / "t.parquet")[0]) == 50 and max(sizes) <= 6


def test_a_table_of_very_many_columns_is_read_at_once(tmp_path):
    names = [f"c{number}" for number in range(20_000)]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n" + ",".join("v" for _ in names) + "\n")
    ((row,), _) = take(tmp_path / "t.csv")
    assert len(row.values) == 20_000


def test_what_unpacks_out_of_proportion_is_refused_as_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_UNPACKED", 2**20)
    for name, data in {
        "line.jsonl.gz": b'{"prompt": "' + b"x" * 2**22 + b'"}',
        "text.json.gz": b'{"prompt": "' + b"x" * 2**22 + b'"}',
        "array.json.gz": b'["' + b"x" * 2**22,
        "wide.jsonl.gz": b"\xff\xfe" + b"x" * 2**22,
        "cell.csv.gz": b'prompt\n"' + b"x" * 2**22,
    }.items():
        (tmp_path / name).write_bytes(gzip.compress(data))
        with pytest.raises(InputError, match="unpack to more than 100 times as many"):
            take(tmp_path / name)
    rows = [{"n": number, "text": str(number**9) * 9} for number in range(20_000)]  # unpacks to 20 times its size
    (tmp_path / "text.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert values(take(tmp_path / "text.jsonl.gz")[0]) == rows


def test_a_key_that_occurs_twice_among_very_many_is_found_at_once(tmp_path):
    keys = [*(f"k{number}" for number in range(100_000)), "k99999"]  # to look each up in a list takes minutes
    (tmp_path / "x.jsonl").write_text("{" + ",".join(f'"{key}":1' for key in keys) + "}\n")
    assert reasons(take(tmp_path / "x.jsonl")[1]) == ["a key that occurs twice in one object"]


def test_files_of_nothing_but_blank_lines_or_columns_are_refused(tmp_path, monkeypatch):
    for name, encoding in {"x.jsonl": "utf-8", "y.jsonl": "utf-16", "z.csv": "utf-8"}.items():
        (tmp_path / name).write_bytes(("a\n" + "\n" * 100_002).encode(encoding))
        with pytest.raises(InputError, match="100,000 blank lines in a row"):
            take(tmp_path / name)
    monkeypatch.setattr(delimited, "MAX_COLUMNS", 100)
    monkeypatch.setattr(parquet, "MAX_COLUMNS", 100)
    (tmp_path / "t.csv").write_text("prompt" + "," * 100 + "\nhi" + "," * 100 + "\n")
    pq.write_table(pa.table({f"c{number}": [1] for number in range(101)}), tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InputError, match="101(,000)? columns"):
            take(tmp_path / name)


@pytest.mark.parametrize("kind", ["dictionary", "prefixes", "nested"])
def test_a_text_that_a_table_holds_once_for_all_rows_is_unpacked_a_few_rows_at_once(tmp_path, monkeypatch, kind):
    text = "x" * 20_000
    texts = [text, None, *[text] * 298]
    path = tmp_path / "t.parquet"
    if kind == "nested":
        column = pa.array([[{"role": "user", "content": each}] for each in texts])
        pq.write_table(pa.table({"prompt": column}), path)
        expected = [[{"role": "user", "content": each}] for each in texts]
    else:
        encoding = {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY"}}
        pq.write_table(pa.table({"prompt": texts}), path, **(encoding if kind == "prefixes" else {}))
        expected = texts
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(parquet, "MAX_LINE_BYTES", 100_000)  # five texts
    sizes = []
    whole = parquet._values
    monkeypatch.setattr(parquet, "_values", lambda batch: sizes.append(batch.num_rows) or whole(batch))
    assert [row.values["prompt"] for row in take(path)[0]] == expected
    assert max(sizes) <= 6  # one text is none
    monkeypatch.setattr(parquet, "MAX_TABLE_BYTES", 2**20)
    monkeypatch.setattr(parquet, "MAX_TABLE_RATIO", 50)
    with pytest.raises(InputError, match="the rows up to .* which is more than any text does"):
        take(path)


def test_bytes_of_texts_within_lists_structs_and_dictionaries_are_counted():
    turns = pa.array([[{"a": "xy", "b": ["é", None]}], None, [], [{"a": "z", "b": None}] * 3])  # é has two bytes
    assert parquet._sizes(turns).tolist() == [4, 0, 0, 3]  # xy and é; nothing; nothing; three times z
    assert parquet._sizes(turns[2:]).tolist() == [0, 3]
    assert parquet._sizes(pa.array(["abc", None, "abc"]).dictionary_encode()).tolist() == [3, 0, 3]
    assert parquet._sizes(pa.array([[("k", "vv")], None], pa.map_(pa.string(), pa.string()))).tolist() == [3, 0]
    assert parquet._sizes(pa.array([1, 2])).tolist() == [0, 0]


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
    '<c r="A1" t="inlineStr"><is><t>prompt</t></is></c></row>{}</sheetData></worksheet>'
)


CELL = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>{1}</t></is></c></row>'


ENTITIES = '<!DOCTYPE l [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8)
)


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        (SHEET.format(CELL.format(999_999_999, "hi")), "further down than the 1,048,576"),
        (ENTITIES + "]>" + SHEET.format(CELL.format(2, "&i;")), "ParseError"),
        (SHEET.format(CELL.format(2, "x" * 2**22)), "unpack to more than 100 times as many"),
        (SHEET.format(CELL.format("two", "hi")), "cannot be read: ValueError"),
        (SHEET.format('<row r="2"><c r="??"'), "ParseError"),
    ],
)
def test_a_workbook_made_to_do_harm_is_refused(tmp_path, monkeypatch, sheet, words):
    book = openpyxl.Workbook()
    book.active.append(["prompt"])
    book.save(tmp_path / "whole.xlsx")
    monkeypatch.setattr(files, "MAX_UNPACKED", 2**20)
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "x.xlsx", "w", 8) as bomb:
        for part in whole.namelist():
            bomb.writestr(part, sheet if part.endswith("sheet1.xml") else whole.read(part))
    with pytest.raises(InputError, match=words):
        take(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.jsonl", '{"prompt": "ok"}\n{"prompt": [%s]}\n{"prompt": "ok"}\n', 2),
        ("a.json", '[{"prompt": "ok"}, {"prompt": [%s]}, {"prompt": "ok"}]', 2),
        ("c.json", '[{"prompt": "ok"}, {"prompt": [%s' + " " * 2**20 + "]}]", 1),  # goes on behind a piece of the file
        ("b.json", '{"rows": [%s]}', None),
    ],
)
def test_values_that_take_forty_times_the_memory_of_their_text_are_not_made(name, text, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(jsonrows, "MAX_VALUES", 10_000)
    path = tmp_path / name
    path.write_text(text % ",".join(["{}"] * 10_000))
    if rows is None:
        with pytest.raises(InputError, match="document of more than 10,000 values") as refused:
            take(path)
        assert ".jsonl" in refused.value.fix
        return
    found, intake = take(path)
    assert len(found) == rows and intake.rejected == 1 and "more than 10,000 values" in reasons(intake)[0]
    path.write_text(text % ",".join(["{}"] * 3_000))
    assert len(take(path)[0]) == rows + 1


def test_a_record_of_a_table_is_no_longer_than_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_LINE_BYTES", 1_000)
    field = '"' + "x\n" * 150 + '"'  # four of them make 1,200 characters and more, each of them less than 1,000
    (tmp_path / "t.csv").write_text(f"a,b,c,d\n1,2,3,4\n{field},{field},{field},{field}\n5,6,7,8\n")
    rows, intake = take(tmp_path / "t.csv")
    assert values(rows)[0] == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert any("longer than" in reason for reason in reasons(intake))


def test_a_table_of_more_values_than_its_bytes_can_say_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_TABLE_VALUES", 100_000)
    alike, missing, language = tmp_path / "alike.parquet", tmp_path / "missing.parquet", pa.array(["en"])
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int8()), pa.array(["hi"]))
    pq.write_table(pa.table({"prompt": same}), alike)
    nothing = pa.ListArray.from_arrays(pa.array([0, 1_000_000], pa.int32()), pa.nulls(1_000_000, pa.string()))
    pq.write_table(pa.table({"prompt": ["x"], "turns": nothing, "language": language}), missing)
    monkeypatch.setattr(parquet, "_sizes", lambda column: pytest.fail("it was unpacked"))
    for path in (alike, missing):
        with pytest.raises(InputError, match="bytes hold a column of 1,000,000 values"):
            take(path)
    monkeypatch.undo()
    monkeypatch.setattr(parquet, "MAX_TABLE_VALUES", 1_000)
    pq.write_table(pa.table({"prompt": [f"text {n}" for n in range(2_000)]}), alike)
    assert len(take(alike)[0]) == 2_000


CELL_OF = '<c r="{}" t="inlineStr"><is><t>{}</t></is></c>'


def sheet_of(path, size, rows):
    """A workbook that says its sheet has a size, with rows of cells by their places."""
    openpyxl.Workbook().save(path.with_suffix(".whole"))
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = "".join(
        f'<row r="{number}">{"".join(CELL_OF.format(*cell) for cell in row)}</row>' for number, row in rows.items()
    )
    xml = f'<worksheet xmlns="{space}"><dimension ref="{size}"/><sheetData>{cells}</sheetData></worksheet>'
    with zipfile.ZipFile(path.with_suffix(".whole")) as whole, zipfile.ZipFile(path, "w", 8) as book:
        for part in whole.namelist():
            book.writestr(part, xml if part.endswith("sheet1.xml") else whole.read(part))
    return path


def test_the_size_that_a_workbook_says_hides_no_row_and_makes_none(tmp_path, monkeypatch):
    rows = {1: [("A1", "prompt"), ("B1", "note")], 2: [("A2", "one"), ("B2", "x")], 9: [("A9", "two")]}
    for size in ("A1", "A1:B2", "A1:XFD1048576"):
        read, intake = take(sheet_of(tmp_path / "t.xlsx", size, rows))
        assert values(read) == [{"prompt": "one", "note": "x"}, {"prompt": "two", "note": None}]
        assert [row.number for row in read] == [1, 8] and not intake.rejected
    monkeypatch.setattr(workbooks, "MAX_CELLS", 100)
    far = {1: [("A1", "prompt")], **{n: [(f"Z{n}", "x")] for n in range(2, 9)}}
    with pytest.raises(InputError, match="further right than they may be up to row 4"):  # 4 x 26 = 104
        take(sheet_of(tmp_path / "far.xlsx", "A1", far))
    for name, most in (("MAX_MARKS", 100), ("ROW_MARKS", 5)):
        monkeypatch.setattr(workbooks, name, most)
        with pytest.raises(InputError, match="more cells and texts"):
            take(tmp_path / "t.xlsx")
        monkeypatch.undo()
