"""Prompts from files: formats recognised, columns mapped, every row accounted for."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment_prism.domain import LANGUAGES, InputError, Language, Languages, PromptKind, Scope
from alignment_prism.io import Intake, TableOptions, write_records
from alignment_prism.prompts import FORMATS, read_prompts

AYA = {
    "prompt": "  línea uno\nlínea dos ",
    "language": "Spanish",
    "harm_category": '["Violence, Threats & Incitement", "Self-Harm"]',
    "global_or_local": "local",
    "literal_translation": "line one line two",
    "semantic_translation": None,
    "explanation": "none",
}
GENERAL = {"kind": "general"}


def lines(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_aya_row(tmp_path):
    (prompt,) = read_prompts(lines(tmp_path / "aya_spa.jsonl", AYA))
    assert prompt.text == AYA["prompt"]
    assert (prompt.language, prompt.scope, prompt.kind) == ("es", Scope.LOCAL, PromptKind.HARMFUL)
    assert prompt.categories == ("Violence, Threats & Incitement", "Self-Harm")
    assert prompt.metadata == {"literal_translation": "line one line two", "explanation": "none"}
    assert prompt.source.startswith("aya@") and len(prompt.source) == 12


def test_an_id_is_the_same_everywhere_and_differs_between_texts(tmp_path):
    (one,) = read_prompts(lines(tmp_path / "a.jsonl", AYA))
    (two,) = read_prompts(lines(tmp_path / "b.jsonl", {**AYA, "explanation": "other"}))
    (three,) = read_prompts(lines(tmp_path / "c.jsonl", {**AYA, "prompt": "x"}))
    (four,) = read_prompts(lines(tmp_path / "d.jsonl", {**AYA, "language": "fr"}))
    assert one.id == two.id and len({one.id, three.id, four.id}) == 3


AYA_FAULTS = {
    "scope": ({"global_or_local": "both"}, "global_or_local"),
    "category": ({"harm_category": '["Violence"]'}, "harm_category"),
    "language": ({"language": "Elvish"}, "language"),
    "no language": ({"language": None}, "language"),
    "empty": ({"prompt": "\n"}, "prompt"),
    "null": ({"prompt": None}, "prompt"),
    "number": ({"prompt": 5}, "prompt"),
}


@pytest.mark.parametrize("name", AYA_FAULTS)
def test_a_bad_row_is_named_with_field_value_and_fix(tmp_path, name):
    change, field = AYA_FAULTS[name]
    path = lines(tmp_path / "x.jsonl", AYA, {**AYA, **change}, {**AYA, "prompt": "other"})
    intake = Intake(keep_going=True)
    assert len(read_prompts(path, intake=intake)) == 2
    (reject,) = intake.rejects
    assert (reject.problem.row, reject.problem.field) == (2, field)
    assert reject.problem.fix and reject.problem.what
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    assert str(path) in caught.value.where and "row 2" in caught.value.where


def test_duplicates_are_kept_in_one_group_under_two_ids(tmp_path):
    intake = Intake()
    row = {"prompt": "x", "language": "en", "kind": "general"}
    rows = [{"id": "a", **row}, {"id": "b", **row}]
    one, two = read_prompts(lines(tmp_path / "x.jsonl", *rows), intake=intake)
    assert (one.id, two.id) == ("a", "b") and one.cluster == two.cluster
    three = read_prompts(lines(tmp_path / "x.jsonl", *[row] * 3), intake=intake)
    assert len({prompt.id for prompt in three}) == 3 and len({prompt.cluster for prompt in three}) == 1
    assert sum(count for note, count in intake.notes.items() if "again" in note) == 3


def test_the_same_id_for_two_texts_is_noted_and_made_two(tmp_path):
    intake = Intake()
    rows = [{"id": 1, "prompt": "x", "language": "en"}, {"id": "1", "prompt": "y", "language": "en"}]
    one, two = read_prompts(lines(tmp_path / "x.jsonl", *rows), intake=intake, defaults=GENERAL)
    assert (one.id, two.id) == ("1", "1-2")
    assert any("id that occurs before" in note for note in intake.notes)


def test_any_file_by_a_column_map(tmp_path):
    (tmp_path / "x.csv").write_text("text,lang,why\nHello,French,because\n")
    (prompt,) = read_prompts(
        tmp_path / "x.csv", mapping={"prompt": "text", "language": "lang"}, defaults={"kind": "general"}
    )
    assert (prompt.text, prompt.language, prompt.kind) == ("Hello", "fr", PromptKind.GENERAL)
    assert prompt.metadata == {"why": "because"}


def test_columns_that_are_missing_are_one_fault_that_names_those_there(tmp_path):
    (tmp_path / "x.csv").write_text("text,lang\nHello,fr\n")
    for options, word in (
        ({}, "no column 'prompt'"),
        ({"mapping": {"prompt": "text"}}, "no column 'language'"),
        ({"mapping": {"prompt": "words"}}, "no column 'words'"),
    ):
        with pytest.raises(InputError, match=word) as caught:
            read_prompts(tmp_path / "x.csv", intake=Intake(keep_going=True), **options)
        assert "text, lang" in caught.value.fix


def test_a_map_works_on_json_lines_and_missing_columns_are_bad_rows_there(tmp_path):
    path = lines(tmp_path / "x.jsonl", {"q": "a", "language": "en"}, {"language": "en"}, {"q": "b", "language": "en"})
    intake = Intake(keep_going=True)
    assert len(read_prompts(path, mapping={"prompt": "q"}, defaults=GENERAL, intake=intake)) == 2
    assert intake.rejected == 1


def test_conversations_and_system_prompts(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    path = lines(
        tmp_path / "x.jsonl", {"messages": turns, "language": "en", "system": "S"}, {"prompt": turns, "language": "en"}
    )
    one, two = read_prompts(path, defaults=GENERAL)
    assert [turn.content for turn in one.messages] == ["S", "a", "b", "c"]
    assert [turn.content for turn in two.messages] == ["a", "b", "c"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_our_own_files_come_back_as_they_were(tmp_path, suffix):
    before = read_prompts(lines(tmp_path / "x.jsonl", AYA, {**AYA, "prompt": "b"}))
    write_records(tmp_path / f"own.{suffix}", before)
    assert read_prompts(tmp_path / f"own.{suffix}") == before


def test_a_users_language(tmp_path):
    path = lines(tmp_path / "x.jsonl", {"prompt": "Mae govannen", "language": "Sindarin", "kind": "general"})
    with pytest.raises(InputError, match="unknown language"):
        read_prompts(path)
    more = LANGUAGES.with_languages([Language("sjn", "Sindarin", "sjn", ("Latn",))])
    assert read_prompts(path, languages=more)[0].language == "sjn"


def test_multijail_gives_a_part_a_known_language(tmp_path):
    columns = ("id", "source", "tags", "en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")
    rows = [",".join(columns), "0,a,\"['Theft', 'Weapons']\",one," + ",".join("x" * 9), "1,a,[],two,z,z,z,,z,z,z,z,z"]
    (tmp_path / "m.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    intake = Intake(keep_going=True)
    eight = Languages(LANGUAGES.languages[:8])
    prompts = read_prompts(tmp_path / "m.csv", intake=intake, languages=eight)
    assert [prompt.id for prompt in prompts] == ["multijail-0-en", "multijail-0-ar", "multijail-1-en"]
    assert prompts[0].cluster == prompts[1].cluster == "multijail-0"
    assert prompts[0].categories == ("Theft", "Weapons")
    assert intake.counts() == {"rows": 4, "accepted": 3, "rejected": 1}
    assert intake.rejects[0].row.part == "ar"
    more = eight.with_languages([Language("it", "Italian", "ita", ("Latn",))])
    assert len(read_prompts(tmp_path / "m.csv", languages=more, intake=Intake(keep_going=True))) == 5


def test_xsafety_by_folder_and_name_without_a_header(tmp_path):
    for code in ("hi", "en"):
        (tmp_path / code).mkdir()
    (tmp_path / "hi" / "Physical_Harm.csv").write_text('पहला\n" दूसरा, ""तीसरा"""\n')
    (tmp_path / "en" / "Physical_Harm_n.csv").write_text("first\nsecond\n")
    hindi, english = (
        read_prompts(tmp_path / code / name)
        for code, name in (("hi", "Physical_Harm.csv"), ("en", "Physical_Harm_n.csv"))
    )
    assert [prompt.text for prompt in hindi] == ["पहला", ' दूसरा, "तीसरा"']
    assert [prompt.cluster for prompt in hindi] == [prompt.cluster for prompt in english]
    assert hindi[0].language == "hi" and hindi[0].categories == ("physical_harm",)
    assert (tmp_path / "hi" / "commen_sense.csv").write_text("x\n")
    assert read_prompts(tmp_path / "hi" / "commen_sense.csv")[0].categories == ("commonsense",)


