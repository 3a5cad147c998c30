"""Near-duplicates and leaks, within and across languages and scripts; splits that keep what is alike together."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from alignment_prism.domain import InputError, Prompt, PromptKind, Scope, user
from alignment_prism.prompts import read_prompts
from alignment_prism.prompts.folding import fold
from alignment_prism.prompts.overlap import PromptIndex, near_duplicates, summary
from alignment_prism.prompts.similarity import SimilarityIndex
from alignment_prism.prompts.splits import check_leaks, split_prompts


def prompt(name, text, language="en", **fields):
    return Prompt(name, user(text), language, PromptKind.HARMFUL, **fields)


def how(one, other, **options):
    return {(match.one, match.other): match.how for match in PromptIndex([other], **options).matches([one])}


SENTENCE = "Where can I read about the history of the old town"


def test_the_ways_in_which_two_prompts_meet():
    english = prompt("e", SENTENCE)
    assert how(prompt("a", SENTENCE.upper() + "?!"), english) == {("a", "e"): "text"}
    assert how(prompt("a", "Où lire cela", "fr", metadata={"literal_translation": SENTENCE}), english) == {
        ("a", "e"): "translation-text"
    }
    french = prompt("f", "Où lire cela", "fr", metadata={"semantic_translation": SENTENCE + "s"})
    arabic = prompt("a", "اين اقرا هذا", "ar", metadata={"literal_translation": SENTENCE})
    assert how(arabic, french) == {("a", "f"): "translation"}
    assert how(prompt("a", "xyz", group="g"), prompt("b", "uvw", group="g")) == {("a", "b"): "group"}
    assert how(prompt("a", "xyz"), prompt("a", "uvw")) == {("a", "a"): "id"}
    assert how(prompt("a", "नमस्ते दुनिया कैसे", "hi"), prompt("b", "namaste duniya kaise", "en"), threshold=0.6) == {
        ("a", "b"): "romanised-text"
    }
    cyrillic = prompt("a", "Где могу да прочитам историју старог града", "sr")
    assert how(cyrillic, prompt("b", "gde mogu da procitam istoriju starog grada", "sr")) == {("a", "b"): "text"}
    assert how(prompt("a", "something else entirely"), english) == {}


def test_a_summary_counts_matches_and_prompts():
    matches = PromptIndex([prompt("x", SENTENCE), prompt("y", SENTENCE)]).matches(
        [prompt("a", SENTENCE), prompt("b", "other")]
    )
    counts = summary(matches)
    assert (counts["matches"], counts["prompts_of_the_first"], counts["prompts_of_the_second"]) == (2, 1, 2)
    assert counts["languages"] == {"en-en": 2}


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 2}, {"n": 0}])
def test_arguments_out_of_range(options):
    with pytest.raises(InputError):
        PromptIndex([], **options)


def pool(count=400, seed=1):
    """Prompts with groups of translations and near-copies among them."""
    rng = random.Random(seed)
    words = ["".join(rng.choice("abcdefghijklmnoprstuvz") for _ in range(rng.randint(3, 9))) for _ in range(500)]
    prompts = []
    for number in range(count):
        language = ("en", "fr", "hi", "ar")[number % 4]
        scope = Scope.LOCAL if rng.random() < 0.34 else Scope.GLOBAL
        text = " ".join(rng.choice(words) for _ in range(12))
        prompts.append(prompt(f"p{number}", text, language, scope=scope))
    for number in range(0, 40, 2):  # near-copies within a language, and translations over languages
        twin = prompts[number]
        prompts.append(replace(twin, id=f"copy{number}", messages=user(twin.text + " x")))
        prompts[number + 1] = replace(prompts[number + 1], group=f"g{number}")
        prompts.append(
            replace(
                prompts[number + 1],
                id=f"translation{number}",
                language="hi",
                messages=user(f"अनुवाद {number} " + twin.text[::-1]),
            )
        )
    return prompts


def test_near_duplicates_within_a_set_come_once():
    matches = list(near_duplicates(pool()))
    assert len(matches) == 40
    assert Counter(match.how for match in matches) == {"text": 20, "group": 20}


def test_splits_keep_alike_together_with_the_counts_asked_for():
    prompts = pool()
    split = split_prompts(prompts, {"seed": 20, "train": 0.5, "eval": "rest"}, seed=3)
    part = {each.id: each.split for each in split.prompts}
    for number in range(0, 40, 2):
        assert part[f"p{number}"] == part[f"copy{number}"]
        assert part[f"p{number + 1}"] == part[f"translation{number}"]
    counts = split.manifest["counts"]
    for language in ("en", "fr", "hi", "ar"):
        assert abs(sum(counts["seed"][language].values()) - 20) <= 2
    assert [each.id for each in split.prompts] == [each.id for each in prompts]
    check_leaks(split.prompts)


def test_prompts_that_stand_alone_are_split_exactly_and_in_proportion():
    prompts = [each for each in pool() if each.id.startswith("p") and not each.group and int(each.id[1:]) >= 40]
    split = split_prompts(prompts, {"seed": 30, "eval": "rest"}, seed=1)
    counts = split.manifest["counts"]["seed"]
    assert {language: sum(scopes.values()) for language, scopes in counts.items()} == dict.fromkeys(
        ("en", "fr", "hi", "ar"), 30
    )
    for language, scopes in counts.items():
        local = [each.scope is Scope.LOCAL for each in prompts if each.language == language]
        assert abs(scopes["local"] - 30 * sum(local) / len(local)) < 1


def test_same_seed_same_split_other_seed_another_whatever_the_order():
    prompts = pool()
    parts = {"seed": 20, "eval": "rest"}
    one, two, three = (
        split_prompts(each, parts, seed=seed) for each, seed in ((prompts, 1), (prompts[::-1], 1), (prompts, 2))
    )
    assert {each.id: each.split for each in one.prompts} == {each.id: each.split for each in two.prompts}
    assert one.manifest["digest"] != three.manifest["digest"]


def test_a_leak_is_an_error_that_shows_both_rows_and_no_text():
    leaky = [
        prompt("a", SENTENCE, split="seed"),
        prompt("b", SENTENCE + "s", split="eval"),
        prompt("c", "x", split="eval"),
    ]
    with pytest.raises(InputError, match="1 leak") as caught:
        check_leaks(leaky)
    message = str(caught.value)
    assert "seed:a" in message and "eval:b" in message and "history" not in message


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"seed": 1000, "eval": "rest"}, "has 10. prompts, and the parts ask for 1000"),
        ({"seed": 10}, "without a part"),
        ({"seed": "rest", "eval": "rest"}, "both take the rest"),
        ({"seed": -1, "eval": "rest"}, "not above 0"),
        ({"seed": 2.5, "eval": "rest"}, "not whole"),
        ({}, "without a share"),
        ({"seed": "many"}, "without a share"),
    ],
)
def test_parts_that_cannot_be(parts, word):
    with pytest.raises(InputError, match=word):
        split_prompts(pool(), parts, seed=1)


def test_a_part_that_nothing_is_left_for_is_an_error():
    # Of ten prompts eight say nearly the same: both parts are to have five, and the eight go into one of them. Of ten
    # that all do, the other is left with none.
    alone = [prompt("x", "Where does the river end?"), prompt("y", "Who wrote that book about ships?")]
    alike = [prompt(str(number), SENTENCE + "s" * number) for number in range(10)]
    parts = {"seed": 5, "eval": "rest"}
    split = split_prompts([*alike[:8], *alone], parts, seed=1)
    assert sorted(Counter(each.split for each in split.prompts).values()) == [2, 8]
    with pytest.raises(InputError, match=r"no prompt is left for 'seed', which was to have 5") as caught:
        split_prompts(alike, parts, seed=1)
    assert "10 of 10 prompts are kept together, the most of them 10" in str(caught.value)


def test_an_id_that_occurs_twice_is_an_error():
    with pytest.raises(InputError, match="occurs twice"):
        split_prompts([prompt("a", "x"), prompt("a", "y")], {"eval": "rest"}, seed=1)


def test_real_prompts_overlap_as_they_should(realdata):
    aya = read_prompts(realdata / "aya_redteaming_partial" / "aya_partial_merged.jsonl")
    exact = {frozenset((match.one, match.other)) for match in near_duplicates(aya, threshold=1.0)}
    near = list(near_duplicates(aya, threshold=0.7))
    assert len(exact) >= 2 and exact <= {frozenset((match.one, match.other)) for match in near}
    split = split_prompts(aya, {"seed": 100, "eval": "rest"}, seed=1)
    sizes = {language: sum(scopes.values()) for language, scopes in split.manifest["counts"]["seed"].items()}
    assert all(abs(size - 100) <= 2 for size in sizes.values())
    flores = read_prompts(realdata / "flores200" / "dev" / "srp_Cyrl.dev")
    assert not list(PromptIndex(aya).matches(flores))


def test_real_serbian_sentences_in_both_scripts(realdata):
    lines = (realdata / "tatoeba_laser" / "tatoeba.srp-eng.srp").read_text(encoding="utf-8").splitlines()
    cyrillic = [line for line in lines if any("\u0400" <= letter <= "\u04ff" for letter in line)]
    assert len(cyrillic) > 300
    assert all(fold(line, "sr").isascii() for line in lines)


def test_real_translations_meet_through_english(realdata):
    typed = read_prompts(realdata / "aya_redteaming_partial" / "labelled_sample_transcribed.jsonl")
    english = [prompt(f"e{number}", str(each.metadata["literal_translation"])) for number, each in enumerate(typed)]
    matches = {match.one: match for match in PromptIndex(english).matches(typed)}
    assert set(matches) == {each.id for each in typed}
    assert {match.how for match in matches.values()} == {"translation-text"}


def test_prompts_meet_through_the_english_of_any_column(tmp_path):
    """A published set names its English `instruction`: kept as `english` by its format, and by whoever maps it."""
    rows = [{"id": "a", "instruction": SENTENCE, "instruction_translated": "Où lire cela", "category": ""}]
    published = tmp_path / "polyrefuse_harmless_fr.json"
    published.write_text(json.dumps(rows), encoding="utf-8")
    mine = tmp_path / "mine.jsonl"
    mine.write_text(json.dumps({"id": "m", "question": "اين اقرا هذا", "original": SENTENCE}), encoding="utf-8")
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"id": "o", "prompt": SENTENCE, "language": "en", "kind": "general"}), encoding="utf-8")
    (french,) = read_prompts(published)
    mapping = {"prompt": "question", "english": "original"}
    (arabic,) = read_prompts(mine, mapping=mapping, defaults={"language": "ar", "kind": "general"})
    (english,) = read_prompts(own)
    assert set(how(french, english).values()) == {"translation-text"}
    assert set(how(arabic, english).values()) == {"translation-text"}
    assert set(how(arabic, french).values()) == {"translation"}


@pytest.fixture
def comparisons(monkeypatch):
    """How many pairs of texts were looked at, since it was cleared."""
    seen = []
    verify = SimilarityIndex._verify

    def counted(self, pairs, keys, sizes):
        seen.append(len(pairs))
        yield from verify(self, pairs, keys, sizes)

    monkeypatch.setattr(SimilarityIndex, "_verify", counted)
    return seen


def test_a_split_compares_each_prompt_with_few_others_once_and_says_how_far_it_is(comparisons):
    """All pairs of 2,000 prompts would be 2,000,000; and twice as many prompts take no four times as many pairs."""
    rng = random.Random(1)
    words = ["".join(rng.choice("abcdefghijklmnoprstuvz") for _ in range(rng.randint(4, 9))) for _ in range(4000)]
    looked_at, told = {}, []
    for count in (1000, 2000):
        texts = (f"How do I {' '.join(rng.choice(words) for _ in range(6))} in a house?" for _ in range(count))
        prompts = [prompt(f"p{number}", text) for number, text in enumerate(texts)]
        comparisons.clear()
        told.clear()
        split_prompts(prompts, {"a": 0.5, "b": "rest"}, seed=1, progress=lambda *done: told.append(done))
        looked_at[count] = sum(comparisons)
    assert looked_at[2000] < 100 * 2000 and looked_at[2000] < 3 * looked_at[1000]
    assert told == [(number, 4000) for number in range(1, 4001)]  # each is indexed, and looked for
