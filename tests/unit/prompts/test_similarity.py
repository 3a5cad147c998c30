"""The join finds every pair that comparing all with all finds, and no other."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.prompts import similarity
from alignment_prism.prompts.similarity import SimilarityIndex, jaccard, shingle


@cache
def grams(text, n):
    padded = f" {text} ".ljust(n) if text else ""
    return frozenset(padded[place : place + n] for place in range(len(padded) - n + 1))


def exhaustive(texts, others, threshold, n):
    """Every pair compared with every other, with Python's own sets."""
    found = {}
    for row, one in enumerate(texts):
        for column, other in enumerate(others):
            shared = len(grams(one, n) & grams(other, n))
            value = shared / (len(grams(one, n)) + len(grams(other, n)) - shared) if shared else 0
            if shared and value >= threshold - 1e-12:
                found[row, column] = value
    return found


def joined(texts, others, threshold, n):
    return {
        (one, other): found for one, other, found in SimilarityIndex(others, threshold=threshold, n=n).search(texts)
    }


def corpus(seed, count=60):
    rng = random.Random(seed)
    words = ["".join(rng.choice("abcdeअबकшлم") for _ in range(rng.randint(1, 6))) for _ in range(60)]
    texts = [" ".join(rng.choice(words) for _ in range(rng.randint(0, 9))) for _ in range(count)]
    return texts + [text.replace(rng.choice(words), "x", 1) for text in texts]


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_exactly_the_pairs_of_an_exhaustive_search(threshold, n):
    texts, others = corpus(1), corpus(2)[:50] + corpus(1)[:50]
    found, wanted = joined(texts, others, threshold, n), exhaustive(texts, others, threshold, n)
    assert found.keys() == wanted.keys()
    assert all(abs(found[pair] - wanted[pair]) < 1e-9 for pair in wanted)
    assert len(wanted) >= 40


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("ab é\U0001f600", max_size=9), max_size=8),
    st.lists(st.text("ab é\U0001f600", max_size=9), max_size=8),
    st.floats(0.05, 1),
    st.integers(1, 6),
)
def test_any_texts_any_threshold(texts, others, threshold, n):
    assert joined(texts, others, threshold, n).keys() == exhaustive(texts, others, threshold, n).keys()


def test_the_plain_definition_agrees():
    for one, other in zip(corpus(5), corpus(6), strict=True):
        (found,) = exhaustive([one], [other], 0.0001, 4).values() or (0,)
        assert jaccard(one, other, 4) == found


def test_small_batches_and_slices_change_nothing(monkeypatch):
    texts, others = corpus(3), corpus(4)[:40] + corpus(3)[:20]
    before = joined(texts, others, 0.4, 3)
    monkeypatch.setattr(similarity, "ROWS", 7)
    monkeypatch.setattr(similarity, "CHARACTERS", 90)
    monkeypatch.setattr(similarity, "EXPANSION", 5)
    assert joined(texts, others, 0.4, 3) == before


def test_shingles_are_sets_of_what_a_text_has():
    parts = shingle(["abcabc", "", "a", "abcabc"], 3)
    assert parts.sizes.tolist() == [len({" ab", "abc", "bca", "cab", "bc "}), 0, 1, 5]
    assert parts.tokens[:5].tolist() == parts.tokens[6:].tolist()


def test_empty_texts_match_nothing():
    assert joined(["", "a"], ["", "b"], 0.1, 5) == {}
    assert joined([], [], 0.5, 5) == {} == joined(["a"], [], 0.5, 5)


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.1}, {"threshold": 0.5, "n": 0}])
def test_arguments_out_of_range(options):
    with pytest.raises(ValueError):
        SimilarityIndex([], **options)
