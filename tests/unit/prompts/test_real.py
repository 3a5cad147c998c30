"""The real files: every row accounted for, every quirk of theirs met."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter

import pytest

from alignment_prism.domain import LANGUAGES, InputError, Languages, PromptKind, Scope
from alignment_prism.io import Intake
from alignment_prism.prompts import read_prompts


def read(path, **options):
    intake = Intake(keep_going=True)
    prompts = read_prompts(path, intake=intake, **options)
    assert intake.rows == intake.accepted + intake.rejected and intake.accepted == len(prompts)
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    return prompts, intake


def noted(intake, word):
    return sum(count for note, count in intake.notes.items() if word in note)


def test_aya_rows_with_null_scopes_lists_in_strings_and_duplicates(realdata):
    path = realdata / "aya_redteaming_partial" / "aya_partial_merged.jsonl"
    prompts, intake = read(path)
    assert Counter(prompt.language for prompt in prompts) == {"en": 543, "hi": 484, "fr": 474, "es": 434}
    assert intake.rejected == 0
    assert all(1 <= len(prompt.categories) <= 5 for prompt in prompts)
    assert any("Violence, Threats & Incitement" in prompt.categories for prompt in prompts)
    assert {prompt.scope for prompt in prompts} == {None}
    assert noted(intake, "again") == 2 and noted(intake, "edge") == 19
    assert any("\n" in prompt.text.strip() for prompt in prompts)
    # Counted independently of the reader: nothing is trimmed, straightened or normalised.
    raw = [json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert [prompt.text for prompt in prompts] == raw
    edges = Counter(prompt.language for prompt in prompts if prompt.text != prompt.text.strip())
    assert edges == {"es": 13, "fr": 3, "hi": 2, "en": 1}
    curly = Counter(prompt.language for prompt in prompts if re.search("[\u2018\u2019\u201c\u201d]", prompt.text))
    assert curly == {"fr": 61, "en": 2}
    assert sum("\u00a0" in prompt.text for prompt in prompts) == 1
    clusters = Counter(prompt.cluster for prompt in prompts)
    assert sorted(clusters.values())[-3:] == [1, 2, 2]


def test_aya_rows_with_every_column(realdata):
    prompts, _ = read(realdata / "aya_redteaming_partial" / "labelled_sample_transcribed.jsonl")
    assert Counter((prompt.language, prompt.scope) for prompt in prompts) == {
        ("ar", Scope.GLOBAL): 10,
        ("ar", Scope.LOCAL): 2,
        ("ru", Scope.GLOBAL): 1,
        ("ru", Scope.LOCAL): 1,
    }
    assert all(prompt.metadata["literal_translation"] for prompt in prompts)


def test_another_makers_columns_by_a_map(realdata):
    path = realdata / "aya_redteaming_partial" / "blindfold_benchmark_tgl.csv"
    with pytest.raises(InputError, match="no column 'prompt'"):
        read_prompts(path)
    mapping = {"prompt": "tgl", "literal_translation": "en", "scope": "global_or_local", "categories": "harm_type"}
    prompts, _ = read(path, mapping=mapping, defaults={"language": "Filipino"})
    assert len(prompts) == 10 and {prompt.scope for prompt in prompts} == {Scope.LOCAL}
    assert {prompt.language for prompt in prompts} == {"fil"}


def test_multijail_with_its_mark_its_lists_and_line_ends_in_fields(realdata):
    path = realdata / "multijail" / "MultiJail.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    prompts, intake = read(path)
    assert {prompt.language for prompt in prompts} == {"en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"}
    prompts, intake = read(path, languages=Languages(LANGUAGES.languages[:8]))
    assert sum("\r\n" in prompt.text for prompt in prompts) == 2, "line ends inside of fields stay"
    assert Counter(prompt.language for prompt in prompts) == {"en": 315, "ar": 315}
    assert all(prompt.categories for prompt in prompts)
    assert set(Counter(prompt.cluster for prompt in prompts).values()) == {2}
    assert noted(intake, "again") == 1
    assert Counter(prompt.metadata["set"] for prompt in prompts) == {"anthropics": 600, "openai": 30}


def test_xstest_and_its_files_with_completions(realdata):
    prompts, _ = read(realdata / "xstest" / "xstest_prompts.csv")
    assert Counter(prompt.kind for prompt in prompts) == {PromptKind.BENIGN_MENTION: 250, PromptKind.HARMFUL: 200}
    ids = {prompt.id: prompt for prompt in prompts}
    files = sorted((realdata / "xstest").glob("*/**/*.csv"))
    assert len(files) == 9
    for path in files:
        others, _ = read(path)
        assert {prompt.id for prompt in others} == set(ids)
        assert all(prompt.kind is ids[prompt.id].kind for prompt in others)


def test_flores_lines_are_parallel_and_their_quirks_are_noted(realdata):
    for part, count in (("dev", 997), ("devtest", 1012)):
        sets = {path.name: read(path) for path in sorted((realdata / "flores200" / part).iterdir())}
        assert len(sets) == 8
        assert len({tuple(prompt.cluster for prompt in prompts) for prompts, _ in sets.values()}) == 1
        assert {len(prompts) for prompts, _ in sets.values()} == {count}
        hindi, tagalog = sets[f"hin_Deva.{part}"][1], sets[f"tgl_Latn.{part}"][1]
        french = sets[f"fra_Latn.{part}"][0]
        assert sum("\u00a0" in prompt.text for prompt in french) == {"dev": 115, "devtest": 169}[part]
        assert noted(hindi, "NFC") >= 90 and noted(tagalog, "edge") > 300
        assert noted(tagalog, "twice") == {"dev": 11, "devtest": 24}[part]
        assert sum(noted(intake, "twice") for _, intake in sets.values()) == noted(tagalog, "twice")


def test_mt_bench_names_its_language_in_a_column_or_in_the_file_name(realdata):
    sets = {code: read(realdata / "mt_bench_multi" / f"question.{code}.jsonl")[0] for code in ("en", "es", "fr")}
    for code, prompts in sets.items():
        assert len(prompts) == 80 and {prompt.language for prompt in prompts} == {code}
        assert {prompt.kind for prompt in prompts} == {PromptKind.GENERAL}
        assert {len(prompt.metadata["later_turns"]) for prompt in prompts} == {1}
    assert [prompt.cluster for prompt in sets["en"]] == [prompt.cluster for prompt in sets["fr"]]


HARMFUL = {"kind": "harmful"}
"""What the rows of RTP-LX do not say of themselves."""


def test_rtp_lx_lines_in_json_with_ids_of_two_types(realdata):
    for code, count in (("AR", 1051), ("ES", 1098), ("FR", 1038), ("HI", 1115)):
        mapping = {"prompt": "Prompt", "language": "Locale", "id": "Index"}
        prompts, intake = read(realdata / "rtp_lx" / f"gpt4_results_{code}.json", mapping=mapping, defaults=HARMFUL)
        assert len(prompts) == count and intake.rejected == 0
        assert {prompt.language for prompt in prompts} == {code.lower()}
        assert all(isinstance(prompt.id, str) for prompt in prompts)


def test_rtp_lx_ids_meet_though_one_file_has_numbers_and_the_other_texts(realdata):
    types, met = Counter(), {}
    for code in ("AR", "ES", "FR", "HI"):
        sides = []
        for name, column in (("gpt4_results", "Prompt"), ("acs_results_benign", "BenignCompletion")):
            path = realdata / "rtp_lx" / f"{name}_{code}.json"
            types[type(json.loads(path.read_text(encoding="utf-8").partition("\n")[0])["Index"]).__name__] += 1
            prompts, _ = read(path, mapping={"prompt": column, "language": "Locale", "id": "Index"}, defaults=HARMFUL)
            sides.append({prompt.id for prompt in prompts})
        met[code] = len(sides[0] & sides[1])
    assert types == {"int": 5, "str": 3}
    # Rows of either side that have no partner are there too: native-written ones have ids of their own.
    assert met == {"AR": 1049, "ES": 999, "FR": 999, "HI": 1115}


def test_rows_of_rtp_lx_that_are_not_nfc_are_noted_and_kept(realdata):
    path = realdata / "rtp_lx" / "gpt4_results_HI.json"
    mapping = {"prompt": "Prompt", "language": "Locale", "id": "Index"}
    prompts, intake = read(path, mapping=mapping, defaults=HARMFUL)
    assert noted(intake, "NFC") == 5 == sum(not unicodedata.is_normalized("NFC", prompt.text) for prompt in prompts)


def test_serbian_sentences_of_both_scripts_in_one_file_of_no_known_suffix(realdata):
    path = realdata / "tatoeba_laser" / "tatoeba.srp-eng.srp"
    with pytest.raises(InputError, match="unknown format") as caught:
        read(path)
    assert caught.value.settings == {"format_name": "flores", "language": "CODE"}
    prompts, _ = read(path, format_name="flores", defaults={"language": "sr"})
    scripts = Counter(bool(re.search("[\u0400-\u04ff]", prompt.text)) for prompt in prompts)
    assert scripts == {True: 304, False: 696}


def test_prompts_of_the_real_preference_pairs(realdata):
    path = realdata / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    prompts, intake = read(path, defaults={"language": "en"})
    assert (len(prompts), intake.rejected) == (2303, 9)
    assert max(len(prompt.messages) for prompt in prompts) > 5
