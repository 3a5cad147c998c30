"""The seam to Inspect AI: calls outside tasks, journal, retries, failures, usage, judging and generating."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Reply, Server

from alignment_prism.calls.endpoint import Endpoint, is_provider
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.one_call import generate
from alignment_prism.calls.runner import PATIENCE, Request, ask_all
from alignment_prism.domain import (
    Generation,
    InputError,
    ModelError,
    Outcome,
    Prompt,
    Sampling,
    StopReason,
    Winner,
    user,
)
from alignment_prism.evaluation import reply_findings
from alignment_prism.generation.backends.inspect import generate_remote
from alignment_prism.scoring import parse_rendered
from alignment_prism.scoring.comparisons import compare_generations
from alignment_prism.scoring.judge import Judge, require_verdicts
from alignment_prism.scoring.scorer import Scorer

PROMPTS = [Prompt(f"p{n}", user(f"Please tell me about number {n}."), "en") for n in range(20)]
REFUSAL = "I am sorry, but I cannot help you with this one."


class Flaky(Exception):
    """A failure that the provider says may pass."""


class Script:
    """What the scripted provider does.

    Attributes:
        answer: from the last message's text to the answer, or to one that is awaited; may raise.
        calls: texts it was asked.
        configs: sampling settings it was asked with.
        busiest: most calls under way at once.
        refuse: is handed the prompts that replies to judge are to.
    """

    def __init__(self) -> None:
        self.answer: Callable[[str], Any] = lambda text: "ok"
        self.calls: list[str] = []
        self.configs: list[Any] = []
        self.busiest = 0
        self.busy = 0
        self.refuse: Callable[[Any], None] = lambda prompts: None


@pytest.fixture(scope="module")
def provider() -> Script:
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi

    script = Script()

    @modelapi(name="scripted")
    def scripted() -> type[ModelAPI]:
        class Scripted(ModelAPI):
            async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
                script.calls.append(input[-1].text)
                script.configs.append(config)
                script.busy += 1
                script.busiest = max(script.busiest, script.busy)
                try:
                    await asyncio.sleep(0)
                    answer = script.answer(input[-1].text)
                    if inspect.isawaitable(answer):
                        answer = await answer
                finally:
                    script.busy -= 1
                if isinstance(answer, ModelOutput):
                    return answer
                output = ModelOutput.from_content(self.model_name, answer)
                output.usage = ModelUsage(input_tokens=11, output_tokens=4, total_tokens=15)
                return output

            def check_judging(self, prompts: Any) -> None:
                script.refuse(prompts)

            def should_retry(self, ex: Exception) -> bool:
                return isinstance(ex, Flaky)

            def retry_wait(self) -> Any:
                from tenacity import wait_none

                return wait_none()

            def max_connections(self) -> int:
                return 8

        return Scripted

    return script


@pytest.fixture
def script(provider: Script) -> Iterator[Script]:
    provider.__init__()  # type: ignore[misc]
    yield provider


def replies(text: str = "", arm: str = "m") -> list[Generation]:
    return [Generation(p.id, arm, "x", text or f"Here is what there is to say about {p.id}.") for p in PROMPTS]


def test_providers_are_known_without_opening_them() -> None:
    assert is_provider("openai/gpt-4o") and is_provider("openai-api/local/x") and is_provider("hf/some/model")
    assert not is_provider("CohereLabs/aya-23-8B") and not is_provider("folder")


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
    checkable = [Prompt("a", user("2 + 2?"), "en", reference="4"), Prompt("b", user("2 + 3?"), "en")]
    script.answer = lambda text: '{"outcome": "safe_help", "correct": true}'
    generations = [Generation(p.id, "m", "x", "It is 4.") for p in checkable]
    scores = Judge("scripted/j").score(checkable, generations)
    assert [(s.prompt_id, s.name, s.value) for s in scores if s.name != "outcome"] == [("a", "correct", 1.0)]
    assert [s.prompt_id for s in scores if s.name == "outcome"] == ["a", "b"]
    assert "\n4\n" in script.calls[0] and parse_rendered(script.calls[0]).reference == "4"
    empty = Judge("scripted/j").score(checkable, [Generation("a", "m", "x", "")])
    assert [(s.name, s.label) for s in empty[:2]] == [("guard", "degenerate"), ("outcome", "degenerate")]
    assert [(s.name, s.label, s.value) for s in empty[2:]] == [("correct", "", 0.0)]


def test_passing_failures_are_retried_and_lasting_ones_counted(script: Script, tmp_path: Path) -> None:
    seen: set[str] = set()

    def answer(text: str) -> str:
        if "number 5." in text:
            raise RuntimeError("this one never works")
        if text not in seen:
            seen.add(text)
            raise Flaky("try again")
        return '{"outcome": "safe_help"}'

    script.answer = answer
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        found = Judge("scripted/j", journal=journal).score(PROMPTS, replies())
        assert [j.outcome is Outcome.UNJUDGED for j in found] == [p.id == "p5" for p in PROMPTS]
        assert "RuntimeError" in found[5].error and "never works" not in found[5].error and len(journal) == 19
    script.calls.clear()
    script.answer = lambda text: '{"outcome": "safe_help"}'
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        again = Judge("scripted/j", journal=journal).score(PROMPTS, replies())
    assert len(script.calls) == 1 and again[5].outcome is Outcome.SAFE_HELP


def test_a_model_that_only_fails_is_given_up_and_nothing_is_lost(script: Script, tmp_path: Path) -> None:
    def answer(text: str) -> str:
        if len(script.calls) > 6:
            raise RuntimeError("broken")
        return '{"outcome": "safe_help"}'

    script.answer = answer
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        with pytest.raises(ModelError, match="broken") as error:
            Judge("scripted/j", journal=journal, max_connections=1).score(PROMPTS, replies())
        assert len(journal) == 6 and "6 of 20 answers are kept" in error.value.what
    assert len(script.calls) == 6 + PATIENCE + 1  # and one to find out whether it answers at all


def test_answers_under_way_when_a_model_is_given_up_are_kept(script: Script, tmp_path: Path) -> None:
    failed = asyncio.Event()

    async def late() -> str:
        await asyncio.wait_for(failed.wait(), 60)
        await asyncio.sleep(1)  # until the failure has come through to those who take the next call
        return "late"

    def answer(text: str) -> Any:
        if text == "text 3":
            failed.set()
            raise ModelError("out of order")
        return late() if text != "text 0" else "first"

    script.answer = answer
    requests = {str(n): Request(user(f"text {n}")) for n in range(20)}
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        with pytest.raises(ModelError, match="out of order"):
            ask_all(Endpoint("scripted/x", connections=3), requests, journal=journal)
        assert len(script.calls) == 4 and len(journal) == 3  # the two beside the failure, and the first


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(
    "content",
    ["plain", "<think>first</think>then", "<think>never ended", "", None, "cut \ud83d", '{"a": "<think>b</think>"}'],
)
def test_a_call_without_the_providers_record_is_the_same_call(content: str | None, seed: int | None) -> None:
    """The request that is sent and the output that is read, beside the provider's own way."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    server = Server()
    server.script = lambda messages: Reply(content, stop="length")
    messages = [
        ChatMessageSystem(content="Judge."),
        ChatMessageUser(content="Wie geht’s?"),
        ChatMessageAssistant(content="Gut."),
        ChatMessageUser(content="Und <b>jetzt</b>?"),
    ]

    async def both() -> tuple[Any, Any]:
        async with Endpoint("openai-api/local/m", server.url, top_p=0.9, max_tokens=7).open() as model:
            config = model.config.model_copy(update={"seed": seed})
            theirs = await model.api.generate(messages, [], "none", config)
            return await generate(model.api, messages, config), theirs[0]  # type: ignore[index]

    mine, theirs = asyncio.run(both())
    server.close()
    assert server.bodies[0] == server.bodies[1] and server.bodies[0]["max_tokens"] == 7
    assert (mine.completion, mine.stop_reason, mine.usage) == (theirs.completion, theirs.stop_reason, theirs.usage)
    assert mine.choices[0].message.content == theirs.choices[0].message.content


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


