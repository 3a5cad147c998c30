"""The commands over prompts and pairs as a user meets them: exit codes, what is written, what is never printed."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from alignment_prism.cli import main as entry
from alignment_prism.domain import Pair, Prompt
from alignment_prism.io import read_records
from alignment_prism.prompts import read_prompts

SECRET = "forbidden words that no terminal should show"


@pytest.fixture
def prism(capsys):
    """Runs a command in this process; returns exit code, stdout, stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            entry.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


def row(number, **change):
    return {
        "prompt": f"{SECRET} {number}",
        "language": ("English", "Hindi", "French")[number % 3],
        "harm_category": "['Profanity']",
        "global_or_local": ("global", "global", "local")[number // 3 % 3],
        **change,
    }


@pytest.fixture
def messy(tmp_path):
    """Twenty good rows, four bad ones, one of them no JSON."""
    rows = [json.dumps(row(number)) for number in range(20)]
    bad = [row(90, language="Elvish"), row(91, global_or_local="both"), row(92, prompt=""), None]
    rows[5:5] = [f'{{"prompt": "{SECRET}", ' if each is None else json.dumps(each) for each in bad]
    path = tmp_path / "messy.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_validate_names_file_row_field_value_and_fix(prism, messy):
    code, out, err = prism("prompts", "validate", messy)
    assert code == 2
    for part in (
        "row 6, field 'language'",
        "'Elvish'",
        "row 7, field 'global_or_local'",
        "'both'",
        "row 8",
        "row 9",
        "fix:",
    ):
        assert part in out
    assert "24 rows, 20 good, 4 bad" in out and "4 of 24 rows cannot be used" in err
    assert SECRET not in out + err


def test_validate_is_silent_about_good_files_and_lists_several(prism, tmp_path, messy):
    good = tmp_path / "good.jsonl"
    good.write_text(json.dumps(row(1)) + "\n")
    code, out, err = prism("prompts", "validate", good)
    assert (code, err) == (0, "") and "1 rows, 1 good, 0 bad" in out
    code, out, _ = prism("prompts", "validate", tmp_path / "none.jsonl", good, messy)
    assert code == 2 and "no such file" in out and "1 good" in out and "20 good" in out


def test_validate_tells_files_that_cannot_be_read_from_rows(prism, tmp_path, messy):
    (tmp_path / "other.csv").write_text("Question,lang\nx,en\n")
    (tmp_path / "red.ru.csv.gz").touch()
    code, out, err = prism("prompts", "validate", tmp_path / "other.csv", tmp_path, tmp_path / "x.srp", messy)
    assert code == 2 and "3 of 4 files cannot be read as prompts; 4 of 24 rows cannot be used" in err
    assert "--map prompt=Question" in out and "no such file" in out
    assert (
        "a folder where a file is expected" in out
        and f"{tmp_path}/*.csv, {tmp_path}/*.csv.gz, {tmp_path}/*.jsonl" in out
    )
    code, out, err = prism("prompts", "validate", tmp_path / "other.csv", "--json")
    assert code == 2 and "1 of 1 files" in err and "rows" not in err
    (entry,) = json.loads(out)["files"]
    assert entry["rows"] == entry["accepted"] + entry["rejected"] == 0


def test_a_name_that_is_nearly_a_known_set(prism):
    code, _, err = prism("prompts", "stats", "aia")
    assert code == 2 and "did you mean 'aya'? or name a file" in err and "ultrafeedback" in err
    code, _, err = prism("prompts", "stats", "https://huggingface.co/datasets/CohereLabs/aya_redteaming")
    assert code == 2 and "owner/name" in err


def test_translations_without_a_group_are_said_over_files_of_one_language_each(prism, tmp_path):
    for group in ("", "g"):
        for code in ("en", "fr"):
            rows = [
                {"id": f"{code}_{n}", "prompt": f"{code} {n}", "language": code, "kind": "general"} for n in range(4)
            ]
            rows = [{**row, "group": f"{group}{n}"} if group else row for n, row in enumerate(rows)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{code}{group}.jsonl").write_text(text, encoding="utf-8")
    for command in ("validate", "stats"):
        alone, grouped = ([tmp_path / f"{code}{group}.jsonl" for code in ("en", "fr")] for group in ("", "g"))
        _, out, err = prism("prompts", command, *alone)
        assert "8 prompts in 2 languages share 4 ids but for their language" in out + err
        assert json.loads(prism("prompts", command, *alone, "--json")[1])["notes"]
        _, out, err = prism("prompts", command, *grouped)
        assert "no group in common" not in out + err


def test_validate_as_json(prism, messy):
    code, out, _ = prism("prompts", "validate", messy, "--json")
    report = json.loads(out)
    assert code == 2 and report["ok"] is False
    assert report["files"][0]["rows"] == 24 and len(report["problems"]) == 4
    assert {"file", "row", "line", "field", "value", "what", "fix"} == set(report["problems"][0])
    assert SECRET not in out


def test_max_errors_stops_and_keep_going_reads_on(prism, messy):
    _, out, _ = prism("prompts", "validate", messy, "--max-errors", 2)
    assert "7 rows, 5 good, 2 bad" in out and "stopped after 2" in out
    _, out, _ = prism("prompts", "validate", messy, "--max-errors", 2, "--keep-going")
    assert "24 rows, 20 good, 4 bad" in out and out.count("fix:") == 2


def test_convert_writes_nothing_when_a_row_is_bad(prism, messy, tmp_path):
    code, out, err = prism("prompts", "convert", messy, "--out", tmp_path / "out.jsonl")
    assert code == 2 and "4 of 24" in err
    assert not list(tmp_path.glob("out*"))
    assert SECRET not in out + err


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_convert_keeps_going_and_counts_in_are_counts_out_and_rejects(prism, messy, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    code, said, err = prism("prompts", "convert", messy, "--out", out, "--keep-going", "--json")
    assert code == 0
    counts = json.loads(said)
    assert counts["written"] + counts["rejected"] == counts["files"][str(messy)]["rows"] == 24
    assert len(read_records(out, Prompt)) == 20 and len(read_prompts(out)) == 20
    rejects = [json.loads(line) for line in (tmp_path / f"out.{suffix}.rejects.jsonl").read_text().splitlines()]
    assert [each["problem"]["row"] for each in rejects] == [6, 7, 8, 9]
    assert rejects[0]["prompt"] == f"{SECRET} 90" and rejects[0]["language"] == "Elvish"
    assert rejects[0]["problem"]["what"] == "unknown language"
    assert rejects[3]["raw"].startswith('{"prompt"')
    assert SECRET not in said + err


def test_a_rejects_file_mended_reads_again(prism, messy, tmp_path):
    prism("prompts", "convert", messy, "--out", tmp_path / "out.jsonl", "--keep-going")
    rejects = tmp_path / "out.jsonl.rejects.jsonl"
    rejects.write_text(rejects.read_text().replace("Elvish", "English").replace('"both"', '"local"'))
    code, out, _ = prism("prompts", "convert", rejects, "--out", tmp_path / "more.jsonl", "--keep-going")
    assert code == 0 and "2 prompts" in out


def test_several_files_share_one_space_of_ids(prism, messy, tmp_path):
    code, _, _ = prism("prompts", "convert", messy, messy, "--out", tmp_path / "o.jsonl", "--keep-going")
    ids = [prompt.id for prompt in read_records(tmp_path / "o.jsonl", Prompt)]
    assert code == 0 and len(ids) == len(set(ids)) == 40


def test_stats_count_as_the_tables_of_the_paper(prism, messy, tmp_path):
    code, out, _ = prism("prompts", "stats", messy, "--keep-going", "--json", "--out", tmp_path / "s.parquet")
    rows = {each["language"]: each for each in json.loads(out)["languages"]}
    assert code == 0 and list(rows) == ["en", "hi", "fr", "all"]
    assert rows["all"]["total"] == 20 and rows["all"]["global"] == 14 and rows["all"]["local"] == 6
    assert rows["en"]["categories"] == {"Profanity": 7}
    table = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert {each["language"]: each["total"] for each in table} == {"en": 7, "hi": 7, "fr": 6, "all": 20}
    _, out, _ = prism("prompts", "stats", messy, "--keep-going", "--markdown")
    assert "| English | 7 |" in out and "| Profanity | 7 | 7 | 6 | 20 |" in out
    code, _, err = prism("prompts", "stats", messy)
    assert code == 2 and "--keep-going" in err


def test_overlap_finds_itself_and_can_fail(prism, messy, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(f'prompt,language,kind\n"{SECRET.upper()} 3!",en,harmful\n"nothing alike",en,harmful\n')
    arguments = (
        "prompts",
        "overlap",
        messy,
        other,
        "--keep-going",
        "--threshold",
        "0.95",
        "--out",
        tmp_path / "m.jsonl",
    )
    code, out, err = prism(*arguments, "--fail", "--json")
    counts = json.loads(out)
    assert code == 2 and counts["matches"] == 1 and counts["second"] == 2 and counts["first"] == 20
    assert json.loads((tmp_path / "m.jsonl").read_text())["similarity"] == 1.0
    code, out, err = prism(*arguments, "--replace")
    assert code == 0 and "1 matches" in out and SECRET not in out + err
    code, out, _ = prism("prompts", "overlap", other, other)
    assert code == 0 and "0 pairs" in out


def test_split_writes_parts_and_a_manifest_and_check_finds_a_leak(prism, tmp_path):
    path, out = tmp_path / "p.jsonl", tmp_path / "s.jsonl"
    words = [f"{chr(97 + number % 26) * 5} {number * 7919} {chr(97 + number // 26) * 6}" for number in range(60)]
    rows = [{"prompt": word, "language": "en", "kind": "general"} for word in words]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said, err = prism(
        "prompts", "split", path, "--part", "seed=10,train=0.5", "--part", "eval=rest", "--out", out
    )
    assert code == 0, err
    parts = [prompt.split for prompt in read_records(out, Prompt)]
    assert (parts.count("seed"), parts.count("train"), parts.count("eval")) == (10, 30, 20)
    assert json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["counts"]["seed"] == {"en": {"none": 10}}
    assert prism("prompts", "split", out, "--check")[0] == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    copy = {**rows[0], "id": "copy", "group": "", "split": "eval" if rows[0]["split"] != "eval" else "seed"}
    out.write_text("".join(json.dumps(each) + "\n" for each in (*rows, copy)))
    code, _, err = prism("prompts", "split", out, "--check")
    assert code == 2 and "copy" in err and rows[0]["id"] in err
    out = tmp_path / "other.jsonl"
    assert prism("prompts", "split", path, "--part", "seed=many", "--out", out)[0] == 2
    code, _, err = prism("prompts", "split", path, "--part", "seed:10", "--out", out)
    assert code == 2 and "write --part seed=100" in err
    code, _, err = prism("prompts", "split", path, "--part", "train=0.5,eval=0.6", "--out", out)
    assert code == 2 and "the shares add up to 1.1, not 1" in err
    assert prism("prompts", "split", path, "--check")[0] == 2


def test_a_users_language_file(prism, tmp_path):
    (tmp_path / "l.yaml").write_text("- {code: sjn, name: Sindarin, iso639_3: sjn, scripts: [Latn]}\n")
    (tmp_path / "p.csv").write_text("text,lang,kind\nMae govannen,Sindarin,general\n")
    arguments = ("prompts", "validate", tmp_path / "p.csv", "--map", "prompt=text,language=lang")
    assert prism(*arguments)[0] == 2
    assert prism(*arguments, "--languages", tmp_path / "l.yaml")[0] == 0
    (tmp_path / "l.yaml").write_text("- {code: sw}\n")
    code, _, err = prism(*arguments, "--languages", tmp_path / "l.yaml")
    assert code == 2 and "line 1, [0].name" in err


def test_convert_of_a_file_of_which_no_row_is_good_is_no_success(prism, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("prompt,language,kind\nx,Elvish,general\ny,Quenya,general\n")
    code, _, err = prism("prompts", "convert", path, "--out", tmp_path / "o.jsonl", "--keep-going")
    assert code == 2 and "none of 2 rows can be used" in err and "o.jsonl.rejects.jsonl" in err
    assert len((tmp_path / "o.jsonl.rejects.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "o.jsonl").exists(), "an empty file would be in the way of the mended command"


def test_overlap_of_a_set_with_itself_and_with_bad_rows(prism, messy, tmp_path):
    out = tmp_path / "m.jsonl"
    code, said, err = prism("prompts", "overlap", messy, messy, "--keep-going")
    assert code == 0 and "pairs of near-duplicates among 20 prompts" in said
    code, _, err = prism("prompts", "overlap", messy, messy, "--out", out)
    assert code == 2 and "4 of 24 rows" in err and not out.exists(), "bad rows leave nothing half done"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--map", "prompt=prompt,scop=x"), "write 'scope'"),
        (("--set", "kinds=general"), "write 'kind'"),
        (("--language", "Elvish"), "use a code of ISO 639"),
        (("--revision", "main"), "Hub datasets only"),
        (("--hub-split", "train"), "Hub datasets only"),
        (("--map", "prompt"), "NAME=VALUE"),
        (("--map", "prompt=a,prompt=b"), "twice"),
        (("--format", "excel"), "unknown format"),
        (("--delimiter", ";;", "--format", "plain"), "delimiter"),
        (("--delimiter", ""), "--delimiter is empty"),
        (("--max-errors", "-1"), "max-errors"),
        (("--set", "language"), "NAME=VALUE"),
        (("--language", "Elvish"), "Elvish"),
        (("--set", "kind=nonsense"), "unknown kind 'nonsense'"),
        (("--set", "scope=everywhere"), "unknown scope 'everywhere'"),
        (("--map", "promt=prompt"), "write 'prompt'"),
    ],
)
def test_wrong_arguments_are_named(prism, tmp_path, arguments, word):
    (tmp_path / "p.csv").write_text("prompt,language,kind,scope\nx,en,general,global\n")  # no row needs what is given
    code, out, err = prism("prompts", "validate", tmp_path / "p.csv", *arguments)
    assert code == 2 and word in out + err and "Traceback" not in err


def pairs(path, count, kind):
    with path.open("w") as stream:
        for number in range(count):
            pair = {
                "prompt": f"{SECRET} {kind} {number}",
                "chosen": "a",
                "rejected": "b",
                "language": ("en", "fr")[number % 2],
            }
            stream.write(json.dumps(pair) + "\n")
    return path


def test_mix_writes_a_mixture_and_says_where_each_pair_came_from(prism, tmp_path):
    safety, general = pairs(tmp_path / "s.jsonl", 40, "s"), pairs(tmp_path / "g.jsonl", 200, "g")
    out = tmp_path / "mix.parquet"
    arguments = ("mix", "--safety", safety, "--general", general, "--total", 100, "--seed", 4, "--out", out)
    code, said, err = prism(*arguments, "--share", "0.15", "--json")
    assert code == 0, err
    mixed = read_records(out, Pair)
    assert [pair.kind for pair in mixed].count("safety") == 15 and len(mixed) == 100
    manifest = json.loads((tmp_path / "mix.parquet.manifest.json").read_text())
    assert [each["id"] for each in manifest["pairs"]] == [pair.id for pair in mixed]
    assert set(manifest["inputs"]) == {str(safety), str(general)}
    assert json.loads(said)["sides"]["safety"]["drawn"] == 15 and SECRET not in said + err
    code, said, err = prism(*arguments, "--share", "0.5", "--replace")
    assert code == 2 and "safety, none, en: 25 wanted, 20 there, 5 missing" in err


def test_mix_says_that_general_pairs_call_themselves_safety_pairs(prism, tmp_path):
    safety, general = pairs(tmp_path / "s.jsonl", 40, "s"), pairs(tmp_path / "g.jsonl", 200, "g")
    rows = [json.loads(line) | {"kind": "safety"} for line in safety.read_text().splitlines()]
    safety.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for one, other, said in ((safety, general, ""), (general, safety, "40 pairs of the general pool say that they")):
        out = tmp_path / f"of-{one.name}"
        code, _, err = prism("mix", "--safety", one, "--general", other, "--share", 0.5, "--total", 20, "--out", out)
        assert code == 0 and (said in err if said else not err), err


def test_mix_refuses_bad_rows_or_leaves_them_out(prism, tmp_path):
    general = pairs(tmp_path / "g.jsonl", 10, "g")
    general.write_text(general.read_text() + '{"prompt": "x", "chosen": "a"}\n')
    arguments = ("mix", "--general", general, "--share", "0", "--out", tmp_path / "m.jsonl")
    assert prism(*arguments)[0] == 2 and not (tmp_path / "m.jsonl").exists()
    code, out, _ = prism(*arguments, "--keep-going")
    assert code == 0 and "10 pairs" in out
    assert len((tmp_path / "m.jsonl.rejects.jsonl").read_text().splitlines()) == 1


def test_help_has_examples_and_imports_nothing_heavy():
    heavy = "numpy pandas pyarrow datasets torch transformers scipy rich yaml".split()
    script = (
        "import sys\nfrom alignment_prism.cli import main\n"
        "try:\n    main.main(['prompts', 'validate', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Examples:" in done.stdout and done.stdout.strip().endswith("[]")


def test_a_column_that_no_row_has_is_said_once(prism, tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [{"question": f"{SECRET} {number}", "lang": "en", "kind": "general"} for number in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for command in (("validate", path), ("convert", path, "--out", tmp_path / "o.jsonl")):
        code, out, err = prism("prompts", *command)
        said = out + err
        assert code == 2 and said.count("no column 'prompt'") == 1 and "60 rows" in said, said
        assert "--map prompt=question" in said and "--keep-going" not in said and SECRET not in said
    code, _, err = prism("prompts", "validate", path, "--map", "prompt=question")
    assert code == 2 and err.count("no column") <= 1
    path.write_text(path.read_text() + json.dumps({"prompt": "x", "language": "en", "kind": "general"}) + "\n")
    code, out, err = prism("prompts", "validate", path, "--keep-going")
    assert code == 2 and "61 rows, 1 good, 60 bad" in out, "rows that differ are told one by one"


@pytest.mark.parametrize("first", [f"{SECRET}", "How make it", "Make it?", "如何制造炸弹", "Как это сделать"])
def test_a_prompt_in_place_of_a_header_is_never_shown(prism, tmp_path, first):
    (tmp_path / "p.csv").write_text(f"{first},en\nanother,en\n", encoding="utf-8")
    code, out, err = prism("prompts", "validate", tmp_path / "p.csv")
    assert code == 2 and first not in out + err and "--no-header" in out
    assert f"the columns are: ({len(first)} characters), en" in out


def test_where_every_row_is_bad_leaving_them_out_is_no_way(prism, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": each, "language": "Elvish", "kind": "general"}) + "\n" for each in "xy")
    )
    code, _, err = prism("prompts", "validate", path)
    assert code == 2 and "--keep-going" not in err and "every row is bad" in err
