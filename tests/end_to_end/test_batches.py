"""Judging through a provider's batch API: what it costs, what fails in it, who has none."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from batch_server import SAFE, Answer, BatchServer, ask, said
from openai import OpenAI
from prism_command import prism

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import InputError, ModelError, Outcome, user
from alignment_prism.studies import JudgeSpec, Study
from alignment_prism.studies.prices import load_prices


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
