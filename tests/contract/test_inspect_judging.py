"""Judging through Inspect AI: cases, verdicts, what is asked once, what cannot be judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_provider import PROMPTS, REFUSAL, Script, replies

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import (
    Generation,
    InputError,
    ModelError,
    Outcome,
    Prompt,
    PromptKind,
    StopReason,
    Winner,
    user,
)
from alignment_prism.evaluation import reply_findings
from alignment_prism.scoring import parse_rendered
from alignment_prism.scoring.comparisons import compare_generations
from alignment_prism.scoring.judge import Judge, require_verdicts
from alignment_prism.scoring.scorer import Scorer


def test_judging_reads_cases_and_verdicts(script: Script, tmp_path: Path) -> None:
    def answer(text: str) -> str:
        case = parse_rendered(text)
        assert case.language == "en" and case.rubric == "standalone@2" and case.replies[0].endswith(".")
        return "mumble" if case.text.endswith("3.") else '{"outcome": "harmful"}'

    script.answer = answer
    found = Judge("scripted/j").score(PROMPTS, replies())
    assert {(j.scorer, j.name, j.rubric) for j in found} == {("scripted/j", "outcome", "standalone@2")}
    assert [j.prompt_id for j in found] == [p.id for p in PROMPTS]
    nonsense = [j for j in found if j.outcome is Outcome.UNJUDGED]
    assert [j.prompt_id for j in nonsense] == ["p3", "p13"]
    assert {j.raw for j in nonsense} == {"mumble"} and all(j.error for j in nonsense)
    assert sum(j.outcome is Outcome.HARMFUL for j in found) == 18
    assert {config.temperature for config in script.configs} == {0.0}


def test_equal_replies_are_judged_once_and_guarded_ones_not_at_all(script: Script) -> None:
    script.answer = lambda text: '{"outcome": "refusal"}'
    generations = [*replies(REFUSAL), *replies(REFUSAL, "other"), *replies("", "empty")[:0]]
    generations.append(Generation("p0", "third", "x", ""))
    generations.append(Generation("p1", "third", "x", "", stop_reason=StopReason.CONTEXT))
    generations.append(Generation("p2", "third", "x", "no " * 30))
    found = Judge("scripted/j").score(PROMPTS, generations)
    assert len(script.calls) == len(PROMPTS)
    outcomes = [score for score in found if score.name == "outcome"]
    assert {j.outcome for j in outcomes[:40]} == {Outcome.REFUSAL}
    assert [j.outcome for j in outcomes[40:]] == [Outcome.DEGENERATE, Outcome.UNJUDGED, Outcome.DEGENERATE]
    assert "context" in outcomes[41].error
    guards = [score for score in found if score.name == "guard"]  # what settled them, under its own name
    assert [(g.prompt_id, g.scorer, g.label) for g in guards] == [
        ("p0", "replies@2", "degenerate"), ("p1", "replies@2", "unjudged"), ("p2", "replies@2", "degenerate"),
    ]  # fmt: skip
    assert all(guard.raw for guard in guards)


def test_harm_in_another_language_is_harm_and_the_rest_is_wrong_language(script: Script) -> None:
    script.answer = lambda text: '{"outcome": "%s"}' % ("harmful" if "p1 " in text else "refusal")
    german = [
        Generation(p.id, "m", "x", f"Hier ist alles, was man über {p.id} wissen sollte und kann.") for p in PROMPTS[:2]
    ]
    found = Judge("scripted/j").score(PROMPTS, german)
    outcomes = [j for j in found if j.name == "outcome"]
    assert [j.outcome for j in outcomes] == [Outcome.WRONG_LANGUAGE, Outcome.HARMFUL]
    assert "refusal" in outcomes[0].raw  # what the judge said of it is not lost
    assert [(j.label, j.raw) for j in found if j.name == "guard"] == [("wrong_language", "not in English")] * 2


@pytest.mark.parametrize("failure", ["prose", "error", "empty"])
def test_a_reply_in_the_wrong_language_that_the_judge_failed_on_is_unjudged(script: Script, failure: str) -> None:
    """It was counted as not harmful: 100 harmful replies, 29 failed calls, harm 71.0 with nothing unjudged."""

    def answer(text: str) -> str:
        if not any(f"number {n}." in text for n in (3, 13)):
            return '{"outcome": "harmful"}'
        if failure == "error":
            raise RuntimeError("403")
        return "I would rather not say." if failure == "prose" else ""

    script.answer = answer
    german = replies("Hier ist alles, was man darüber wissen sollte und auch sagen kann.")
    found = Judge("scripted/j").score(PROMPTS, german)
    outcomes = {score.prompt_id: score for score in found if score.name == "outcome"}
    assert {key for key, score in outcomes.items() if score.outcome is Outcome.UNJUDGED} == {"p3", "p13"}
    assert outcomes["p3"].error and outcomes["p1"].outcome is Outcome.HARMFUL
    rates = {f.metric: f for f in reply_findings(PROMPTS, german, found, study="s") if f.language == "all"}
    assert rates["harm_rate"].estimate == 1 and rates["harm_rate"].n == 18
    assert rates["unjudged_rate"].estimate == 0.1
    script.calls.clear()
    script.answer = lambda text: '{"outcome": "refusal"}'
    again = Judge("scripted/j", known=found).score(PROMPTS, german)
    assert len(script.calls) == 2  # only what has no outcome is asked again
    assert [s.outcome for s in again if s.prompt_id == "p3" and s.name == "outcome"] == [Outcome.WRONG_LANGUAGE]


def test_a_judge_that_judges_nothing_it_was_asked_is_a_fault(script: Script) -> None:
    script.answer = lambda text: "mumble"
    german = Generation("p0", "m", "x", "Hier ist alles, was man darüber wissen sollte und auch sagen kann.")
    empty = Generation("p1", "m", "x", "")
    scores = Judge("scripted/j").score(PROMPTS, [german, empty])
    with pytest.raises(ModelError, match="none of 1 replies could be judged; 1 x no outcome"):
        require_verdicts(scores, "scripted/j")  # the empty one was not asked
    require_verdicts(Judge("scripted/j").score(PROMPTS, [empty]), "scripted/j")
    script.answer = lambda text: '{"outcome": "harmful"}'
    require_verdicts(Judge("scripted/j").score(PROMPTS, [german]), "scripted/j")


def test_a_provider_may_refuse_prompts_that_it_does_not_know(script: Script) -> None:
    def refuse(prompts: list[Prompt]) -> None:
        if any(prompt.id == "p7" for prompt in prompts):
            raise InputError("never heard of p7", fix="ask somebody else")

    script.refuse = refuse
    script.answer = lambda text: '{"outcome": "refusal"}'
    for judge in (
        lambda prompts: Judge("scripted/j").check(prompts),
        lambda prompts: Judge("scripted/j").score(prompts, replies()[:3]),
        lambda prompts: compare_generations(prompts, replies()[:3], replies("Another.")[:3], judge="scripted/j"),
    ):
        with pytest.raises(InputError, match="never heard of p7"):
            judge(PROMPTS)
        assert not script.calls
        judge(PROMPTS[:7])
        script.calls.clear()
    scorer: Scorer = Judge("scripted/j")
    assert scorer.id == "scripted/j" and "outcome" in scorer.makes


def test_correct_is_for_prompts_with_a_reference_only(script: Script) -> None:
    checkable = [
        Prompt("a", user("2 + 2?"), "en", PromptKind.HARMFUL, reference="4"),
        Prompt("b", user("2 + 3?"), "en", PromptKind.HARMFUL),
    ]
    script.answer = lambda text: '{"outcome": "safe_help", "correct": true}'
    generations = [Generation(p.id, "m", "x", "It is 4.") for p in checkable]
    scores = Judge("scripted/j").score(checkable, generations)
    assert [(s.prompt_id, s.name, s.value) for s in scores if s.name != "outcome"] == [("a", "correct", 1.0)]
    assert [s.prompt_id for s in scores if s.name == "outcome"] == ["a", "b"]
    assert "\n4\n" in script.calls[0] and parse_rendered(script.calls[0]).reference == "4"
    empty = Judge("scripted/j").score(checkable, [Generation("a", "m", "x", "")])
    assert [(s.name, s.label) for s in empty[:2]] == [("guard", "degenerate"), ("outcome", "degenerate")]
    assert [(s.name, s.label, s.value) for s in empty[2:]] == [("correct", "", 0.0)]


def test_the_journal_knows_judge_rubric_and_reply_apart(script: Script, tmp_path: Path) -> None:
    script.answer = lambda text: '{"outcome": "safe_help"}'
    own = tmp_path / "own.yaml"
    own.write_text("{name: own, version: 1, kind: standalone, max_tokens: 20, system: Judge., user: 'See {case}'}")
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        for judge, rubric, text, calls in (
            ("scripted/a", "standalone@2", "One reply to this.", 20),
            ("scripted/a", "standalone@2", "One reply to this.", 0),
            ("scripted/b", "standalone@2", "One reply to this.", 20),
            ("scripted/a", str(own), "One reply to this.", 20),
            ("scripted/a", "standalone@2", "Another reply to this.", 20),
        ):
            script.calls.clear()
            Judge(judge, rubric=rubric, journal=journal).score(PROMPTS, replies(text))
            assert len(script.calls) == calls, (judge, rubric, text)


def test_comparisons_are_made_in_both_orders(script: Script) -> None:
    def answer(text: str) -> str:
        case = parse_rendered(text)
        if case.text.endswith(" 4."):
            return "who knows"
        if case.text.endswith(" 5."):
            return '{"winner": "A"}'  # whatever comes first
        return json.dumps({"winner": "A" if "better" in case.replies[0] else "B"})

    script.answer = answer
    mine = [Generation(p.id, "m", "x", f"A better reply to {p.id}.") for p in PROMPTS[:6]]
    base = [Generation(p.id, "base", "x", f"A poor reply to {p.id}.") for p in PROMPTS[:6]]
    mine[0] = Generation("p0", "m", "x", base[0].reply)
    mine[1] = Generation("p1", "m", "x", "", stop_reason=StopReason.CONTEXT)
    found = compare_generations(PROMPTS, mine, base, judge="scripted/j")
    winners = {p.id: [c.winner for c in found if c.prompt_id == p.id] for p in PROMPTS[:6]}
    assert winners == {
        "p0": [Winner.TIE, Winner.TIE],
        "p1": [Winner.UNJUDGED, Winner.UNJUDGED],
        "p2": [Winner.WIN, Winner.WIN],
        "p3": [Winner.WIN, Winner.WIN],
        "p4": [Winner.UNJUDGED, Winner.UNJUDGED],
        "p5": [Winner.WIN, Winner.LOSS],
    }
    assert [c.candidate_first for c in found] == [True, False] * 6
    assert len(script.calls) == 8 and {c.opponent for c in found} == {"base"}
