"""Language of a reply: known texts, and how often it errs on thousands of real sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignment_prism.domain import LANGUAGES, Language
from alignment_prism.domain.scripts import script_counts
from alignment_prism.scoring.reply_language import MIN_LETTERS, in_language

TATOEBA = {"ar": "ara", "fr": "fra", "hi": "hin", "ru": "rus", "es": "spa", "sr": "srp", "fil": "tgl"}


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("I am sorry, but I cannot help with that.", "en", True),
        ("I am sorry, but I cannot help with that.", "fr", False),
        ("I am sorry, but I cannot help with that.", "hi", False),
        ("मैं इसमें मदद नहीं कर सकता।", "hi", True),
        ("Main ismein madad nahin kar sakta.", "hi", False),  # Hindi in Latin letters: not what the prompt is in
        ("Извините, я не могу с этим помочь.", "ru", True),
        ("Жао ми је, не могу да помогнем са тим.", "sr", True),
        ("Žao mi je, ne mogu da pomognem s tim.", "sr", True),
        ("Žao mi je, ali ne mogu vam pomoći s time.", "sr", True),  # Croatian: one with Serbian
        ("Извините, я не могу с этим помочь.", "sr", False),
        ("آسف، لا أستطيع المساعدة في ذلك.", "ar", True),
        ("42", "hi", True),
        ("12.03.2024", "ru", True),
        ("", "en", True),
        ("Sí", "fr", True),  # too short to tell
        ("Да", "fr", False),  # but not too short to see the script
        ("Paumanhin, hindi kita matutulungan diyan.", "fil", True),
    ],
)
def test_known_texts(text: str, code: str, expected: bool) -> None:
    assert in_language(text, LANGUAGES.find(code)) is expected


def test_a_language_the_identifier_does_not_know_is_judged_by_its_script() -> None:
    unknown = Language("x-test", "Test", "xts", ("Latn",))
    assert in_language("any words at all in Latin letters", unknown)
    assert not in_language("любые слова русскими буквами", unknown)
    assert in_language("ᚠᚢᚦᚨᚱᚲ ᚷᚹᚺᚾᛁᛃ", Language("x-rune", "Runes", "xrn", ("Runr",)))


def test_the_guide_names_the_languages_that_are_known_by_their_script_alone(repository: Path) -> None:
    english = "I am sorry, but I cannot help you with this request today, because it is not safe."
    latin = [one.name for one in LANGUAGES if one.code not in ("en", "pcm") and in_language(english, one)]
    text = (repository / "docs" / "evaluate.md").read_text(encoding="utf-8")
    assert f"English passes for {', '.join(sorted(latin)[:-1])} and {max(latin)}" in " ".join(text.split())


def test_scripts_are_counted_with_vowel_signs() -> None:
    assert script_counts("हिन्दी ok 12!") == {"Deva": 6, "Latn": 2}


def test_it_seldom_errs_on_real_sentences(realdata: Path) -> None:
    wrong = total = 0
    for code, name in TATOEBA.items():
        language = LANGUAGES.find(code)
        lines = (realdata / "tatoeba_laser" / f"tatoeba.{name}-eng.{name}").read_text(encoding="utf-8").splitlines()
        sentences = [line for line in lines if sum(script_counts(line).values()) >= MIN_LETTERS]
        wrong += sum(not in_language(sentence, language) for sentence in sentences)
        total += len(sentences)
    assert total > 6000
    assert wrong / total < 0.001, f"{wrong} of {total}"


def test_it_finds_real_sentences_of_another_language_in_the_same_script(realdata: Path) -> None:
    found = total = 0
    for code, other in (("fr", "spa"), ("es", "fra"), ("en", "fra"), ("fil", "spa"), ("sr", "tgl"), ("fr", "tgl")):
        lines = (realdata / "tatoeba_laser" / f"tatoeba.{other}-eng.{other}").read_text(encoding="utf-8").splitlines()
        sentences = [line for line in lines[:400] if sum(script_counts(line).values()) >= 25]
        found += sum(not in_language(sentence, LANGUAGES.find(code)) for sentence in sentences)
        total += len(sentences)
    assert found / total > 0.97, f"{found} of {total}"
