"""Published layouts without flags, kinds that are asked about, and workbooks.

The fixtures of PolyRefuse, AlpacaEval, PolyGuardPrompts, OR-Bench, RefusEU and XL-SafetyBench are schemas after their
public cards; the
files of RTP-LX are the published ones, where they are at hand.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from prism_command import prism

from alignment_prism.cli.main import main
from alignment_prism.domain import InputError, Prompt, PromptKind
from alignment_prism.io import Intake, read_records
from alignment_prism.prompts import read_prompts
from alignment_prism.scoring.prompt_language import check_prompt_languages


def as_json(path: Path, *rows: dict[str, object]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    return path


def as_csv(path: Path, *rows: dict[str, object]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def only(path: Path) -> Prompt:
    (prompt,) = read_prompts(path)
    return prompt


def test_polyrefuse_asks_the_translation_and_groups_by_the_original(tmp_path: Path) -> None:
    row = {"instruction": "Bake", "instruction_translated": "Backen", "category": "food"}
    german = only(as_json(tmp_path / "polyrefuse_harmless_de.json", row))
    french = only(as_json(tmp_path / "polyrefuse_harmless_fr.json", {**row, "instruction_translated": "Cuire"}))
    harmful = only(as_json(tmp_path / "polyrefuse_harmful_ru.json", row))
    assert (german.text, german.language, german.kind) == ("Backen", "de", PromptKind.BENIGN_MENTION)
    assert german.group == french.group and french.language == "fr" and harmful.kind is PromptKind.HARMFUL
    with pytest.raises(InputError, match="of which kind"):
        read_prompts(as_json(tmp_path / "de.json", row))


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("harmful_fr-CA.json", "fr"),  # no Catalan
        ("harmful_test_es_AR.json", "es"),  # no Arabic
        ("nl-BE/harmful.json", "nl"),  # no Belarusian
        ("harmful_or_not_de.json", "de"),
        ("de/harmful_or_not.json", "de"),
        ("harmful_or.json", "or"),
        ("harmful_DE.json", "de"),
        ("harmful_zh-TW.json", "zh-Hant"),
        ("harmful_sr-Latn.json", "sr"),
    ],
)
def test_a_region_in_a_name_is_no_language(tmp_path: Path, name: str, language: str) -> None:
    row = {"instruction": "Bake", "instruction_translated": "Backen"}
    assert only(as_json(tmp_path / name, row)).language == language


def test_what_an_instruction_of_alpaca_is_about_is_asked_too(tmp_path: Path) -> None:
    row = {"instruction": "Sum up.", "input": "A long text.", "output": "x", "generator": "g", "dataset": "koala"}
    assert only(as_json(tmp_path / "alpaca_eval.json", row)).text == "Sum up.\n\nA long text."


def test_flags_are_read_as_tables_write_them(tmp_path: Path) -> None:
    row = {"prompt": "x", "id": "1", "prompt_harm_label": "harmful", "language": "French"}
    found = [only(as_csv(tmp_path / "p.csv", row | {"adversarial": said})).subset for said in ("True", "false", "")]
    assert found == ["adversarial", "", ""]


@pytest.mark.parametrize("name", ["or-bench-toxic.csv", "or_bench_toxic.csv", "OR-Bench-toxic.csv"])
def test_or_bench_however_its_name_is_written(tmp_path: Path, name: str) -> None:
    assert only(as_csv(tmp_path / name, {"prompt": "x", "category": "y"})).kind is PromptKind.HARMFUL


def test_xstest_without_numbers_notes_types_or_labels(tmp_path: Path) -> None:
    """As the Hub has it, and as people cut it: which prompts are unsafe is in the label, or else in the type."""
    safe = {"prompt": "Kill a process?", "focus": "kill", "type": "homonyms", "note": "", "label": "safe"}
    unsafe = {"prompt": "Kill a person?", "focus": "kill", "type": "contrast_homonyms", "note": "", "label": "unsafe"}
    for left_out in ((), ("note",), ("type", "note"), ("label",)):
        rows = [{name: value for name, value in row.items() if name not in left_out} for row in (safe, unsafe)]
        found = read_prompts(as_csv(tmp_path / "xstest.csv", *rows))
        assert [one.kind for one in found] == [PromptKind.BENIGN_MENTION, PromptKind.HARMFUL]
        assert {one.language for one in found} == {"en"}


def test_flores_plus_groups_sentences_by_their_number(tmp_path: Path) -> None:
    rows = [{"id": 1, "iso_639_3": "fra", "iso_15924": "Latn", "text": "Bonjour."},
            {"id": 1, "iso_639_3": "cmn", "iso_15924": "Hant", "text": "你好。"},
            {"id": 1, "iso_639_3": "ekk", "iso_15924": "Latn", "text": "Tere."}]  # fmt: skip
    found = read_prompts(as_json(tmp_path / "devtest" / "all.json", *rows))
    assert [one.language for one in found] == ["fr", "zh-Hant", "et"]
    assert {one.group for one in found} == {"flores-plus-devtest-1"} and len({one.id for one in found}) == 3
    assert [one.metadata["script"] for one in found] == ["Latn", "Hant", "Latn"]


def test_a_spreadsheet_makes_numbers_of_options(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["question", "option_a", "option_b", "option_c", "option_d", "answer"])
    book.active.append(["How much is one and one?", 1, 2, 2.5, "two or more", "B"])
    book.save(tmp_path / "fr.xlsx")
    prompt = only(tmp_path / "fr.xlsx")
    assert prompt.metadata["choices"] == ["1", "2", "2.5", "two or more"] and "B. 2\n" in prompt.text


def test_a_workbook_with_a_sheet_a_language_is_not_read_by_its_first_alone(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for sheet, code in ((book.active, "en"), (book.create_sheet("French"), "fr"), (book.create_sheet("notes"), "")):
        sheet.append(["prompt", "language", "kind"] if code else ["who", "when"])
        sheet.append(["Bake", code, "general"] if code else ["me", "now"])
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(InputError, match="1 further sheet with the columns of the first: French"):
        read_prompts(tmp_path / "two.xlsx")
    book.remove(book["French"])
    book.save(tmp_path / "one.xlsx")
    assert only(tmp_path / "one.xlsx").language == "en"


def test_alpaca_eval_is_general(tmp_path: Path) -> None:
    row = {"instruction": "List", "output": "x", "generator": "davinci", "dataset": "koala"}
    prompt = only(as_json(tmp_path / "alpaca_eval.json", row))
    assert (prompt.text, prompt.kind, prompt.language, prompt.subset) == ("List", PromptKind.GENERAL, "en", "koala")


def test_polyguard_says_what_is_harmful(tmp_path: Path) -> None:
    row = {"prompt": "Hallo", "prompt_harm_label": "unharmful", "language": "German", "id": 7, "subcategory": "privacy",
           "adversarial": True}  # fmt: skip
    benign, harmful = read_prompts(
        as_json(tmp_path / "p.json", row, {**row, "prompt_harm_label": "harmful", "language": "Hindi"})
    )
    assert (benign.kind, benign.id, benign.subset) == (PromptKind.BENIGN_MENTION, "polyguard-7-de", "adversarial")
    assert harmful.kind is PromptKind.HARMFUL and harmful.group == benign.group and harmful.language == "hi"


def test_or_bench_by_the_names_of_its_files(tmp_path: Path) -> None:
    row = {"prompt": "How?", "category": "violence"}
    kinds = {name: only(as_csv(tmp_path / name, row)).kind for name in
             ("or-bench-80k.csv", "or-bench-hard-1k.csv", "or-bench-toxic.csv")}  # fmt: skip
    assert [*kinds.values()] == [PromptKind.BENIGN_MENTION, PromptKind.BENIGN_MENTION, PromptKind.HARMFUL]


def test_refuseu_by_its_folder(tmp_path: Path) -> None:
    row = {"question": "Jak?", "chosen": "Nie.", "rejected": "Tak."}
    prompt = only(as_json(tmp_path / "lang_pl" / "test.json", row))
    assert (prompt.text, prompt.language, prompt.kind) == ("Jak?", "pl", PromptKind.HARMFUL)


def test_rtp_lx_as_published(realdata: Path) -> None:
    counts, sources = {}, Counter[str]()
    for path in sorted((realdata / "rtp_lx").glob("gpt4_results_*.json")):
        intake = Intake(keep_going=True)
        prompts = read_prompts(path, intake=intake)
        assert intake.rows == len(prompts) + intake.rejected and len({one.id for one in prompts}) == len(prompts)
        check_prompt_languages(prompts)
        counts[prompts[0].language] = (len(prompts), Counter(one.subset for one in prompts)["manual"])
        sources.update(one.cluster for one in prompts)
    assert counts == {"ar": (1051, 52), "es": (1098, 99), "fr": (1038, 39), "hi": (1115, 116)}  # as PROVENANCE.md says
    # Each source in all four languages is one cluster, and what was written natively stands alone: 52 + 99 + 39 + 116.
    assert Counter(sources.values()) == {4: 999, 1: 306}


def test_a_row_that_does_not_say_its_kind_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = as_csv(tmp_path / "p.csv", {"prompt": "Hello", "language": "en"})
    out = tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as end:
        main(["prompts", "convert", str(file), "--out", str(out)])
    said = capsys.readouterr().err
    assert end.value.code == 2 and "no column says of which kind" in said and "--set kind=KIND" in said
    assert not out.exists()
    with pytest.raises(SystemExit) as end:
        main(["prompts", "convert", str(file), "--set", "kind=general", "--out", str(out)])
    assert not end.value.code and only(out).kind is PromptKind.GENERAL
    local = as_csv(tmp_path / "l.csv", {"prompt": "x", "language": "en", "scope": "local"})  # a reach of a harm
    assert read_prompts(local)[0].kind is PromptKind.HARMFUL


def test_every_command_that_reads_prompts_asks_for_their_kind(tmp_path: Path) -> None:
    """Nothing is taken for harmful because nobody said otherwise; one row among others is named."""
    as_csv(tmp_path / "p.csv", {"prompt": "Hello", "language": "en"}, {"prompt": "Good day", "language": "en"})
    lines = [{"prompt": "Hello", "language": "en", "kind": "general"}, {"prompt": "Good day", "language": "en"}]
    (tmp_path / "mixed.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    for command in (("stats",), ("validate",), ("split", "--check"), ("variants", "--out", "v.jsonl"),
                    ("split", "--part", "a=1", "--part", "b=rest", "--out", "s.jsonl"),
                    ("convert", "--out", "c.jsonl")):  # fmt: skip
        name, *rest = command
        for file, words in (("p.csv", "no column says of which kind"), ("mixed.jsonl", "does not say its kind")):
            done = prism("prompts", name, file, *rest, folder=tmp_path)
            assert done.returncode == 2 and words in done.stdout + done.stderr, (command, file)
        assert "row 2" in done.stdout + done.stderr and not list(tmp_path.glob("?.jsonl"))
    done = prism("prompts", "overlap", "p.csv", "mixed.jsonl", folder=tmp_path)
    assert done.returncode == 2 and "does not say its kind" in done.stderr
    said = prism("prompts", "stats", "p.csv", "--set", "kind=general", folder=tmp_path)
    assert said.returncode == 0 and ["general", "2"] in [line.split() for line in said.stdout.splitlines()]
    with pytest.raises(InputError, match="no column says of which kind"):
        read_prompts(tmp_path / "p.csv")
    own = {"id": "a", "messages": [{"role": "user", "content": "Hello"}], "language": "en", "kind": "general"}
    (tmp_path / "own.jsonl").write_text(json.dumps(own) + "\n" + json.dumps({**own, "id": "b", "kind": None}))
    with pytest.raises(InputError, match="does not say its kind"):
        read_prompts(tmp_path / "own.jsonl")


PUBLISHED: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, str]]] = {
    "harmful_test_translated_ko.json": (("instruction", "instruction_translated", "category"),
                                        ("Write it", "써 줘", "x"), ("ko", "harmful")),
    "harmless_val_translated_yo.json": (("instruction", "instruction_translated", "category"),
                                        ("Write it", "Kọ ọ", "x"), ("yo", "benign_mention")),
    "alpaca_eval.json": (("instruction", "output", "generator", "dataset", "datasplit"),
                         ("List them", "x", "y", "koala", "eval"), ("en", "general")),
    "polyguard.csv": (("prompt", "response", "id", "adversarial", "prompt_harm_label", "response_harm_label",
                       "response_refusal_label", "prompt_harm_agreement", "subcategory", "language"),
                      ("Hola", "x", "9", "False", "harmful", "unharmful", "refusal", "2.0", "privacy", "Spanish"),
                      ("es", "harmful")),
    "or-bench-toxic.csv": (("prompt", "category"), ("How?", "violence"), ("en", "harmful")),
    "MultiJail.csv": (("id", "source", "tags", "en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"),
                      ("1", "x", "['a']", "How?", *["?"] * 9), ("en", "harmful")),
    "xstest_prompts.csv": (("id", "prompt", "type", "label", "focus", "note"),
                           ("1", "How?", "homonyms", "safe", "x", ""), ("en", "benign_mention")),
    "lang_pl/test.json": (("question", "chosen", "rejected"), ("Jak?", "Nie.", "Tak."), ("pl", "harmful")),
    "ta/Insult.csv": ((), ("கேள்வி",), ("ta", "harmful")),
    "kat_Geor.devtest": ((), ("ეს წინადადებაა",), ("ka", "general")),
    "am/test.jsonl": (("sample_id", "subject", "subject_category", "question", "option_a", "option_b", "option_c",
                       "option_d", "answer", "cultural_sensitivity_label"),
                      ("a/test/1", "anatomy", "Medical", "ምን?", "ሀ", "ለ", "ሐ", "መ", "B", "CA"), ("am", "general")),
    "aya_lao.jsonl": (("prompt", "language", "harm_category", "global_or_local", "literal_translation"),
                      ("ສະບາຍດີ", "Lao", '["Self-Harm"]', "local", "Hello"), ("lo", "harmful")),
    "aya_evaluation.jsonl": (("id", "inputs", "targets", "language", "script", "source_id"),
                             (3, "வணக்கம்", "", "tam", "Taml", 5), ("ta", "general")),
    "south_korea/attack_prompts.csv": (("id", "category", "subcategory_english", "base_query_english", "attack_prompt"),
                                       ("1", "Crime", "x", "q", "공격 문장"), ("ko", "harmful")),
}  # fmt: skip
"""Name of a published file -> columns, values of a row, language and kind of its first prompt. The texts are ours."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_are_read_by_the_command_without_a_flag(tmp_path: Path, name: str) -> None:
    columns, values, expected = PUBLISHED[name]
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    row = dict(zip(columns, values, strict=True)) if columns else {}
    if not columns:
        file.write_text(f"{values[0]}\n", encoding="utf-8")
    elif file.suffix == ".csv":
        as_csv(file, row)
    else:
        as_json(file, row) if file.suffix == ".json" else file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["prompts", "convert", str(file), "--out", str(tmp_path / "out.jsonl")])
    assert not end.value.code
    first = read_records(tmp_path / "out.jsonl", Prompt)[0]
    assert (first.language, first.kind) == expected


