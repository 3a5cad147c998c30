"""Translations that do not say that they are."""

import csv
from hashlib import sha256

import numpy as np
import pytest
from click.testing import CliRunner

from alignment_prism.cli.import_log import command
from alignment_prism.domain import Prompt, PromptKind, Scope, user
from alignment_prism.prompts.translations import translations_note

TOPICS = ("fraud", "violence", "privacy")
WORDS = {"en": "pounds of sugar", "hi": "किलो चीनी", "sr": "кила шећера"}


def asked(language, topics, numbers=None, group=""):
    """Prompts with ids of their own in every language."""
    said = [""] * len(topics) if numbers is None else numbers
    return [
        Prompt(
            sha256(f"{language}{i}".encode()).hexdigest()[:9], user(f"{WORDS[language]} {said[i]}"), language,
            PromptKind.HARMFUL, Scope.LOCAL if i % 7 == 0 else Scope.GLOBAL, (topic,), group=group and f"{group}{i}",
        )
        for i, topic in enumerate(topics)
    ]  # fmt: skip


@pytest.fixture
def order():
    return [TOPICS[i] for i in np.random.default_rng(0).integers(0, 3, 60)]


def test_languages_alike_line_by_line_are_noticed(order):
    note = translations_note([*asked("en", order), *asked("hi", order), *asked("sr", list(reversed(order)))])
    assert note is not None and note.startswith("60 prompts in each of 2 languages") and "alike line by line" in note
    # Numbers alone tell it too, in whatever digits.
    numbers = np.random.default_rng(1).integers(2, 90, 60).tolist()
    devanagari = [str(n).translate({48 + i: 0x966 + i for i in range(10)}) for n in numbers]
    same = ["fraud"] * 60
    assert translations_note([*asked("en", same, numbers), *asked("hi", same, devanagari)]) is not None


def test_what_is_no_sign_of_translation(order):
    grouped = [*asked("en", order, group="g"), *asked("hi", order, group="g")]
    assert translations_note(grouped) is None, "they say it themselves"
    other = [TOPICS[i] for i in np.random.default_rng(2).integers(0, 3, 60)]
    assert translations_note([*asked("en", order), *asked("hi", other)]) is None
    assert translations_note([*asked("en", order), *asked("hi", order[:-1])]) is None, "not equally many"
    # A balanced design: as many of every topic in every language, sorted or in turn.
    for design in (sorted(order), list(TOPICS) * 20):
        rows = [Prompt(p.id, p.messages, p.language, PromptKind.HARMFUL, categories=p.categories)
                for code in ("en", "hi") for p in asked(code, design)]  # fmt: skip
        assert translations_note(rows) is None


def test_an_import_says_it(order, tmp_path):
    with open(tmp_path / "log.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "prompt", "language", "categories", "reply"])
        for number, prompt in enumerate((*asked("en", order), *asked("hi", order))):
            text = f"{prompt.text} {'a' * number}"
            writer.writerow([prompt.id, text, prompt.language, prompt.categories[0], "no"])
    result = CliRunner().invoke(
        command, [str(tmp_path / "log.csv"), "--kind", "harmful", "--arm", "a", "--out", str(tmp_path / "log")]
    )
    assert result.exit_code == 0 and "alike line by line" in result.output, result.output
