"""Pairs in other languages, by real classes of tiny random models and by the lab's translator."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from prism_command import prism
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from alignment_prism.domain import LANGUAGES, Language, ModelError, Pair, user
from alignment_prism.generation.backends.seq2seq import load_translator
from alignment_prism.io import write_records
from alignment_prism.nano import world
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.translating import references_of, translate_pairs
from alignment_prism.studies import StudySpec, run_study

LETTERS = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'1234567890", "\u2581"]


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of NLLB's class, with NLLB's tokenizer over single letters and three of its languages."""
    folder = tmp_path_factory.mktemp("nllb")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: number for number, token in enumerate([*special, *LETTERS])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["eng_Latn", "fra_Latn", "hin_Deva"]})
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=128,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = M2M100ForConditionalGeneration(config)
    with torch.no_grad():  # it says letters, and no marks of languages
        model.model.shared.weight[len(vocabulary) :] = 0
        model.model.shared.weight[: len(special)] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_nllb_is_told_source_and_target_and_keeps_the_layout(nllb: Path) -> None:
    loaded = load_translator(str(nllb))
    seen: list[dict] = []
    generate = loaded.model.generate

    def watched(**arguments):
        seen.append({**arguments, "said": generate(**arguments)})
        return seen[-1]["said"]

    loaded.model.generate = watched
    text = "Take two.\n\n- Mix them!\n```\nx = 1\n```\nServe."
    english, french = LANGUAGES.find("en"), LANGUAGES.find("fr")
    (said,) = loaded.translate([text], english, french, max_tokens=4)
    vocabulary = loaded.tokenizer.get_vocab()
    (call,) = seen  # three sentences, one batch
    assert call["forced_bos_token_id"] == vocabulary["fra_Latn"] and call["input_ids"].shape[0] == 3
    assert set(call["said"][:, 1].tolist()) == {vocabulary["fra_Latn"]}  # after the start of the decoder
    assert all(vocabulary["eng_Latn"] in row for row in call["input_ids"].tolist())
    lines = said.split("\n")
    assert lines[1] == "" and lines[2].startswith("- ") and lines[3:6] == ["```", "x = 1", "```"] and len(lines) == 7
    with pytest.raises(ModelError, match="no token for Lojban"):
        loaded.translate([text], english, Language("jbo", "Lojban", "jbo", ("Latn",)))


