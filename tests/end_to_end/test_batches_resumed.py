"""Batches that a later run takes up: noted, fetched and paid once, and sent again only where the provider has none."""

from __future__ import annotations

import signal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from batch_server import SAFE, Answer, BatchServer, ask, said
from inspect_ai.model._providers._openai_batch import OpenAIBatcher
from openai import NotFoundError

from alignment_prism.calls import endpoint
from alignment_prism.calls.budget import Usage
from alignment_prism.calls.journal import CallJournal


@pytest.fixture
def stopped(batches: BatchServer, tmp_path: Path) -> BatchServer:
    """Whose batch was not yet done when Ctrl-C ended the run."""
    looks = []

    def looked() -> None:
        looks.append("in progress")
        signal.raise_signal(signal.SIGINT)

    batches.looked = looked
    batches.ended = "in_progress", {}
    with pytest.raises(KeyboardInterrupt):
        ask(batches, tmp_path)
    assert len(looks) == 1  # what takes hours is not waited for
    batches.looked = lambda: None
    batches.ended = "completed", {}
    assert [len(calls) for calls in batches.batches] == [6]
    return batches


def test_what_was_in_a_batch_when_a_run_was_stopped_is_fetched_and_paid_once(
    stopped: BatchServer, tmp_path: Path
) -> None:
    assert ask(stopped, tmp_path) == [SAFE] * 6
    assert [len(calls) for calls in stopped.batches] == [6]
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        assert journal.usage == {"batch:openai/gpt-4o": Usage(6, 6000, 600)}


def test_a_cache_holds_answers_and_not_which_batches_hold_calls(stopped: BatchServer, tmp_path: Path) -> None:
    assert len(CallJournal(tmp_path / "calls.jsonl")) == 6 and not len(CallJournal(tmp_path / "cache.jsonl"))
    assert ask(stopped, tmp_path) == [SAFE] * 6
    assert len(CallJournal(tmp_path / "cache.jsonl")) == 6


def test_what_another_run_has_paid_for_is_not_hidden_by_a_note(stopped: BatchServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cache.jsonl").symlink_to(tmp_path / "cache.jsonl")
    (tmp_path / "cache.jsonl").touch()
    assert ask(stopped, tmp_path / "other") == [SAFE] * 6  # which has no note, and sends a batch of its own
    stopped.known = False
    assert ask(stopped, tmp_path) == [SAFE] * 6 and [len(calls) for calls in stopped.batches] == [6, 6]


def test_an_answer_that_cannot_be_read_is_asked_for_again_and_not_fetched_again(
    batches: BatchServer, tmp_path: Path
) -> None:
    batches.answer = lambda body: said(body, "???" if "number 3" in body["messages"][-1]["content"] else SAFE)
    assert ask(batches, tmp_path).count("???") == 1
    batches.answer = said
    assert ask(batches, tmp_path, lambda _, answer: answer.text != "???") == [SAFE] * 6
    assert [len(calls) for calls in batches.batches] == [6, 1]
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        assert journal.usage == {"batch:openai/gpt-4o": Usage(7, 7000, 700)}


def test_a_result_that_is_no_answer_is_not_fetched_again(batches: BatchServer, tmp_path: Path) -> None:
    def filtered(body: dict[str, Any]) -> Answer:
        """What a gateway sends that stops a prompt without asking the model: a completion, but nobody has counted."""
        _, completion = said(body, "")
        choice = {**completion["choices"][0], "finish_reason": "content_filter"}
        return 200, {**completion, "choices": [choice], "usage": None}

    def nothing(body: dict[str, Any]) -> Answer:
        return 200, {**said(body)[1], "choices": []}

    batches.answer = lambda body: (filtered if "number 3" in body["messages"][-1]["content"] else nothing)(body)
    first = ask(batches, tmp_path)
    assert first[3] == "the provider's content filter stops this request" and SAFE not in first
    batches.answer = said
    assert ask(batches, tmp_path) == [SAFE] * 6
    assert [len(calls) for calls in batches.batches] == [6, 6]


class GoogleError(Exception):
    """As the client of Google says that there is no such batch."""

    code = 404


class GrokError(Exception):
    """As the client of Grok says so, by gRPC."""

    def code(self) -> Enum:
        return Enum("StatusCode", ["NOT_FOUND"])["NOT_FOUND"]


@pytest.mark.parametrize("error", [None, GoogleError, GrokError])
def test_a_batch_that_the_provider_does_not_know_any_more_is_sent_again(
    stopped: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    look = OpenAIBatcher._check_batch

    async def as_another_client(*arguments: Any) -> Any:
        try:
            return await look(*arguments)
        except NotFoundError as fault:
            raise fault if error is None else error() from None

    monkeypatch.setattr(OpenAIBatcher, "_check_batch", as_another_client)
    stopped.known = False
    looks = iter(range(100))

    def looked() -> None:
        stopped.known = next(looks) >= 3  # the noted batch; the new one is known

    stopped.looked = looked
    assert ask(stopped, tmp_path) == [SAFE] * 6
    assert [len(calls) for calls in stopped.batches] == [6, 6]


@pytest.mark.parametrize(("place", "sent"), [("completions", []), ("files", [6]), ("batches", [6])])
def test_after_ctrl_c_a_batch_on_its_way_is_noted_and_none_is_begun(
    batches: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, sent: list[int]
) -> None:
    monkeypatch.setattr(endpoint, "_BATCH", 6)  # is sent as soon as there are as many
    batches.asked = {place: lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(KeyboardInterrupt):
        ask(batches, tmp_path)
    assert [len(calls) for calls in batches.batches] == sent
    batches.asked = {}
    assert ask(batches, tmp_path) == [SAFE] * 6
    assert [len(calls) for calls in batches.batches] == [6]
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        assert journal.usage == {"batch:openai/gpt-4o": Usage(6, 6000, 600)}
