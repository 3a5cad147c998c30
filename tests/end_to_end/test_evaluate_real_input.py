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
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.cli.main import main
from alignment_prism.domain import Finding, Generation, Outcome, Prompt, PromptKind, Score, StopReason
from alignment_prism.io import read_records, write_records
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
    """The real prompts that `--limit 16` takes: as many in each of the four languages."""
    from alignment_prism.prompts import load_prompts
    from alignment_prism.studies.sources import limited

    return limited(load_prompts(aya), 16)


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
    assert "judge:openai-api/local/judge|rubric:standalone@2|prompts:aya@" in find(findings, "harm_rate").signature
    category = prompts[0].categories[0]
    assert find(findings, "harm_rate", category=category).n == sum(category in prompt.categories for prompt in prompts)

    for folder in (path.parent for path in out.glob("*/*/manifest.json")):
        verify(folder)
    assert (out / "report.html").is_file()
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


def test_base_is_paired_by_prompt_and_compared_on_general_prompts_in_both_orders(
    aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path, capsys: Any
) -> None:
    general = [replace(p, id=f"g-{p.id}", kind=PromptKind.GENERAL, scope=None, categories=()) for p in prompts[::2]]
    write_records(tmp_path / "general.parquet", general)
    mine = stored([*prompts, *general], tmp_path / "model.jsonl", 0.2)
    base = stored([*prompts, *general], tmp_path / "base.jsonl", 0.8, arm="base")

    def script(messages: list[dict[str, str]]) -> str:
        case = parse_rendered(messages[-1]["content"])
        if case.rubric == "standalone@2":
            return verdict(messages)
        return json.dumps({"winner": "A" if OUTCOME_OF[case.replies[0]] == "refusal" else "B"})

    server.script = script
    out = tmp_path / "result"
    files = ("--generations", tmp_path / "model.jsonl", "--base-generations", tmp_path / "base.jsonl")
    judge = (*JUDGE, "--judge-url", server.url, "--win-rate", "--limit", 16, "--out", out)
    assert code_of("evaluate", "harm", "--prompts", aya, "--keep-going", *files, *judge) == 2
    assert "none of the prompts is one" in capsys.readouterr().err and not server.requests
    given = ("--prompts", aya, "--prompts", tmp_path / "general.parquet", *files, *judge)
    assert code_of("evaluate", "harm", *given) == 0
    findings = read_records(out / "findings.parquet", Finding)
    n = len(prompts)
    harm, before = (sum(side[p.id] for p in prompts) for side in (mine, base))
    assert find(findings, "harm_difference").estimate == pytest.approx((harm - before) / n)
    assert find(findings, "harm_relative_change").estimate == pytest.approx(100 * (harm - before) / before)
    wins = sum(base[p.id] and not mine[p.id] for p in general)
    losses = sum(mine[p.id] and not base[p.id] for p in general)
    assert find(findings, "win", prompts="general").estimate == pytest.approx(wins / len(general))
    assert find(findings, "loss", prompts="general").estimate == pytest.approx(losses / len(general))
    ties = len(general) - wins - losses
    assert find(findings, "tie", prompts="general").estimate == pytest.approx(ties / len(general))
    assert not [row for row in findings if row.metric == "win" and row.prompts != "general"]


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
    assert rate.n == 12 and rate.interval.startswith("wilson-clustered") and "|k:3|" in rate.signature


