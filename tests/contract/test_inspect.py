"""The seam to Inspect AI: calls outside tasks, journal, retries, failures, usage, replies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from scripted_provider import PROMPTS, Flaky, Script, replies
from scripted_server import Reply, Server

from alignment_prism.calls.endpoint import Endpoint, is_provider
from alignment_prism.calls.health import PATIENCE
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.one_call import generate
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import (
    InputError,
    ModelError,
    Outcome,
    Sampling,
    StopReason,
    user,
)
from alignment_prism.generation.backends.inspect import generate_remote
from alignment_prism.scoring.comparisons import compare_generations
from alignment_prism.scoring.judge import Judge


def test_providers_are_known_without_opening_them() -> None:
    assert is_provider("openai/gpt-4o") and is_provider("openai-api/local/x") and is_provider("hf/some/model")
    assert not is_provider("CohereLabs/aya-23-8B") and not is_provider("folder")


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


def test_wrong_arguments(script: Script) -> None:
    with pytest.raises(InputError, match="pairwise@2 is pairwise"):
        Judge("scripted/j", rubric="pairwise@2").score(PROMPTS, replies())
    with pytest.raises(InputError, match="belongs to none of the prompts"):
        Judge("scripted/j").score(PROMPTS[:3], replies())
    with pytest.raises(InputError, match="base has no reply"):
        compare_generations(PROMPTS, replies(), replies()[:3], judge="scripted/j")
    assert script.calls == []
