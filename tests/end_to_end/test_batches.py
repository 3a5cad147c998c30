"""Judging through a provider's batch API, against a server that plays that of OpenAI: files, batches, results."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai.model._providers._openai_batch import OpenAIBatcher
from openai import NotFoundError, OpenAI
from prism_command import prism

from alignment_prism.calls import endpoint
from alignment_prism.calls.answer import Answer as Reply
from alignment_prism.calls.budget import Usage
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import InputError, ModelError, Outcome, user
from alignment_prism.studies import JudgeSpec, Study
from alignment_prism.studies.prices import load_prices

Answer = tuple[int, dict[str, Any]]


class BatchServer:
    """A batch API.

    Attributes:
        alone: model and messages of every call outside of a batch.
        batches: the calls of every batch.
        refused: HTTP status with which batches are refused; 200 takes them.
        status: with which calls outside of a batch are answered.
        answer: to a call: HTTP status and body.
        ended: status of a batch when it is looked at, with what else is said of it.
        known: whether batches that were taken are known.
        lines: makes the file of results of what it would be.
        looked: called when a batch is looked at.
        asked: what is called before a request is answered, by the last part of its path.
        url: its address.
    """

    def __init__(self) -> None:
        self.alone: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.refused = self.status = 200
        self.answer: Callable[[dict[str, Any]], Answer] = said
        self.ended: tuple[str, dict[str, Any]] = ("completed", {})
        self.known = True
        self.lines: Callable[[list[str]], list[str]] = lambda lines: lines
        self.looked: Callable[[], None] = lambda: None
        self.asked: dict[str, Callable[[], None]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.get(self.path.rpartition("/")[2], lambda: None)()
                if self.path.endswith("/files"):
                    lines = [json.loads(line) for line in body.decode().splitlines() if line.startswith("{")]
                    outer.batches.append(lines)
                    name = f"f{len(outer.batches) - 1}"
                    self._send({"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x",
                                "purpose": "batch", "status": "processed"})  # fmt: skip
                elif self.path.endswith("/batches"):
                    self._send(self._batch(json.loads(body)["input_file_id"], "validating"), outer.refused)
                else:
                    outer.alone.append(json.loads(body))
                    self._send(said(outer.alone[-1])[1], outer.status)

            def do_GET(self) -> None:
                name = re.search(r"f\d+", self.path)
                assert name is not None
                calls = outer.batches[int(name[0][1:])]
                if "/batches/" in self.path:
                    outer.looked()
                    status, more = outer.ended
                    if status == "completed":
                        counts = {"total": len(calls), "completed": len(calls), "failed": 0}
                        more = {"output_file_id": name[0], "request_counts": counts}
                    self._send(self._batch(name[0], status, **more), 200 if outer.known else 404)
                    return
                results = []
                for call in calls:
                    status, body = outer.answer(call["body"])
                    response = {"status_code": status, "request_id": "r", "body": body}
                    results.append({"id": "r", "custom_id": call["custom_id"], "response": response, "error": None})
                lines = [json.dumps(result, ensure_ascii=False) for result in results]
                self._send("\n".join(outer.lines(lines)).encode())

            def _batch(self, name: str, status: str, **more: Any) -> dict[str, Any]:
                return {"id": f"b-{name}", "object": "batch", "endpoint": "/v1/chat/completions", "created_at": 0,
                        "input_file_id": name, "completion_window": "24h", "status": status, **more}  # fmt: skip

            def _send(self, body: Any, status: int = 200) -> None:
                body = body if status == 200 else {"error": {"message": "no", "type": "x", "code": None}}
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()


SAFE = '{"outcome": "safe_help"}'


def said(body: dict[str, Any], content: str = SAFE) -> Answer:
    """A completion of 1,000 tokens in and 100 out."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    fields = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "usage": usage}
    return 200, {**fields, "choices": [choice]}


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(endpoint, "_BATCH_DELAY", 0.01)
    server = BatchServer()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = [{"id": f"p{n}", "prompt": f"What about number {n}?", "language": "en", "kind": "harmful"} for n in range(6)]
    replies = [{"prompt_id": f"p{n}", "response": f"That is a fine number, I mean number {n}."} for n in range(6)]
    for name, content in (("prompts", rows), ("replies", replies)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return tmp_path


def asked(server: BatchServer, *more: object) -> tuple[object, ...]:
    return ("evaluate", "harm", "--prompts", "prompts.jsonl", "--generations", "replies.jsonl", "--judge",
            "openai/gpt-4o", "--judge-url", server.url, "--judge-batch", *more)  # fmt: skip


def test_a_judge_in_batches_costs_what_the_table_says_and_is_the_same_judge(batches: BatchServer, files: Path) -> None:
    before = prism(*asked(batches, "--out", "o", "--dry-run"), folder=files)
    assert before.returncode == 0 and "judge by batch:openai/gpt-4o: 1 step, 6 calls" in before.stdout
    assert not batches.alone and not batches.batches
    done = prism(*asked(batches, "--out", "o"), folder=files)
    assert done.returncode == 0, done.stderr
    # 6 x (1,000 x $1.25 + 100 x $5) / 1,000,000: half of $2.50 and $10
    assert "batch:openai/gpt-4o: 6 calls, 6,000 tokens read, 600 written, $0.0105" in done.stderr
    assert [len(calls) for calls in batches.batches] == [6]
    (probe,) = batches.alone
    assert "number" not in probe["messages"][-1]["content"]
    study = Study.open(files / "o")
    assert {one.scorer for one in study.scores() if one.name == "outcome"} == {"openai/gpt-4o"}
    assert list(study.usage()) == ["batch:openai/gpt-4o"]
    again = [one for one in asked(batches, "--out", "o") if one != "--judge-batch"]
    assert prism(*again, folder=files).returncode == 0 and len(batches.batches) == 1  # how it is asked is in no key


def test_a_call_that_fails_in_a_batch_is_counted(batches: BatchServer, files: Path) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        text = body["messages"][-1]["content"]
        return (400, {"error": {"message": "no", "code": "content_filter"}}) if "number 3" in text else said(body)

    batches.answer = answer
    done = prism(*asked(batches, "--out", "o", "--retries", 0), folder=files)
    assert done.returncode == 0 and "1 of 6 replies are unjudged" in done.stderr
    assert "HTTP 400: the provider's content filter stops this request" in done.stderr
    labels = [one.label for one in Study.open(files / "o").scores() if one.name == "outcome"]
    assert sorted(labels) == sorted([Outcome.SAFE_HELP] * 5 + [Outcome.UNJUDGED])


def ask(
    server: BatchServer,
    folder: Path,
    readable: Callable[[str, Reply], bool] | None = None,
    model: str = "openai/gpt-4o",
) -> list[str]:
    """The answers to six questions, or why there is none; journalled in the folder, with the cache beside it."""
    requests = {str(n): Request(user(f"What about number {n}?")) for n in range(6)}
    endpoint = Endpoint(model, server.url, batch=True, retries=0, timeout=30.0)
    with CallJournal(folder / "calls.jsonl", cache=CallJournal(folder / "cache.jsonl")) as journal:
        answers = ask_all(endpoint, requests, journal=journal, readable=readable)
        return [answer.error or answer.text for answer in answers.values()]


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


def test_every_line_of_the_results_is_about_its_own_call(batches: BatchServer, tmp_path: Path) -> None:
    split = SAFE + " \u2028 \x85 and so on"  # two characters at which text, but not JSON lines, is often split

    def lines(whole: list[str]) -> list[str]:
        name = json.loads(whole[2])["custom_id"]
        expired = {"custom_id": name, "response": None, "error": {"code": "batch_expired", "message": "too late"}}
        foreign = json.dumps({**json.loads(whole[0]), "custom_id": "of somebody else"})
        return ["", whole[5], foreign, whole[4], '{"torn', whole[3], json.dumps(expired), whole[0]]

    batches.lines = lines
    batches.answer = lambda body: said(body, split if "number 3" in body["messages"][-1]["content"] else SAFE)
    missing = "the call ended in an error (no_result_in_batch)"
    expired = "the call ended in an error (batch_expired)"
    assert ask(batches, tmp_path) == [SAFE, missing, expired, split, SAFE, SAFE]
    batches.lines = lambda whole: whole
    assert ask(batches, tmp_path) == [SAFE, SAFE, SAFE, split, SAFE, SAFE]
    assert [len(calls) for calls in batches.batches] == [6, 2]


@pytest.mark.parametrize(
    ("status", "more", "said_of_it"),
    [
        ("expired", {}, "batch_without_results"),
        ("failed", {"errors": {"data": [{"code": "token_limit_exceeded", "message": "no"}]}}, "token_limit_exceeded"),
    ],
)
def test_a_batch_that_ends_without_results_is_not_waited_for(
    batches: BatchServer, tmp_path: Path, status: str, more: dict[str, Any], said_of_it: str
) -> None:
    batches.ended = status, more
    assert ask(batches, tmp_path) == [f"the call ended in an error ({said_of_it})"] * 6
    batches.ended = "completed", {}
    assert ask(batches, tmp_path) == [SAFE] * 6
    assert [len(calls) for calls in batches.batches] == [6, 6]


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


class Together:
    """As far as Inspect uses the client of Together: by it, files and batches are sent as to OpenAI."""

    def __init__(self, **given: Any) -> None:
        self.client = OpenAI(api_key=given["api_key"], base_url=given["base_url"])
        self.files = self.batches = self

    def upload(self, name: str, *, purpose: str) -> Any:
        return self.client.files.create(file=Path(name), purpose="batch")

    async def create(self, *, endpoint: Any, input_file_id: str) -> Any:
        window: Any = "24h"
        batch = self.client.batches.create(input_file_id=input_file_id, endpoint=endpoint, completion_window=window)
        return SimpleNamespace(job=batch)


def test_a_batch_of_together_that_has_expired_is_not_waited_for(
    batches: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = SimpleNamespace(Together=Together, AsyncTogether=Together)
    monkeypatch.setitem(sys.modules, "together", client)  # type: ignore[arg-type]
    monkeypatch.setattr(
        "inspect_ai._util.version.version", lambda name: "2.0.0" if name == "together" else version(name)
    )
    monkeypatch.setenv("TOGETHER_API_KEY", "none")
    batches.ended = "EXPIRED", {"created_at": "2026-01-01T00:00:00Z"}
    assert ask(batches, tmp_path, model="together/m") == ["the call ended in an error (batch_without_results)"] * 6


@pytest.mark.parametrize(("alone", "refused", "sent"), [(401, 200, 0), (200, 400, 1)])
def test_who_takes_no_batch_is_given_up(batches: BatchServer, alone: int, refused: int, sent: int) -> None:
    batches.status, batches.refused = alone, refused
    with pytest.raises(ModelError, match="the model cannot be used"):
        ask_all(Endpoint("openai/gpt-4o", batches.url, batch=True, retries=0),
                {str(n): Request(user(f"question {n}")) for n in range(6)})  # fmt: skip
    assert len(batches.batches) == sent


@pytest.mark.parametrize("judge", ["openai-api/local/j", "nano/oracle"])
def test_who_has_no_batch_api_is_refused_before_any_call(batches: BatchServer, files: Path, judge: str) -> None:
    given = [judge if one == "openai/gpt-4o" else one for one in asked(batches, "--out", "o")]
    done = prism(*given, folder=files)
    assert done.returncode == 2 and "no batch API" in done.stderr and not (files / "o").exists() and not batches.alone


def test_prices_in_batches() -> None:
    prices = load_prices()
    assert prices.of("batch:anthropic/claude-opus-4-5-20251101") == (2.5, 12.5)
    assert prices.of("batch:together/some/model") is None and prices.of("together/some/model") is None
    assert JudgeSpec(model="openai/gpt-4o", batch=True).billed_as == "batch:openai/gpt-4o"
    with pytest.raises(InputError, match="no batch API"):
        Endpoint("mistral/m", batch=True).check_address()