def test_connections_bound_the_calls_under_way_and_progress_reaches_the_end(script: Script) -> None:
    ticks: list[tuple[int, int]] = []
    endpoint = Endpoint("scripted/x", connections=3)
    requests = {str(n): Request(user(f"text {n}")) for n in range(40)}
    three = asyncio.Event()

    async def together(text: str) -> str:
        if script.busy == 3:
            three.set()
        if text != "text 0":  # which goes alone
            await asyncio.wait_for(three.wait(), 60)
        return "ok"

    script.answer = together
    answers = ask_all(endpoint, requests, progress=lambda done, total: ticks.append((done, total)))
    assert list(answers) == list(requests) and all(answer.text == "ok" for answer in answers.values())
    assert script.busiest == 3
    assert ticks[0] == (0, 40) and ticks[-1] == (40, 40) and ticks == sorted(ticks)


def test_calls_work_where_an_event_loop_runs_already(script: Script) -> None:
    async def notebook() -> int:
        return len(ask_all(Endpoint("scripted/x"), {"a": Request(user("hello"))}))

    assert asyncio.run(notebook()) == 1


def test_remote_replies_carry_counts_stops_and_seeds(script: Script, tmp_path: Path) -> None:
    from inspect_ai.model import ModelOutput

    def answer(text: str) -> Any:
        if "number 1." in text:
            return ModelOutput.from_content("x", "cut here", stop_reason="max_tokens")
        if "number 2." in text:
            raise ValueError("This model's maximum context length is 8 tokens")
        if "number 3." in text:
            return ModelOutput.from_content("x", "", stop_reason="content_filter")
        return f"reply to {text}"

    script.answer = answer
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=33, samples=2, seed=5)
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        found = generate_remote("scripted/m", PROMPTS[:5], arm="m", sampling=sampling, journal=journal)
        assert [(g.prompt_id, g.sample) for g in found] == [(p.id, k) for p in PROMPTS[:5] for k in (0, 1)]
        stops = [g.stop_reason for g in found[::2]]
        assert stops == [StopReason.STOP, StopReason.MAX_TOKENS, StopReason.CONTEXT, StopReason.ERROR, StopReason.STOP]
        assert (found[0].prompt_tokens, found[0].completion_tokens, found[0].temperature) == (11, 4, 0.7)
        assert found[4].reply == found[6].reply == "" and "filter" in found[6].error
        config = script.configs[0]
        assert (config.temperature, config.top_p, config.max_tokens) == (0.7, 0.9, 33)
        assert {config.seed for config in script.configs} == {5, 6}
        script.calls.clear()
        again = generate_remote("scripted/m", PROMPTS[:5], arm="m", sampling=sampling, journal=journal)
    assert again == found
    assert len(script.calls) == 4  # only the calls without an answer are made again


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


def test_wrong_arguments(script: Script) -> None:
    with pytest.raises(InputError, match="pairwise@2 is pairwise"):
        Judge("scripted/j", rubric="pairwise@2").score(PROMPTS, replies())
    with pytest.raises(InputError, match="belongs to none of the prompts"):
        Judge("scripted/j").score(PROMPTS[:3], replies())
    with pytest.raises(InputError, match="base has no reply"):
        compare_generations(PROMPTS, replies(), replies()[:3], judge="scripted/j")
    assert script.calls == []
