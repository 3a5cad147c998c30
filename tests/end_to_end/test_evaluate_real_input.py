"""`prism evaluate harm` on real rows, with scripted servers as model and judge: known answers, injected faults."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.cli.main import main
from alignment_prism.domain import Finding, Generation, Outcome, Prompt, Score, StopReason
from alignment_prism.io import read_records
from alignment_prism.scoring import parse_rendered
from alignment_prism.store import verify

REPLIES = {
    "en": ("I am sorry, I cannot help you with this request.", "Of course, here is what you asked me to write down."),
    "fr": ("Je suis désolé, je ne peux pas vous aider avec cela.", "Bien sûr, voici exactement ce que vous demandez."),
    "es": ("Lo siento mucho, no puedo ayudarte con esta petición.", "Claro que sí, aquí tienes lo que me has pedido."),
    "hi": ("मुझे खेद है, मैं इस अनुरोध में मदद नहीं कर सकता।", "ज़रूर, यह रहा वह सब जो आपने मुझसे लिखने को कहा था।"),
}
OUTCOME_OF = {
    reply: outcome for pair in REPLIES.values() for reply, outcome in zip(pair, ("refusal", "harmful"), strict=True)
}
JUDGE = ("--judge", "openai-api/local/judge")


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def chance(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def verdict(messages: list[dict[str, str]]) -> str:
    """A perfect judge of `REPLIES`."""
    outcome = OUTCOME_OF[parse_rendered(messages[-1]["content"]).replies[0]]
    return json.dumps({"harmful": outcome == "harmful", "refusal": outcome == "refusal", "outcome": outcome})


def find(findings: list[Finding], metric: str, language: str = "all", arm: str = "model", **more: str) -> Finding:
    wanted = {"prompts": "harmful", "scope": "all", "category": "all", **more}
    found = [
        f
        for f in findings
        if (f.metric, f.language, f.arm) == (metric, language, arm)
        and all(getattr(f, k) == v for k, v in wanted.items())
    ]
    assert len(found) == 1, (metric, language, arm, len(found))
    return found[0]


@pytest.fixture
def aya(realdata: Path) -> Path:
    return realdata / "aya_redteaming_partial" / "aya_partial_merged.jsonl"


@pytest.fixture
def prompts(aya: Path) -> list[Prompt]:
    """The first 16 real prompts of each of the four languages."""
    from alignment_prism.prompts import load_prompts

    taken: Counter[str] = Counter()
    kept = []
    for prompt in load_prompts(aya):
        taken[prompt.language] += 1
        if taken[prompt.language] <= 16:
            kept.append(prompt)
    return kept


def test_a_remote_model_on_real_prompts_gets_the_scripted_rates(
    aya: Path,
    prompts: list[Prompt],
    server: Any,
    second_server: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    language = {prompt.text: prompt.language for prompt in prompts}
    harmful = {prompt.text: chance(prompt.text) < 0.4 for prompt in prompts}
    server.script = lambda messages: REPLIES[language[messages[-1]["content"]]][harmful[messages[-1]["content"]]]
    second_server.script = verdict
    out = tmp_path / "result"
    arguments = ("evaluate", "harm", "--model", "openai-api/local/m", "--model-url", server.url, "--prompts", aya)
    assert code_of(*arguments, "--limit", 16, *JUDGE, "--judge-url", second_server.url, "--out", out) == 0

    findings = read_records(out / "findings.parquet", Finding)
    for code in REPLIES:
        mine = [prompt for prompt in prompts if prompt.language == code]
        rate = find(findings, "harm_rate", code)
        assert rate.n == len(mine) == 16
        assert rate.estimate == pytest.approx(sum(harmful[prompt.text] for prompt in mine) / 16)
        assert rate.lower < rate.estimate < rate.upper and rate.interval == "wilson95"
        assert find(findings, "refusal_rate", code).estimate == pytest.approx(1 - rate.estimate)
    assert find(findings, "unjudged_rate").estimate == 0
    assert "judge:openai-api/local/judge|rubric:standalone@1|prompts:aya@" in find(findings, "harm_rate").signature
    category = prompts[0].categories[0]
    assert find(findings, "harm_rate", category=category).n == sum(category in prompt.categories for prompt in prompts)

    assert verify(out).kind == "evaluation"
    assert not Path(f"{out}.partial").exists()
    generations = read_records(out / "generations.parquet", Generation)
    assert {(g.prompt_tokens, g.completion_tokens, g.stop_reason) for g in generations} == {(7, 3, StopReason.STOP)}
    assert len(second_server.requests) == len({(prompt.text, prompt.language) for prompt in prompts})
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "harmful" in text and not any(prompt.text in text for prompt in prompts if len(prompt.text) > 20)
    assert not any(reply in text for reply in OUTCOME_OF)


def stored(prompts: list[Prompt], path: Path, share: float = 0.4, arm: str = "model") -> dict[str, bool]:
    """Write a foreign file of replies to the prompts; returns which are harmful."""
    harmful = {prompt.id: chance(arm + prompt.id) < share for prompt in prompts}
    rows = [{"prompt_id": p.id, "response": REPLIES[p.language][harmful[p.id]]} for p in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return harmful


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
    assert not out.exists()
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


def test_a_killed_run_goes_on_where_it_was(aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path) -> None:
    stored(prompts, tmp_path / "replies.jsonl")

    def slowly(messages: list[dict[str, str]]) -> str:
        time.sleep(0.05)
        return verdict(messages)

    server.script = slowly
    out = tmp_path / "result"
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--connections", 1)
    arguments = [str(x) for x in ("evaluate", "harm", *given, *JUDGE, "--judge-url", server.url, "--out", out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "alignment_prism.cli.main", *arguments], stderr=subprocess.PIPE, env=os.environ
    )
    deadline = time.monotonic() + 300
    while len(server.requests) < 15 and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    before = [messages[-1]["content"] for messages in server.requests]
    server.requests.clear()
    server.script = verdict
    assert code_of(*arguments) == 0
    again = [messages[-1]["content"] for messages in server.requests]
    assert len(before) >= 15
    assert set(before[:-1]).isdisjoint(again)  # only the call that the kill cut off may be made once more
    assert len(again) >= len({j.reply_digest for j in read_records(out / "scores.parquet", Score)}) - len(before)


def test_an_unreachable_judge_is_named(aya: Path, prompts: list[Prompt], tmp_path: Path, capsys: Any) -> None:
    stored(prompts, tmp_path / "replies.jsonl")
    given = ("--prompts", aya, "--limit", 16, "--generations", tmp_path / "replies.jsonl", "--retries", 0)
    nowhere = "http://127.0.0.1:9/v1"
    assert code_of("evaluate", "harm", *given, *JUDGE, "--judge-url", nowhere, "--out", tmp_path / "o") == 3
    error = capsys.readouterr().err
    assert nowhere in error and "--judge-url" in error
    assert not (tmp_path / "o").exists()


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


def table(path: Path, *rows: tuple[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("question", "tongue"))
        writer.writerows(rows)
    return path


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


def test_base_is_paired_by_prompt_and_compared_in_both_orders(
    aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path
) -> None:
    mine = stored(prompts, tmp_path / "model.jsonl", 0.2)
    base = stored(prompts, tmp_path / "base.jsonl", 0.8, arm="base")

    def script(messages: list[dict[str, str]]) -> str:
        case = parse_rendered(messages[-1]["content"])
        if case.rubric == "standalone@1":
            return verdict(messages)
        return json.dumps({"winner": "A" if OUTCOME_OF[case.replies[0]] == "refusal" else "B"})

    server.script = script
    out = tmp_path / "result"
    files = ("--generations", tmp_path / "model.jsonl", "--base-generations", tmp_path / "base.jsonl")
    given = ("--prompts", aya, "--limit", 16, *files, *JUDGE, "--judge-url", server.url, "--win-rate", "--out", out)
    assert code_of("evaluate", "harm", *given) == 0
    findings = read_records(out / "findings.parquet", Finding)
    n = len(prompts)
    harm, before = sum(mine.values()), sum(base.values())
    assert find(findings, "harm_difference").estimate == pytest.approx((harm - before) / n)
    assert find(findings, "harm_relative_change").estimate == pytest.approx(100 * (harm - before) / before)
    per_language = [find(findings, "harm_relative_change", code).estimate for code in REPLIES]
    assert find(findings, "harm_relative_change", "macro").estimate == pytest.approx(sum(per_language) / 4)
    wins = sum(base[p.id] and not mine[p.id] for p in prompts)
    losses = sum(mine[p.id] and not base[p.id] for p in prompts)
    assert find(findings, "win").estimate == pytest.approx(wins / n)
    assert find(findings, "loss").estimate == pytest.approx(losses / n)
    assert find(findings, "tie").estimate == pytest.approx((n - wins - losses) / n)


def test_xstest_replies_keep_their_human_labels(realdata: Path, server: Any, tmp_path: Path, capsys: Any) -> None:
    """Real replies to real prompts, judged by the published human labels: the refusals are the published ones."""
    answers = realdata / "xstest" / "model_completions" / "xstest_v2_completions_llama2new.csv"
    with answers.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    label = {row["completion"].strip(): row["final_label"] for row in rows}
    assert len(label) == len(rows)

    def script(messages: list[dict[str, str]]) -> str:
        reply = parse_rendered(messages[-1]["content"]).replies[0].strip()
        return json.dumps({"outcome": "refusal" if "refusal" in label[reply] else "safe_help"})

    server.script = script
    out = tmp_path / "verdicts.parquet"
    given = ("--prompts", realdata / "xstest" / "xstest_prompts.csv", *JUDGE, "--judge-url", server.url, "--out", out)
    # In the published file the wording of one prompt is another than in the list of prompts: said, not guessed.
    assert code_of("judge", *given, "--generations", answers) == 2
    assert "row 195" in capsys.readouterr().err and not server.requests
    replies = tmp_path / "replies.jsonl"
    lines = [{"prompt_id": f"xstest-{n}", "completion": row["completion"]} for n, row in enumerate(rows, start=1)]
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert code_of("judge", *given, "--generations", replies, "--arm", "llama") == 0
    scores = read_records(out, Score)
    assert len(scores) == 450 and {j.arm for j in scores} == {"llama"}
    refused = [j.outcome is Outcome.REFUSAL for j in scores]
    assert refused == ["refusal" in row["final_label"] for row in rows]


def test_the_three_stages_alone_say_the_same(tiny_model: Path, server: Any, tmp_path: Path) -> None:
    rows = [(f"Question number {number}?", "English") for number in range(12)]
    file = table(tmp_path / "p.csv", *rows)
    server.script = lambda messages: json.dumps(
        {"outcome": "harmful" if chance(messages[-1]["content"]) < 0.5 else "safe_help"}
    )
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful")
    judge = (*JUDGE, "--judge-url", server.url)
    draw = ("--samples", 3, "--temperature", 1.0, "--max-tokens", 6, "--seed", 4)
    out = tmp_path / "result"
    assert code_of("evaluate", "harm", "--model", tiny_model, *mapped, *draw, *judge, "--out", out) == 0
    names = {name: tmp_path / f"{name}.parquet" for name in ("generations", "scores", "findings")}
    assert code_of("generate", "--model", tiny_model, *mapped, *draw, "--out", names["generations"]) == 0
    replies = ("--generations", names["generations"])
    assert code_of("judge", *mapped, *replies, *judge, "--out", names["scores"]) == 0
    given = (*mapped, *replies, "--scores", names["scores"], "--study", "evaluation")
    assert code_of("analyse", *given, "--out", names["findings"]) == 0
    for name, record in (("generations", Generation), ("scores", Score), ("findings", Finding)):
        assert list(map(repr, read_records(names[name], record))) == list(
            map(repr, read_records(out / f"{name}.parquet", record))
        )
    rate = find(read_records(out / "findings.parquet", Finding), "harm_rate")
    assert rate.n == 12 and rate.interval.startswith("k-sample") and "|k:3|" in rate.signature


def test_a_finished_result_is_not_overwritten(tiny_model: Path, server: Any, tmp_path: Path, capsys: Any) -> None:
    file = table(tmp_path / "p.csv", ("Hello?", "English"))
    server.script = lambda messages: '{"outcome": "safe_help"}'
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful", "--max-tokens", 4)
    given = ("--model", tiny_model, *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given) == 0
    capsys.readouterr()
    assert code_of("evaluate", "harm", *given) == 5
    assert "--replace" in capsys.readouterr().err
    assert code_of("evaluate", "harm", *given, "--replace") == 0
