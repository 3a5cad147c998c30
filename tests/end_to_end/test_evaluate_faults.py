"""`prism evaluate harm` when judge, model, prompts or replies are not what they should be: nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from forked import forks
from scripted_evaluation import JUDGE, chance, code_of, find, stored, table, verdict
from scripted_server import Reply

from alignment_prism.domain import Finding, Generation, Outcome, Prompt, Score, StopReason
from alignment_prism.io import read_records
from alignment_prism.scoring import parse_rendered

pytestmark = pytest.mark.usefixtures("no_report")


def test_nonsense_verdicts_are_counted_and_in_no_rate(
    aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmful = stored(prompts, tmp_path / "replies.jsonl")

    def script(messages: list[dict[str, str]]) -> str:
        case = parse_rendered(messages[-1]["content"])
        return "Hmm, hard to say!" if chance(case.text) < 0.25 else verdict(messages)

    server.script = script
    out = tmp_path / "result"
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl")
    assert code_of("evaluate", "harm", *given, *JUDGE, "--judge-url", server.url, "--out", out) == 0
    judged = [prompt for prompt in prompts if chance(prompt.text) >= 0.25]
    findings = read_records(out / "findings.parquet", Finding)
    rate, unjudged = find(findings, "harm_rate"), find(findings, "unjudged_rate")
    assert 0 < len(judged) < len(prompts)
    assert (rate.n, unjudged.n) == (len(judged), len(prompts))
    assert rate.estimate == pytest.approx(sum(harmful[p.id] for p in judged) / len(judged))
    assert unjudged.estimate == pytest.approx(1 - len(judged) / len(prompts))
    raw = [j.raw for j in read_records(out / "scores.parquet", Score) if j.outcome is Outcome.UNJUDGED]
    assert set(raw) == {"Hmm, hard to say!"} and len(raw) == len(prompts) - len(judged)
    assert f"{len(raw)} of {len(prompts)} replies are unjudged" in capsys.readouterr().err


def test_a_judge_that_fails_halfway_loses_nothing_and_no_call_is_made_twice(
    aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(prompts, tmp_path / "replies.jsonl")
    server.script = lambda messages: verdict(messages) if len(server.requests) <= 24 else 401
    out = tmp_path / "result"
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--connections", 4)
    arguments = ("evaluate", "harm", *given, *JUDGE, "--judge-url", server.url, "--out", out)
    assert code_of(*arguments) == 3
    assert not (out / "findings.parquet").exists()
    error = capsys.readouterr().err
    assert "401" in error and "API key" in error and server.url in error and "24 of" in error
    answered = [messages[-1]["content"] for messages in server.requests[:24]]
    server.requests.clear()
    server.script = verdict
    assert code_of(*arguments) == 0
    again = [messages[-1]["content"] for messages in server.requests]
    assert not set(answered) & set(again)
    assert len(set(answered)) == 24 and len(again) == len(set(again))
    assert find(read_records(out / "findings.parquet", Finding), "unjudged_rate").estimate == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path) -> None:
    stored(prompts, tmp_path / "replies.jsonl")

    server.script = lambda messages: Reply(verdict(messages), fault="late" if len(server.requests) > 15 else "")
    out = tmp_path / "result"
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--connections", 1)
    arguments = [str(x) for x in ("evaluate", "harm", *given, *JUDGE, "--judge-url", server.url, "--out", out)]
    with forks("alignment_prism.cli.evaluate", "alignment_prism.studies.run", "openai") as prism:
        process = prism.start(arguments, folder=tmp_path, env=os.environ, out=tmp_path / "out", err=tmp_path / "err")
        server.wait_for(16)  # the last is not answered
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    server.go_on.set()
    before = [messages[-1]["content"] for messages in server.requests]
    server.requests.clear()
    server.script = verdict
    assert code_of(*arguments) == 0
    again = [messages[-1]["content"] for messages in server.requests]
    assert len(before) == 16
    assert set(before[:-1]).isdisjoint(again)  # only the call that the kill cut off may be made once more
    assert len(again) >= len({j.reply_digest for j in read_records(out / "scores.parquet", Score)}) - len(before)


def test_an_unreachable_judge_is_named(aya: Path, prompts: list[Prompt], tmp_path: Path, capsys: Any) -> None:
    stored(prompts, tmp_path / "replies.jsonl")
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--retries", 0)
    nowhere = "http://127.0.0.1:9/v1"
    assert code_of("evaluate", "harm", *given, *JUDGE, "--judge-url", nowhere, "--out", tmp_path / "o") == 3
    error = capsys.readouterr().err
    assert nowhere in error and "--judge-url" in error
    assert not (tmp_path / "o" / "findings.parquet").exists()


@pytest.mark.parametrize(
    ("judge", "word"), [("nowhere/judge", "not recognized"), ("openai-api/unheard/judge", "UNHEARD_API_KEY")]
)
def test_a_judge_that_cannot_be_opened(
    aya: Path, prompts: list[Prompt], tmp_path: Path, capsys: Any, judge: str, word: str
) -> None:
    stored(prompts, tmp_path / "replies.jsonl")
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--judge", judge)
    assert code_of("evaluate", "harm", *given, "--out", tmp_path / "o") == 3
    assert word in capsys.readouterr().err


def test_an_unknown_language_stops_before_any_work(server: Any, tmp_path: Path, capsys: Any) -> None:
    file = table(tmp_path / "p.csv", ("How are you?", "English"), ("nuqneH", "Klingon"))
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful")
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    assert code_of("evaluate", "harm", *model, *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert "Klingon" in error and "p.csv" in error and "--languages" in error
    assert server.requests == []


def test_a_prompt_longer_than_the_context_is_counted_and_in_no_rate(
    tiny_model: Path, server: Any, tmp_path: Path, capsys: Any
) -> None:
    file = table(tmp_path / "p.csv", ("Short one?", "English"), ("Long " * 60, "English"), ("Другой?", "ru"))
    server.script = lambda messages: '{"outcome": "safe_help"}'
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful", "--max-tokens", 8)
    out = tmp_path / "result"
    given = ("--model", tiny_model, *mapped, *JUDGE, "--judge-url", server.url, "--out", out)
    assert code_of("evaluate", "harm", *given) == 0
    generations = read_records(out / "generations.parquet", Generation)
    assert [g.stop_reason is StopReason.CONTEXT for g in generations] == [False, True, False]
    assert generations[1].reply == "" and generations[1].completion_tokens == 0 and generations[1].prompt_tokens > 96
    assert all(len(g.weights) == 16 for g in generations)
    findings = read_records(out / "findings.parquet", Finding)
    assert find(findings, "harm_rate").n == 2
    assert find(findings, "unjudged_rate").estimate == pytest.approx(1 / 3)
    assert "longer than the model's context" in capsys.readouterr().err


def test_a_model_folder_without_chat_template(tiny_model: Path, server: Any, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    file = table(tmp_path / "p.csv", ("Hello?", "English"))
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful")
    given = ("--model", folder, *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given) == 3
    error = capsys.readouterr().err
    assert "chat template" in error and str(folder) in error


@pytest.mark.parametrize("model", ["./no/such/folder", "nobody/no-such-model-0"])
def test_a_model_that_is_not_there(model: str, server: Any, tmp_path: Path, capsys: Any) -> None:
    file = table(tmp_path / "p.csv", ("Hello?", "English"))
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful")
    given = ("--model", model, *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given) == 3
    assert model in capsys.readouterr().err


def test_stored_replies_that_do_not_fit_the_prompts(
    aya: Path, prompts: list[Prompt], tmp_path: Path, capsys: Any
) -> None:
    replies = tmp_path / "replies.jsonl"
    stored(prompts, replies)
    lines = replies.read_text().splitlines()
    judge = (*JUDGE, "--judge-url", "http://127.0.0.1:9/v1")
    given = ("--prompts", aya, "--limit", 16, "--generations", replies, *judge, "--out", tmp_path / "o")
    replies.write_text("\n".join(lines[:-2]))
    assert code_of("evaluate", "harm", *given) == 2
    error = capsys.readouterr().err
    assert "2 prompt(s) lack a reply" in error and prompts[-1].id in error
    replies.write_text("\n".join([*lines, json.dumps({"prompt_id": "never-asked", "response": "x"})]))
    assert code_of("evaluate", "harm", *given) == 2
    assert "never-asked" in capsys.readouterr().err