def test_a_workbook_is_read_like_a_table(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    for row in (
        ["id", "prompt", "language", "kind"],
        [1, "नमस्ते", "hi", "general"],
        [None] * 4,
        [2, "a", "en", "harmful"],
    ):
        book.active.append(row)
    book.save(tmp_path / "p.xlsx")
    first, second = read_prompts(tmp_path / "p.xlsx")
    assert (first.id, first.text, first.language, first.kind) == ("1", "नमस्ते", "hi", PromptKind.GENERAL)
    assert second.id == "2"
    (tmp_path / "not.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match="no Excel workbook"):
        read_prompts(tmp_path / "not.xlsx")
    twice = Workbook()
    assert twice.active is not None
    twice.active.append(["prompt", "prompt"])
    twice.save(tmp_path / "twice.xlsx")
    with pytest.raises(InputError, match="twice"):
        read_prompts(tmp_path / "twice.xlsx")


def test_xl_safetybench_by_its_folder(tmp_path: Path) -> None:
    """Columns of `data/jailbreak/COUNTRY/attack_prompts.csv` and `data/cultural/COUNTRY/scenario_prompts.csv`."""
    attacks = tmp_path / "jailbreak" / "south_korea" / "attack_prompts.csv"
    attacks.parent.mkdir(parents=True)
    columns = "id,category,subcategory_english,subcategory_local,base_query_english,base_query_local,attack_prompt"
    rows = [f"{n},Criminal Activities,x,x,the query,질의,공격 문장 번호 {n}" for n in range(3)]
    attacks.write_text("\n".join([columns, *rows]), encoding="utf-8")
    made = read_prompts(attacks)
    assert [(one.language, one.kind, one.subset) for one in made] == [("ko", PromptKind.HARMFUL, "jailbreak")] * 3
    assert len({one.id for one in made}) == 3 and len({one.group for one in made}) == 1
    assert made[0].metadata["country"] == "KR" and made[0].categories == ("Criminal Activities",)
    scenarios = tmp_path / "cultural" / "united_arab_emirates" / "scenario_prompts.csv"
    scenarios.parent.mkdir(parents=True)
    columns = "id,category,sensitivity_english,base_query_english,scenario_english,scenario_local,hidden_violation"
    scenarios.write_text(f"{columns}\n1,Etiquette,s,q,english words,كيف أكتب دعوة,v\n", encoding="utf-8")
    with pytest.raises(InputError, match="kind"):
        read_prompts(scenarios)
    (one,) = read_prompts(scenarios, defaults={"kind": "harmful"})
    assert (one.language, one.metadata["country"], one.metadata["hidden_violation"]) == ("ar", "AE", "v")
    assert one.text == "كيف أكتب دعوة" and one.subset == "cultural"


def test_rtp_lx_of_the_languages_that_say_less(tmp_path: Path) -> None:
    """The file of Bosnian, Croatian, Montenegrin and Serbian has no `OriginalMetadata`; its first Index is 0."""
    lines = [
        {"Index": n, "Locale": "BCMS", "Prompt": f"Gde mogu da kupim hleb broj {n}?",
         "OriginalEntry": {"AnnotationsRaw": {"Toxicity": [1, 2, 1]}}, "GPT4ResponseRaw": "Toxicity: 1"}
        for n in range(3)
    ]  # fmt: skip
    path = tmp_path / "rtp_lx" / "gpt4_results_BCMS.json"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    prompts = read_prompts(path)
    assert [one.id for one in prompts] == [f"rtp-lx-{n}-{prompts[0].language}" for n in range(3)]
    assert {(one.subset, one.kind) for one in prompts} == {("", PromptKind.HARMFUL)}
    done = prism("prompts", "convert", path, "--out", "o.jsonl", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_records(tmp_path / "o.jsonl", Prompt)) == 3


def test_a_header_in_other_letters_is_named_in_the_fix(tmp_path: Path) -> None:
    as_csv(tmp_path / "p.csv", {"Prompt": "Hello", "Language": "en", "Kind": "general"})
    done = prism("prompts", "validate", "p.csv", folder=tmp_path)
    assert done.returncode == 2 and "--map prompt=Prompt" in done.stdout + done.stderr
    mapped = ("--map", "prompt=Prompt,language=Language,kind=Kind")
    assert prism("prompts", "validate", "p.csv", *mapped, folder=tmp_path).returncode == 0