def test_harmbench_with_and_without_context(tmp_path):
    header = "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
    (tmp_path / "h.csv").write_text(
        header + 'do,contextual,illegal,"context","some text",b1\ndo it,standard,illegal,,,b2\n'
    )
    one, two = read_prompts(tmp_path / "h.csv")
    assert one.text == "some text\n\n---\n\ndo" and two.text == "do it"
    assert (two.id, two.language, two.categories, two.subset) == ("harmbench-b2", "en", ("illegal",), "standard")


def test_dolly_of_the_aya_evaluation_suite(tmp_path):
    columns = {"id": [1, 1], "inputs": ["नमस्ते?", "Bonjour ?"], "targets": ["", "Oui"], "language": ["hin", "fra"],
               "script": ["Deva", "Latn"], "source_id": [42, 42]}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "test.parquet")
    one, two = read_prompts(tmp_path / "test.parquet")
    assert (one.kind, one.language, two.language, one.cluster) == (PromptKind.GENERAL, "hi", "fr", two.cluster)
    assert two.reference == "Oui" and one.id != two.id


def test_ntrex_by_its_file_names(tmp_path):
    for code in ("hin", "arb", "eng-US"):
        (tmp_path / f"newstest2019-ref.{code}.txt").write_text("a\nb\n")
    sets = [read_prompts(tmp_path / f"newstest2019-ref.{code}.txt") for code in ("hin", "arb", "eng-US")]
    assert [prompts[0].language for prompts in sets] == ["hi", "ar", "en"]
    assert len({prompts[1].cluster for prompts in sets}) == 1


