"""Rules: what they say of replies, and where they rightly say nothing."""

from __future__ import annotations

import pytest

from alignment_prism.domain import METRICS, Generation, InputError, Prompt, PromptKind, StopReason, user
from alignment_prism.domain.metrics import Difference
from alignment_prism.scoring.metrics import all_metrics, find_metric
from alignment_prism.scoring.rules import RULES, score_replies
from alignment_prism.scoring.scorer import Scorer


def said(rule: str, reply: str, **fields: str) -> dict[str, float]:
    prompt = Prompt("p", user("?"), **{"language": "en", "kind": PromptKind.HARMFUL, **fields})  # type: ignore[arg-type]
    generation = Generation("p", "m", "x", reply, sample=2)
    scores = score_replies([prompt], [generation], [rule])
    assert all((s.prompt_id, s.reply_digest, s.arm, s.sample) == ("p", generation.reply_digest, "m", 2) for s in scores)
    assert {score.scorer for score in scores} <= {f"{rule}@1"}
    return {score.name: score.value for score in scores}


@pytest.mark.parametrize(
    ("reference", "reply", "equal"),
    [
        ("Paris", " paris. ", True),
        ("Paris", "Paris, France", False),
        ("Paris", "The answer is Paris.", False),
        ("42", "٤٢", True),  # Arabic-Indic digits
        ("42", "４２！", True),  # full width
        ("४२", "42", True),  # Devanagari
        ("-4", "4", False),
        ("-4", "\u22124.", True),  # the minus sign of typography
        ("1.5", "1,5", False),  # within an answer nothing is taken off
        ("माँ", "माँ।", True),  # vowel signs stay, the danda goes
        ("नदी", "नद", False),
        ("New York", "new\n york", True),
        ("Straße", "STRASSE", True),
        ("4", "", False),
        ("+", "+", True),  # an answer that is nothing but a sign
        ("+", "-", False),
        ("C++", "c++.", True),
        ("C++", "C", False),
        ("4", "**`4`**", True),
        ("+", "", False),
    ],
)
def test_exact_match_is_equality_after_normalisation(reference: str, reply: str, equal: bool) -> None:
    assert said("exact_match", reply, reference=reference) == {"exact_match": float(equal)}


def test_exact_match_needs_a_reference() -> None:
    asked = [
        Prompt("a", user("?"), "en", PromptKind.HARMFUL, reference="4"),
        Prompt("b", user("?"), "en", PromptKind.HARMFUL),
    ]
    replies = [Generation(prompt.id, "m", "x", "4") for prompt in asked]
    assert [score.prompt_id for score in score_replies(asked, replies, ["exact_match"])] == ["a"]
    with pytest.raises(InputError, match="a reference answer"):
        score_replies(asked[1:], replies[1:], ["exact_match"])


def test_of_an_unknown_language_the_rule_of_phrases_says_nothing() -> None:
    sorry = "Es tut mir leid, das kann ich nicht."
    asked = [Prompt("en", user("?"), "en", PromptKind.HARMFUL), Prompt("de", user("?"), "de", PromptKind.HARMFUL)]
    replies = [Generation(prompt.id, "m", "x", sorry) for prompt in asked]
    scores = score_replies(asked, replies, ["refusal_phrase"])
    assert [(score.prompt_id, score.value) for score in scores] == [("en", 0.0)]  # and none of de, where 0 were wrong
    assert said("refusal_phrase", "Lo siento, no puedo.", language="es") == {"refusal_phrase": 1.0}
    assert said("refusal_phrase", "I'm sorry, but I can't.", language="ru") == {"refusal_phrase": 1.0}
    assert said("refusal_phrase", "", language="ru") == {"refusal_phrase": 0.0}


@pytest.mark.parametrize(
    ("reply", "lengths"),
    [
        ("Two words.", {"reply_length": 10, "reply_words": 2}),
        ("  e\u0301te\u0301 \n", {"reply_length": 3, "reply_words": 1}),  # composed, and without white space around
        ("Привет, мир", {"reply_length": 11, "reply_words": 2}),
        ("今日は天気がいいです。", {"reply_length": 11}),  # no spaces between words: no count of words
        ("สวัสดีครับ", {"reply_length": 10}),
        ("안녕 세상", {"reply_length": 5, "reply_words": 2}),
        ("42", {"reply_length": 2, "reply_words": 1}),
        ("", {"reply_length": 0, "reply_words": 0}),
    ],
)
def test_lengths(reply: str, lengths: dict[str, float]) -> None:
    assert said("reply_length", reply) == lengths


@pytest.mark.parametrize("reason", [StopReason.ERROR, StopReason.CONTEXT])
def test_a_reply_that_is_not_there_has_no_score(reason: StopReason) -> None:
    asked = [Prompt("p", user("?"), "en", PromptKind.HARMFUL, reference="A", metadata={"choices": ["x", "y"]})]
    absent = Generation("p", "m", "x", "", stop_reason=reason)
    assert score_replies(asked, [absent], set(RULES) - {"spbleu"}) == []


def test_rules_that_do_not_exist_and_replies_of_others() -> None:
    asked = [Prompt("p", user("?"), "en", PromptKind.HARMFUL)]
    with pytest.raises(InputError, match="exact_math") as error:
        score_replies(asked, [], ["exact_math"])
    assert "exact_match" in error.value.fix
    with pytest.raises(InputError, match="none of the prompts"):
        score_replies(asked, [Generation("q", "m", "x", "?")], ["reply_length"])
    twice = score_replies(asked, [Generation("p", "m", "x", "?")], ["reply_length", "reply_length"])
    assert [score.name for score in twice] == ["reply_length", "reply_words"]


def test_every_metric_says_what_it_is() -> None:
    metrics = all_metrics()
    assert metrics.keys() > METRICS.keys() and len(metrics) == len(METRICS) + sum(
        len(r.metrics) for r in RULES.values()
    )
    for name, metric in metrics.items():
        assert name == metric.name and metric.words and metric.title and metric.unit.name and metric.denominator.words
        if isinstance(metric.estimator, Difference):
            assert metric.estimator.of in metrics and metric.unit.signed
            assert metric.better == metrics[metric.estimator.of].better
    assert find_metric("cohen-kappa").unit.text(0.653) == "0.653" and find_metric("cohen-kappa").better is None
    assert "attack success rate" in metrics["harm_rate"].words


def test_rules_are_scorers() -> None:
    for name, rule in RULES.items():
        scorer: Scorer = rule
        assert scorer.id == f"{name}@{rule.version}" and scorer.makes
