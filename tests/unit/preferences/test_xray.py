"""The X-ray finds what was put into pairs, and only that; so does it in real ones."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from prism_command import prism
from scipy import sparse

from alignment_prism.domain import InputError, Pair, PairKind, user
from alignment_prism.io import Intake, write_records
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.cues import CUES, differences
from alignment_prism.preferences.matching import match_pairs
from alignment_prism.preferences.separation import RIDGE, fit, fold_numbers, separations
from alignment_prism.preferences.xray import Tokens, xray

WORDS = "river stone lamp paper cloud green seven quiet march under".split()


def said(rng: random.Random, length: int = 8) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length))


def make(count: int, change=lambda rng, text: text, *, language="en", seed=0, **more) -> list[Pair]:
    """Pairs of two replies of one distribution, of which the rejected one is changed."""
    rng = random.Random(f"{seed}{language}")
    return [
        Pair(f"{language}{seed}-{number}", user(f"{language} {number} {said(rng)}"), said(rng), change(rng, said(rng)),
             language, PairKind.SAFETY, **more)
        for number in range(count)
    ]  # fmt: skip


def aucs(pairs, *cues):
    return {(one.cue, one.language): one for one in separations(pairs, [CUES[cue] for cue in cues or CUES])}


CHANGES = {
    "length": lambda rng, text: f"{text} {said(rng)}",
    "first_token": lambda rng, text: f"Sure {text[: text.rfind(' ')]}",
    "characters": lambda rng, text: text[0] + text[1:].replace("e", "\u0435"),
}


@pytest.mark.parametrize("cue", CHANGES)
def test_a_cue_that_was_put_in_is_found_and_flagged(cue):
    found = aucs(make(80, CHANGES[cue]), "length", "first_token", "characters")
    assert found[cue, "en"].auc.estimate > 0.9 and found[cue, "en"].flagged


def test_sides_of_one_distribution_are_not_told_apart():
    found = aucs(make(400))
    assert all(
        one.auc.lower < 0.5 < one.auc.upper and not one.flagged for one in found.values() if one.cue != "generator"
    )
    assert found["generator", "en"].auc.estimate == 0.5


def test_which_side_a_cue_points_to_does_not_matter_nor_does_the_order_of_rows():
    pairs = make(60, CHANGES["length"])
    turned = [Pair(p.id, p.messages, p.rejected, p.chosen, p.language) for p in reversed(pairs)]
    assert aucs(pairs, "length")["length", "en"].auc == aucs(turned, "length")["length", "en"].auc


def test_languages_in_which_a_cue_points_the_other_way_are_flagged_each():
    shorter = [Pair(p.id, p.messages, p.rejected, p.chosen, "fr") for p in make(60, CHANGES["length"], language="fr")]
    found = aucs([*make(60, CHANGES["length"]), *shorter, *make(5, language="hi")], "length")
    assert {language: one.auc.estimate for (_, language), one in found.items() if one.is_known} == {
        "en": 1.0, "fr": 1.0, "all": 1.0,
    }  # fmt: skip
    assert not found["length", "hi"].is_known and not found["length", "hi"].flagged  # five prompts


def test_the_generator_of_the_sides_is_a_cue_where_the_file_names_it():
    named = [
        Pair(
            p.id, p.messages, p.chosen, p.rejected, "en", metadata={"chosen_model": "teacher", "rejected_model": "base"}
        )
        for p in make(40)
    ]
    assert aucs(named, "generator")["generator", "en"].auc.estimate == 1.0
    assert xray(make(40)).unknown == ("generator: no column says which model wrote which side",)


def test_the_language_of_the_sides_is_a_cue():
    english = "The weather is nice today and we are going to the market with our friends."
    french = "Il fait beau aujourd'hui et nous allons au marché avec nos amis."
    pairs = [Pair(str(n), user(f"question {n}"), english + str(n), french + str(n), "en") for n in range(30)]
    assert aucs(pairs, "language")["language", "en"].auc.estimate == 1.0


def test_pairs_of_one_prompt_are_one_cluster_and_never_on_both_sides_of_a_fold():
    rng = random.Random(1)
    flipped = lambda pair: Pair(pair.id, pair.messages, pair.rejected, pair.chosen, "en", group=pair.group)  # noqa: E731
    pairs = [
        Pair(f"{prompt}-{n}", user(str(prompt)), said(rng, 4), said(rng, 9), "en", group=str(prompt))
        for prompt in range(30)
        for n in range(8)
    ]
    pairs = [flipped(pair) if int(pair.group) % 3 == 0 else pair for pair in pairs]  # a third of the prompts
    alone = [Pair(p.id, user(p.id), p.chosen, p.rejected, "en") for p in pairs]
    together, apart = aucs(pairs, "length")["length", "en"].auc, aucs(alone, "length")["length", "en"].auc
    assert together.estimate == apart.estimate == pytest.approx(2 / 3)
    assert together.clusters == 30 and apart.clusters == 240
    # Eight alike in a cluster: a design effect near 8, an interval near sqrt(8) = 2.8 times as wide.
    assert 2.3 < (together.upper - together.lower) / (apart.upper - apart.lower) < 3.3
    folds = fold_numbers([pair.group for pair in pairs])
    assert {len({int(f) for f, p in zip(folds, pairs, strict=True) if p.group == g}) for g in "0123"} == {1}


def test_the_fit_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 6)) + 0.3
    both = LogisticRegression(C=1 / (2 * RIDGE), fit_intercept=False, tol=1e-10)  # each row there twice, turned round
    both.fit(np.vstack([rows, -rows]), np.repeat([1, 0], 200))
    assert fit(sparse.csr_array(rows)) == pytest.approx(both.coef_[0], abs=1e-3)


def test_differences_are_of_the_sides():
    (pair,) = make(1)
    twice = [Pair("a", user("x"), "aab", "b", "en"), Pair("b", user("y"), "aab", "b", "en")]
    found = differences(twice, [CUES["characters"]]).toarray()
    # a: sqrt(2/3) - 0, b: sqrt(1/3) - 1; rows are scaled to a length of one.
    whole = np.hypot((2 / 3) ** 0.5, (1 / 3) ** 0.5 - 1)
    assert sorted(found[0]) == pytest.approx([((1 / 3) ** 0.5 - 1) / whole, (2 / 3) ** 0.5 / whole])
    assert pair.id


def test_facts_duplicates_and_tokens():
    pairs = [
        Pair("1", user("How?"), "I cannot help.", "Do this.", "en", PairKind.SAFETY),
        Pair("2", user("How?"), "I cannot help.", "Do this.", "en", PairKind.GENERAL),
        Pair("3", user("How?"), "Do this.", "I cannot help.", "en", PairKind.SAFETY),
        Pair("4", user("Why?"), "yes it is", "Yes  it is", "de", PairKind.SAFETY),
    ]
    found = xray(pairs, tokens=Tokens(len), max_tokens=15)
    same = found.duplicates
    assert (same.pairs, same.prompts, same.contradictions, same.same_sides) == (1, 2, 1, 1)
    english, german, whole = found.languages[1], found.languages[0], found.languages[2]
    assert (english.language, german.language, whole.language) == ("en", "de", "all")
    assert english.safety == pytest.approx(2 / 3) and english.chosen_refusals == pytest.approx(2 / 3)
    assert german.chosen_refusals is None  # no openings of German refusals are known
    assert german.cost == english.tokens_per_character == 1.0
    assert english.too_long == 1.0 and german.too_long == 0.0  # 4 + 14 characters against 4 + 10
    assert any("the other way round" in line for line in found.flags)


def test_the_ratio_of_lengths_is_one_where_long_and_short_replies_are_on_either_side_by_chance():
    """Medians would be those of long replies on one side and of short ones on the other: 11 of 21 against 10."""
    short, long = "yes it is so", "yes it is so, and here is why it is " * 3
    pairs = [Pair(str(n), user(f"q{n}"), *((short, long) if n % 2 else (long, short)), "en") for n in range(21)]
    (facts,) = xray(pairs, cues=["length"]).languages
    assert facts.chosen_characters == len(long) and facts.rejected_characters == len(short)  # 9 times as long
    # log ratios +-log(len(long) / len(short)), one more of one sign than of the other: the mean is 1/21 of it.
    assert facts.length_ratio == pytest.approx((len(short) / len(long)) ** (1 / 21))
    assert not xray(pairs, cues=["language"]).flags


def test_a_file_of_few_seeds_is_measured_and_what_is_not_is_said():
    some = [replace(pair, group=f"seed{n % 16}") for n, pair in enumerate(make(80, CHANGES["length"]))]
    found = xray([*some, *make(19, language="hi")], cues=["length"])
    assert {one.language for one in found.separations if one.flagged} == {"en", "all"}
    assert any("what tells the sides in hi" in line for line in found.unknown)
    of_four = [replace(pair, group=f"seed{n % 4}") for n, pair in enumerate(some)]
    assert not xray(of_four, cues=["length"]).separations[0].is_known
    with pytest.raises(InputError, match="no language has enough prompts"):
        match_pairs(of_four, ["length"])
    mixed = make(60, CHANGES["length"], seed=1) + make(40, lambda rng, text: text[: len(text) // 2], seed=2)
    matched = match_pairs([*mixed, *make(10, language="hi")], ["length"])
    assert matched.unmeasured == ("hi",) and sum(pair.language == "hi" for pair in matched.pairs) == 10


def test_matching_leaves_as_many_of_either_direction():
    pairs = make(300, CHANGES["length"], seed=1)[:225] + make(75, lambda rng, text: text[: len(text) // 2], seed=2)
    before = aucs(pairs, "length")["length", "en"]
    matched = match_pairs(pairs, ["length"], threshold=0.6)
    longer = sum(len(pair.rejected) > len(pair.chosen) for pair in matched.pairs)
    shorter = sum(len(pair.rejected) < len(pair.chosen) for pair in matched.pairs)
    assert before.auc.estimate == pytest.approx(0.75, abs=0.01)
    assert longer == shorter > 40
    assert aucs(matched.pairs, "length")["length", "en"].auc.lower < 0.5
    assert len(matched.pairs) + len(matched.left_out) == 300


def test_the_commands_print_no_text_and_say_what_is_flagged(tmp_path):
    mixed = make(120, CHANGES["length"]) + make(20, lambda rng, text: text[:20], seed=3)
    write_records(tmp_path / "pairs.jsonl", mixed, Pair)
    shown = prism("preferences", "xray", "pairs.jsonl", "--tokenizer", "nano", "--fail", folder=tmp_path)
    assert shown.returncode == 2 and "flag: en: the preferred side is told by the number of characters" in shown.stdout
    assert not any(word in shown.stdout for word in ("river", "lamp"))
    told = prism("preferences", "repair", "pairs.jsonl", "--by", "length", "--out", "out.jsonl", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    kept = read_pairs(tmp_path / "out.jsonl")
    assert manifest["pairs"] == len(kept) and len(manifest["left_out"]) == 140 - len(kept)
    assert len(manifest["after"]["flags"]) < len(manifest["before"]["flags"])
    assert prism("preferences", "repair", "pairs.jsonl", "--out", "out.jsonl", folder=tmp_path).returncode == 5


def test_real_pairs_of_rtp_lx_are_told_by_their_length(realdata):
    """Its toxic completions are several times as long as the benign ones that people wrote."""
    pairs = []
    for code in ("ar", "es", "fr", "hi"):
        file = realdata / "rtp_lx" / f"acs_results_benign_{code.upper()}.json"
        for line in file.read_text(encoding="utf-8-sig").splitlines()[:300]:
            row = json.loads(line)
            sides = row["BenignCompletion"], row["OriginalEntry"]["Completion"]
            if all(side.strip() for side in sides):
                pairs.append(Pair(f"{code}{row['Index']}", user(row["OriginalEntry"]["Prompt"]), *sides, code))
    found = xray(pairs, cues=["length"])
    assert {one.language for one in found.separations if one.flagged} == {"ar", "es", "fr", "hi", "all"}
    assert all(one.auc.lower > 0.97 for one in found.separations)
    assert all(5 < one.length_ratio < 11 for one in found.languages)


def test_real_pairs_of_hh_rlhf_are_hardly_told_by_their_length(realdata):
    file = realdata / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    pairs = read_pairs(file, language="en", intake=Intake(keep_going=True))
    (found,) = separations(pairs, [CUES["length"]])
    assert 0.5 < found.auc.lower < found.auc.upper < 0.6 and not found.flagged