def test_madlad_is_told_the_target_by_a_mark(tmp_path: Path) -> None:
    tokens = ["<pad>", "</s>", "<unk>", "<2fr>", *LETTERS]
    letters = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    letters.pre_tokenizer = Split(Regex("<2fr>|."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(tmp_path)
    config = T5Config(vocab_size=len(fast), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0,
                      eos_token_id=1, decoder_start_token_id=0)  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    loaded = load_translator(str(tmp_path))
    seen: list[dict] = []
    generate = loaded.model.generate
    loaded.model.generate = lambda **arguments: seen.append(arguments) or generate(**arguments)
    loaded.translate(["ab"], LANGUAGES.find("en"), LANGUAGES.find("fr"), max_tokens=3)
    assert seen[0]["input_ids"][0, 0] == fast.get_vocab()["<2fr>"] and "forced_bos_token_id" not in seen[0]


@pytest.fixture(scope="module")
def converted(nllb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as CTranslate2's converter writes it."""
    from ctranslate2.converters import TransformersConverter

    folder = tmp_path_factory.mktemp("converted") / "ct2"
    TransformersConverter(str(nllb), copy_files=["tokenizer.json", "tokenizer_config.json"]).convert(str(folder))
    return folder


def test_ctranslate2_says_what_transformers_says(nllb: Path, converted: Path) -> None:
    texts = ["Take two.\n\n- Mix them!\n```\nx = 1\n```\nServe.", "Wait? " * 20]
    english, french = LANGUAGES.find("en"), LANGUAGES.find("fr")
    said = [
        load_translator(str(folder)).translate(texts, english, french, max_tokens=6) for folder in (nllb, converted)
    ]
    assert said[0] == said[1] and said[0][0].count("\n") == 6
    beams = [
        load_translator(str(folder)).translate(["Mix."], english, french, max_tokens=6, beams=2)
        for folder in (nllb, converted)
    ]
    assert beams[0] == beams[1]
    with pytest.raises(ModelError, match="no token for Lojban"):
        load_translator(str(converted)).translate(texts, english, Language("jbo", "Lojban", "jbo", ("Latn",)))


def test_pairs_are_translated_by_a_converted_model_by_the_command(converted: Path, tmp_path: Path) -> None:
    alike = Pair("q", user("Why?"), "αβ", "γδ", "en")  # letters that the vocabulary lacks
    write_records(tmp_path / "en.jsonl", [replace(PAIR, chosen="- Mix.\n- Serve."), alike], Pair)
    command = ("preferences", "translate", "en.jsonl", "--model", converted, "--max-tokens", "6", "--out", "fr.jsonl")
    done = prism(*command, "--into", "fr", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 pairs of 2 in fr" in done.stdout and "1 left out" in done.stdout
    (pair,) = read_pairs(tmp_path / "fr.jsonl")
    assert pair.language == "fr" and pair.metadata["translated_by"] == str(converted)
    assert pair.chosen.count("\n") == 1 and pair.chosen.startswith("- ")
    write_records(tmp_path / "en.jsonl", [alike], Pair)
    none = prism(*command, "--into", "fr", "--replace", folder=tmp_path)
    assert none.returncode == 2 and "none of 1 pairs" in none.stderr and len(read_pairs(tmp_path / "fr.jsonl")) == 1


def test_what_lacks_for_ctranslate2_is_said(converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.bin", "config.json", "shared_vocabulary.json"):
        (bare / name).write_bytes((converted / name).read_bytes())
    with pytest.raises(ModelError, match="no tokenizer is beside"):
        load_translator(str(bare))
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # as where the extra is not installed
    with pytest.raises(ModelError, match="not installed") as caught:
        load_translator(str(converted))
    assert "alignment-prism[ctranslate2]" in str(caught.value.fix)


def test_a_model_that_is_no_translator_is_said_to_be_none() -> None:
    with pytest.raises(ModelError, match="no encoder-decoder"):
        load_translator("nano")


PAIR = Pair("p", user("Why?"), "Because.", "No.", "en", metadata={"x": 1})


def test_each_text_is_translated_once_a_language_and_translations_are_one_group() -> None:
    asked = []

    def shout(texts, source, target):
        asked.append((tuple(texts), source, target))
        return ["" if text == "lost" else f"{text.upper()} {target}" for text in texts]

    lost = Pair("q", user("Why?"), "lost", "No.", "en")
    found = translate_pairs([PAIR, lost], ["fr", "en", "hi"], shout, "m")
    assert [(pair.language, pair.group) for pair in found] == [("fr", "p"), ("hi", "p")]
    assert found[0].messages == user("WHY? fr") and (found[0].chosen, found[0].rejected) == ("BECAUSE. fr", "NO. fr")
    assert found[0].metadata == {"x": 1, "translated_by": "m", "translated_from": "en"}
    assert asked == [(("Why?", "Because.", "No.", "lost"), "en", code) for code in ("fr", "hi")]
    assert len({pair.id for pair in found}) == 2


def test_native_replies_are_compared_with_translated_references_by_language(tmp_path: Path) -> None:
    """The lab's teacher answers in French and Hindi; the references are English ones, translated by the lab."""
    _, general = world().pairs()
    english = [pair for pair in general if pair.language == "en"][:12]
    write_records(tmp_path / "general.jsonl", english, Pair)
    done = prism("preferences", "translate", "general.jsonl", "--into", "fr", "--into", "hi",
                 "--model", "nano/translator", "--out", "translated.jsonl",
                 "--references", "references", folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    pairs = read_pairs(tmp_path / "translated.jsonl")
    assert {pair.language for pair in pairs} == {"fr", "hi"} and {
        pair.metadata["translated_from"] for pair in pairs
    } == {"en"}
    assert len(references_of(pairs)[1]) == len(pairs)
    spec = StudySpec.model_validate(
        {
            "name": "native",
            "base": {"name": "translated", "replies": str(tmp_path / "references" / "replies.jsonl")},
            "prompts": [{"file": str(tmp_path / "references" / "prompts.jsonl")}],
            "arms": [{"name": "native", "model": "nano/teacher"}],
            "compare": {"model": "nano/oracle"},
        }
    )
    findings = run_study(spec, tmp_path / "study").findings()
    wins = {row.language: row for row in findings if row.metric == "win_rate" and row.arm == "native"}
    assert {"fr", "hi", "all"} <= set(wins) and all(row.lower <= row.estimate <= row.upper for row in wins.values())
