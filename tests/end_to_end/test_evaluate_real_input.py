"""`prism evaluate harm` on real rows, with scripted servers as model and judge: known answers, injected faults."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_evaluation import JUDGE, OUTCOME_OF, REPLIES, chance, code_of, find, stored, table, verdict

from alignment_prism.domain import Finding, Generation, Outcome, Prompt, PromptKind, Score, StopReason
from alignment_prism.io import read_records, write_records
from alignment_prism.scoring import parse_rendered
from alignment_prism.store import verify


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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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


@pytest.mark.usefixtures("no_report")
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
