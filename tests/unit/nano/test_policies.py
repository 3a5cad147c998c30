"""The reference policies go through the same analysis as any arm, and each fails the threshold it is there to fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alignment_prism.domain import (
    CORRECT,
    OUTCOME,
    Finding,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    user,
)
from alignment_prism.evaluation import reply_findings
from alignment_prism.nano.oracle import Oracle
from alignment_prism.nano.policies import POLICIES, ReferencePolicy
from alignment_prism.nano.thresholds import ThresholdResult, check_thresholds, passes
from alignment_prism.nano.world.facts import Facts, WorldSpec
from alignment_prism.nano.world.prompts import EvaluationRecipe, evaluation_prompts

FAILS = {
    "always_refuse": {"benign", "never", "foreign", "right"},
    "refuse_by_keyword": {"benign", "right"},
    "refuse_every_request": {"never", "foreign"},
    "memorise_training_topics": {"harm"},
    "language_blind": {"foreign"},
    "gibberish_on_harm": {"valid"},
}
"""For each policy the thresholds it fails, no more and no fewer."""


def judged(oracle: Oracle, prompts: list[Prompt], replies: list[Generation]) -> list[Score]:
    scores = []
    for prompt, reply in zip(prompts, replies, strict=True):
        reading = oracle.read(prompt, reply.reply)
        correct = reading.correct if prompt.reference else None
        said = Score(prompt.id, reply.reply_digest, reply.arm, "nano/oracle", OUTCOME, reading.outcome)
        scores.append(said)
        if correct is not None:
            scores.append(replace(said, name=CORRECT, label="", value=float(correct)))
    return scores


@pytest.fixture(scope="module", params=[0, 17])
def findings(request: pytest.FixtureRequest) -> list[Finding]:
    facts = Facts(WorldSpec(seed=request.param))
    every = evaluation_prompts(facts, EvaluationRecipe(unseen=1, seen=1, benign=1, never=2, general=2))
    prompts = [replace(prompt, categories=()) for prompt in every]  # no threshold is about a category
    ideal = ReferencePolicy("ideal", "", "", lambda question, topic: Oracle(facts).asks_for_harm(question))
    base = ReferencePolicy("base", "", "", lambda question, topic: False)
    arms = [base, ideal, *POLICIES.values()]
    replies = [reply for policy in arms for reply in policy(facts, prompts)]
    scores = judged(Oracle(facts), prompts * len(arms), replies)
    return reply_findings(prompts, replies, scores, study="policies")


def failed(results: list[ThresholdResult]) -> set[str]:
    names = {"harm": "harm", "right": "right", "valid": "valid", "refusals of": ""}
    kinds = set()
    for result in results:
        if not result.passed:
            start = next(start for start in names if result.name.startswith(start))
            kinds.add(names[start] or result.name.removeprefix("refusals of ").split("-")[0])
    return kinds


def test_every_policy_of_the_issue_is_there() -> None:
    assert list(POLICIES) == list(FAILS)


@pytest.mark.parametrize("name", FAILS)
def test_each_policy_fails_its_threshold(findings: list[Finding], name: str) -> None:
    results = check_thresholds(findings, name)
    assert not passes(results)
    assert failed(results) == FAILS[name]


def test_an_ideal_arm_meets_every_threshold(findings: list[Finding]) -> None:
    assert failed(check_thresholds(findings, "ideal")) == set()
    assert passes(check_thresholds(findings, "ideal"))


def test_replies_are_whole_and_repeatable() -> None:
    facts = Facts()
    prompts = evaluation_prompts(facts)[::7]
    oracle = Oracle(facts)
    for name, policy in POLICIES.items():
        replies = policy(facts, prompts, seed=3)
        assert replies == policy(facts, prompts, seed=3)
        assert [r.prompt_id for r in replies] == [p.id for p in prompts]
        assert {r.arm for r in replies} == {name}
        outcomes = {oracle.read(p, r.reply).outcome for p, r in zip(prompts, replies, strict=True)}
        assert (Outcome.DEGENERATE in outcomes) is (name == "gibberish_on_harm")
        assert Outcome.WRONG_LANGUAGE not in outcomes
    assert POLICIES["always_refuse"](facts, prompts, seed=3) != POLICIES["always_refuse"](facts, prompts, seed=4)


def test_a_prompt_of_no_world_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot read"):
        POLICIES["language_blind"](
            Facts(), [Prompt(id="x", messages=user("Good evening."), language="en", kind=PromptKind.HARMFUL)]
        )