def test_a_blank_sentence_is_a_bad_row_and_lines_keep_their_numbers(tmp_path):
    (tmp_path / "fra_Latn.dev").write_text("un\n\ntrois\n")
    intake = Intake(keep_going=True)
    assert [prompt.id for prompt in read_prompts(tmp_path / "fra_Latn.dev", intake=intake)] == [
        "flores-dev-1-fr",
        "flores-dev-3-fr",
    ]
    assert intake.rejects[0].problem.row == 2


def test_xstest_labels(tmp_path):
    (tmp_path / "x.csv").write_text(
        "id,prompt,type,label,focus,note\n1,a,homonyms,safe,k,\n2,b,contrast_homonyms,unsafe,k,\n3,c,x,maybe,k,\n"
    )
    intake = Intake(keep_going=True)
    safe, unsafe = read_prompts(tmp_path / "x.csv", intake=intake)
    assert (safe.kind, unsafe.kind) == (PromptKind.BENIGN_MENTION, PromptKind.HARMFUL)
    assert intake.rejects[0].problem.field == "label"


@pytest.mark.parametrize(
    "row",
    [
        {"id": "3", "prompt": "?", "type": "homonyms", "label": "safe", "focus": "f", "note": ""},
        {"BehaviorID": "b", "Behavior": "?", "FunctionalCategory": "standard", "SemanticCategory": "illegal",
         "Tags": "", "ContextString": ""},
    ],
)  # fmt: skip
def test_translations_of_an_english_set_are_one_group(tmp_path, row):
    """XSTest and HarmBench in further languages, as users have them: the columns of the original, and a language."""
    text = "prompt" if "prompt" in row else "Behavior"
    rows = [{**row, text: said, "language": code} for said, code in (("How?", "en"), ("Comment ?", "fr"))]
    lines = [",".join(rows[0]), *(",".join(each.values()) for each in rows)]
    (tmp_path / "set.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    english, french = read_prompts(tmp_path / "set.csv")
    assert english.group == french.group and english.id != french.id and french.language == "fr"


def test_prompts_of_preference_pairs(tmp_path):
    path = lines(
        tmp_path / "x.jsonl", {"prompt": "p", "chosen": "a", "rejected": "b", "language": "en", "kind": "safety"}
    )
    assert read_prompts(path)[0].kind is PromptKind.HARMFUL
    path = lines(
        tmp_path / "y.jsonl", {"chosen": "\n\nHuman: p\n\nAssistant: a", "rejected": "\n\nHuman: p\n\nAssistant: b"}
    )
    assert read_prompts(path, defaults={"language": "en"})[0].text == "p"


def test_tables_without_a_header_are_mapped_by_position(tmp_path):
    (tmp_path / "x.tsv").write_text("en\tone\nfr\tdeux\n")
    prompts = read_prompts(
        tmp_path / "x.tsv", mapping={"language": "1", "prompt": "2"}, defaults=GENERAL, table=TableOptions(header=False)
    )
    assert [(prompt.language, prompt.text) for prompt in prompts] == [("en", "one"), ("fr", "deux")]


def test_an_empty_file_and_an_unknown_format_are_errors(tmp_path):
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(InputError, match="no rows"):
        read_prompts(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="unknown format"):
        read_prompts(tmp_path / "x.jsonl", format_name="excel")


def test_every_format_is_described():
    assert all(each.words for each in FORMATS.values())