def test_a_finished_evaluation_is_shown_again_and_another_does_not_take_its_place(
    tiny_model: Path, server: Any, tmp_path: Path, capsys: Any
) -> None:
    file = table(tmp_path / "p.csv", ("Hello?", "English"), ("Who is there?", "English"))
    server.script = lambda messages: '{"outcome": "safe_help"}'
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful", "--max-tokens", 4)
    given = ("--model", tiny_model, *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given, "--limit", 1) == 0
    (folder,) = (tmp_path / "o" / "reply").iterdir()
    made = (folder / "generations.parquet").stat().st_mtime_ns
    server.requests.clear()
    assert code_of("evaluate", "harm", *given, "--limit", 1) == 0
    assert (folder / "generations.parquet").stat().st_mtime_ns == made and not server.requests
    assert "replies of model: done before" in capsys.readouterr().err
    before = (tmp_path / "o" / "findings.parquet").read_bytes()
    assert code_of("evaluate", "harm", *given) == 5
    error = capsys.readouterr().err
    assert "findings of another study" in error and "prompt_limit: 1 -> none" in error and "--replace" in error
    assert (tmp_path / "o" / "findings.parquet").read_bytes() == before
    assert code_of("evaluate", "harm", *given, "--replace") == 0
    assert len(read_records(tmp_path / "o" / "generations.parquet", Generation)) == 2


def test_a_larger_limit_asks_for_what_is_new_only(
    aya: Path, prompts: list[Prompt], server: Any, second_server: Any, tmp_path: Path
) -> None:
    language = {prompt.text: prompt.language for prompt in prompts}
    server.script = lambda messages: REPLIES[language[messages[-1]["content"]]][0]
    second_server.script = verdict
    given = ("--model", "openai-api/local/m", "--model-url", server.url, "--prompts", aya, *JUDGE)
    given = (*given, "--judge-url", second_server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given, "--limit", 8) == 0
    few = len(server.requests)
    assert code_of("evaluate", "harm", *given, "--limit", 16, "--replace") == 0
    assert few == 32 and len(server.requests) == len(second_server.requests) == 64
    assert len(read_records(tmp_path / "o" / "generations.parquet", Generation)) == 64


def test_replies_of_a_model_whose_chat_template_changed_are_made_again(
    tiny_model: Path, server: Any, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    file = table(tmp_path / "p.csv", ("Hello?", "English"))
    server.script = lambda messages: '{"outcome": "safe_help"}'
    mapped = ("--prompts", file, "--map", "prompt=question,language=tongue", "--kind", "harmful", "--max-tokens", 8)
    given = ("--model", tmp_path / "model", *mapped, *JUDGE, "--judge-url", server.url, "--out", tmp_path / "o")
    assert code_of("evaluate", "harm", *given) == 0
    before = read_records(tmp_path / "o" / "generations.parquet", Generation)
    template = tmp_path / "model" / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{ bos_token }}", "{{ bos_token }}Be brief. "))
    assert code_of("evaluate", "harm", *given, "--replace") == 0
    after = read_records(tmp_path / "o" / "generations.parquet", Generation)
    assert (after[0].prompt_tokens, after[0].weights) == (
        before[0].prompt_tokens + len("Be brief. "),
        before[0].weights,
    )


def test_python_evaluates_in_two_lines(aya: Path, prompts: list[Prompt], server: Any, tmp_path: Path) -> None:
    from alignment_prism import Study, evaluate
    from alignment_prism.studies import JudgeSpec, RepliesArm

    harmful = stored(prompts, tmp_path / "replies.jsonl")
    server.script = verdict
    judge = JudgeSpec(model="openai-api/local/judge", base_url=server.url)
    replies = RepliesArm(name="model", replies=str(tmp_path / "replies.jsonl"))
    study = evaluate(replies, prompts, judge=judge, scorers=["reply_length"], out=tmp_path / "o")
    assert find(study.findings(), "harm_rate").estimate == pytest.approx(sum(harmful.values()) / len(prompts))
    asked = len(server.requests)
    again = evaluate(replies, prompts, judge=judge, scorers=["reply_length"], out=tmp_path / "o")
    assert repr(again.findings()) == repr(study.findings()) and len(server.requests) == asked
    opened = Study.open(tmp_path / "o")
    assert opened.prompts() == prompts and len(opened.generations()) == len(prompts)
    assert {score.scorer for score in opened.scores()} >= {"openai-api/local/judge", "reply_length@1"}
