"""Files that were damaged at random: no traceback, no hang, no row lost. Over 10,000 of them in every run."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, user
from alignment_prism.io import Intake, json_of, read_records, record_from
from alignment_prism.preferences import iter_pairs
from alignment_prism.prompts import iter_prompts

AYA = [
    {
        "prompt": "línea uno\nवाक्य",
        "language": "Spanish",
        "harm_category": '["Profanity", "Violence, Threats & Incitement"]',
        "global_or_local": "local",
        "literal_translation": None,
    },
    {
        "prompt": "سؤال؟",
        "language": "Arabic",
        "harm_category": "['Self-Harm']",
        "global_or_local": "global",
        "literal_translation": "q",
    },
    {
        "prompt": "x" * 40,
        "language": "en",
        "harm_category": [],
        "global_or_local": "",
        "literal_translation": "",
    },
]
TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
PAIRS = [
    {"prompt": "p", "chosen": "a", "rejected": "b", "language": "fr"},
    {"prompt": TURNS, "chosen": [TURNS[1]], "rejected": "n"},
    {"chosen": "\n\nHuman: p\n\nAssistant: a", "rejected": "\n\nHuman: p\n\nAssistant: b"},
]
MULTIJAIL = (
    b'\xef\xbb\xbfid,source,tags,en,zh,it,vi,ar,ko,th,bn,sw,jv\r\n0,a,"[\'x\']","on\r\ne",1,1,1,\xd8\xb3,1,1,1,1,1\r\n'
)


@pytest.fixture
def fast(tmp_path):
    """A folder in memory where there is one: thousands of small files wait for a disk, not for us."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**row, "harm_category": str(row["harm_category"])} for row in rows]), stream)
    return stream.getvalue()


SEEDS = {
    "aya.jsonl": lines(AYA),
    "aya.json": json.dumps(AYA, indent=1, ensure_ascii=False).encode(),
    "document.json": json.dumps({"rows": AYA}).encode(),
    "aya.csv": b'prompt,language,harm_category,global_or_local\n"a, ""b""\nc",fr,"[\'Profanity\']",global\nd,en,,\n',
    "plain.tsv": b"prompt\tlanguage\tkind\nx\ten\tgeneral\ny\thi\t\n",
    "multijail.csv": MULTIJAIL,
    "own.jsonl": lines([json_of(Prompt("1", user("x"), "en", PromptKind.HARMFUL, metadata={"a": [1]}))] * 2),
    "wide.jsonl": lines(AYA).decode().encode("utf-16"),
    "aya.jsonl.gz": gzip.compress(lines(AYA)),
    "aya.parquet": parquet(AYA),
    "hin_Deva.dev": "पहला\nदूसरा\n\nतीसरा\n".encode(),
    "safe_rlhf.jsonl": lines(
        [
            {"prompt": "a", "response_0": "b", "response_1": "c", "better_response_id": n % 2, "language": "en"}
            for n in (0, 1)
        ]
    ),
    "harmbench.csv": b'Behavior,SemanticCategory,ContextString,BehaviorID\na,illegal,,1\nb,illegal,"c\nd",2\n',
    "mt.jsonl": lines([{"question_id": 81, "category": "writing", "turns": ["a", "b"]}] * 2),
}
TOKENS = [
    *(bytes([byte]) for byte in b"\xff\x00\x1a\"'\\\n\r,\t{}[] "),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\\ud800", b"\xf0\x9f\x98", b"\xe2\x80\xa8", b"", b'""', b"{}\n"),
    *(b"null", b"true", b"NaN", b"1e999", b"-1", b"9" * 5000, b"[" * 200, b'{"a":' * 100),
    *(b'"prompt"', b'"language": 3', b"('a',)"),
]


def mutated(data, rng):
    """The bytes with one to four random changes."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[place : place + rng.randint(1, 20)]
        elif kind == 2:
            data[place:place] = rng.choice(TOKENS)
        elif kind == 3:
            piece = data[place : place + rng.randint(1, 40)]
            other = rng.randrange(len(data) + 1)
            data[other:other] = piece
        elif kind == 4:
            del data[place:]
        else:
            data[place : place + rng.randint(1, 8)] = rng.choice(TOKENS)
    return bytes(data)


def account(path, reader):
    """Reads a file; every outcome but a clear error or full accounts is a failure."""
    intake = Intake(keep_going=True)
    try:
        records = list(reader(path, intake))
    except InputError as error:
        assert error.what and (error.where or error.fix)
        return None
    intake.check()
    assert intake.accepted == len(records)
    assert len({record.id for record in records}) == len(records)
    for record in records:
        written = json.loads(json.dumps(json_of(record), ensure_ascii=False).encode("utf-8"))
        assert record_from(type(record), written).id == record.id
    for reject in intake.rejects:
        assert reject.problem.what and reject.problem.fix
        json.dumps(reject.problem.as_dict(), ensure_ascii=False).encode("utf-8")
    return intake


def prompts_of(path, intake):
    return iter_prompts(path, intake=intake)


def pairs_of(path, intake):
    return iter_pairs(path, intake=intake)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_prompt_files(fast, name):
    rng = random.Random(name)
    path = fast / name
    outcomes = Counter()
    for _ in range(800):
        data = mutated(SEEDS[name], rng)
        path.write_bytes(data)
        intake = account(path, prompts_of)
        outcomes["error" if intake is None else "rejects" if intake.rejected else "good"] += 1
        if (
            intake is not None
            and name == "aya.jsonl"
            and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"))
        ):
            # Counted independently: every line that is not blank is a row.
            assert intake.rows == sum(bool(line.decode("utf-8", "replace").strip()) for line in data.split(b"\n"))
    assert outcomes["good"] + outcomes["rejects"] > 0, outcomes


def test_damaged_pair_files(fast):
    rng = random.Random(1)
    path = fast / "pairs.jsonl"
    outcomes = Counter()
    for _ in range(1000):
        path.write_bytes(mutated(lines(PAIRS), rng))
        intake = account(path, pairs_of)
        outcomes["error" if intake is None else "rejects" if intake.rejected else "good"] += 1
    assert outcomes["rejects"] > 100 and outcomes["good"] > 10


words = st.text(max_size=8) | st.sampled_from(["en", "global", "['Profanity']"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    (
        "prompt messages system language kind scope global_or_local categories harm_category id split group metadata "
        "source note chosen rejected response_0 response_1 better_response_id turns question_id category inputs "
        "targets type label Behavior tags en bn"
    ).split()
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(names, values, max_size=6), min_size=1, max_size=3))
def test_rows_of_any_shape(fast, rows):
    path = fast / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for reader in (prompts_of, pairs_of):
        intake = account(path, reader)
        assert intake is None or intake.rows >= len(rows)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Prompt.__dataclass_fields__, *Pair.__dataclass_fields__]), values, max_size=8))
def test_records_of_any_shape(row):
    for kind in (Prompt, Pair):
        try:
            record_from(kind, row)
        except Exception as error:
            assert type(error).__name__ == "FieldError", error


def test_an_unreadable_place(tmp_path):
    with pytest.raises(InputError):
        read_records(tmp_path / "nul\0.jsonl", Prompt)
