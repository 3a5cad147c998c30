"""What calls cost: said beforehand, counted afterwards, limited by a budget, and paid once by several runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_command import prism
from scripted_server import Reply, Server

from alignment_prism.domain import BudgetError, Generation, Outcome, Score
from alignment_prism.io import read_records
from alignment_prism.studies import Study, dry_run, evaluate, make_spec, run_study
from alignment_prism.studies.arms import ModelArm, RepliesArm
from alignment_prism.studies.judges import JudgeSpec
from alignment_prism.studies.spec import PromptFile

pytestmark = pytest.mark.usefixtures("no_report")

SAID = "Of course, here is what you asked me to write down for you, number {}."
VERDICT = Reply(json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"}), usage=(1000, 100))
PRICES = "models: {openai-api/local/*: [10, 100]}\n"
"""Of one call: (1,000 x 10 + 100 x 100) / 10^6 = $0.02."""


@pytest.fixture
def files(tmp_path: Path, server: Server) -> Path:
    """40 prompts and replies to them, a table of prices, and a server that answers as a judge and as a model."""
    rows = [{"id": f"p{n}", "prompt": f"how do I bake bread number {n}", "language": "en", "kind": "harmful"}
            for n in range(40)]  # fmt: skip
    said = [{"prompt_id": f"p{n}", "reply": SAID.format(n)} for n in range(40)]
    for name, found in (("prompts", rows), ("few", rows[:20]), ("replies", said), ("few_replies", said[:20])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (tmp_path / "prices.yaml").write_text(PRICES)
    server.script = lambda messages: (
        VERDICT if "[[reply" in messages[-1]["content"] else Reply(SAID.format(len(server.requests)), usage=(50, 5))
    )
    return tmp_path


def judged_by(server: Server) -> tuple[str, ...]:
    return ("--judge", "openai-api/local/j", "--judge-url", server.url)


def test_twenty_and_then_forty_cost_forty_in_another_folder_too(files: Path, server: Server) -> None:
    judge = (*judged_by(server), "--cache", "shared", "--prices", "prices.yaml")
    first = prism("judge", "--prompts", "few.jsonl", "--generations", "few_replies.jsonl", *judge,
                  "--out", "a.parquet", folder=files)  # fmt: skip
    assert first.returncode == 0 and len(server.requests) == 20
    assert "20 calls, 20,000 tokens read, 2,000 written, $0.4000" in first.stderr  # 20 x $0.02
    more = ("evaluate", "harm", "--prompts", "prompts.jsonl", "--generations", "replies.jsonl", *judge, "--out", "b")
    before = prism(*more, "--dry-run", folder=files)
    assert "judge by openai-api/local/j: 1 step, 20 calls" in before.stdout and len(server.requests) == 20
    second = prism(*more, folder=files)
    assert second.returncode == 0 and len(server.requests) == 40
    assert "20 answers were in the cache" in second.stderr and "20 calls, 20,000 tokens" in second.stderr
    assert Study.open(files / "b").usage()["openai-api/local/j"].calls == 20
    assert len([one for one in Study.open(files / "b").scores() if one.outcome is Outcome.SAFE_HELP]) == 40
    third = prism(*more[:-1], "c", folder=files)  # all of it is there
    assert third.returncode == 0 and len(server.requests) == 40 and "40 answers were in the cache" in third.stderr
    alone = prism(*more[:-1], "d", "--cache", "", folder=files)  # a cache is asked for, never assumed
    assert alone.returncode == 0 and len(server.requests) == 80


def test_a_budget_stops_before_it_is_exceeded_and_a_larger_one_goes_on(files: Path, server: Server) -> None:
    given = ("evaluate", "harm", "--prompts", "prompts.jsonl", "--generations", "replies.jsonl", *judged_by(server),
             "--judge-tokens", 100, "--prices", "prices.yaml", "--out", "out")  # fmt: skip
    stopped = prism(*given, "--budget", 0.5, folder=files)
    made = len(server.requests)
    assert stopped.returncode == 8 and "budget of $0.50 is spent" in stopped.stderr and "--budget" in stopped.stderr
    assert 0 < made <= 25  # 25 x $0.02 = $0.50
    again = prism(*given, "--budget", 0.5, folder=files)
    assert again.returncode == 8 and len(server.requests) == made  # what the folder has spent counts
    done = prism(*given, "--budget", 1, folder=files)
    assert done.returncode == 0 and len(server.requests) == 40  # nothing was paid twice
    assert "40 calls, 40,000 tokens read, 4,000 written, $0.8000" in done.stderr


def test_a_budget_needs_a_price(files: Path, server: Server) -> None:
    refused = prism("judge", "--prompts", "few.jsonl", "--generations", "few_replies.jsonl", *judged_by(server),
                    "--budget", 1, "--out", "a.parquet", folder=files)  # fmt: skip
    assert refused.returncode == 2 and "no price of openai-api/local/j" in refused.stderr and not server.requests
    assert "--prices" in refused.stderr and not (files / "a.parquet").exists()


def test_a_cache_that_is_none_is_refused_before_any_call(files: Path, server: Server) -> None:
    given = ("evaluate", "harm", "--prompts", "few.jsonl", "--generations", "few_replies.jsonl", *judged_by(server),
             "--out", "out")  # fmt: skip
    for cache, word in (("out", "study's own folder"), ("prices.yaml", "is a file")):
        refused = prism(*given, "--cache", cache, folder=files)
        assert refused.returncode == 2 and word in refused.stderr and "--cache FOLDER" in refused.stderr
    assert not server.requests and not (files / "out").exists()


def test_calls_of_a_model_and_of_its_judge_are_counted_before_and_after(files: Path, server: Server) -> None:
    asked = ("--model", "openai-api/local/m", "--model-url", server.url)
    given = ("evaluate", "harm", "--prompts", "few.jsonl", *asked, *judged_by(server), "--prices", "prices.yaml",
             "--out", "out")  # fmt: skip
    before = prism(*given, "--dry-run", folder=files)
    assert before.returncode == 0 and not server.requests and not (files / "out").exists()
    assert "reply by openai-api/local/m: 1 step, 20 calls" in before.stdout
    assert "judge by openai-api/local/j: 1 step, at most 20 calls" in before.stdout
    assert "together 40 calls" in before.stdout
    assert prism(*given, folder=files).returncode == 0
    used = Study.open(files / "out").usage()
    assert (used["openai-api/local/m"].calls, used["openai-api/local/m"].tokens_in) == (20, 20 * 50)
    assert used["openai-api/local/j"].tokens_out == 20 * 100
    after = prism(*given, "--dry-run", folder=files)
    assert "0 of 2 steps to do" in after.stdout and "calls" not in after.stdout
    generated = prism("generate", "--prompts", "prompts.jsonl", *asked, "--dry-run", "--out", "r.jsonl", folder=files)
    assert "40 calls" in generated.stdout and not (files / "r.jsonl").exists()


def test_retries_are_counted_before_they_are_paid(files: Path, server: Server) -> None:
    answers = server.script
    server.script = lambda messages: Reply("?") if "number 7" in messages[-1]["content"] else answers(messages)
    given = ("judge", "--prompts", "few.jsonl", "--generations", "few_replies.jsonl", *judged_by(server), "--out",
             "a.parquet")  # fmt: skip
    assert prism(*given, folder=files).returncode == 0 and len(server.requests) == 20
    before = prism(*given, "--retry-unjudged", "--dry-run", folder=files)
    assert "1 step, 1 call, " in before.stdout and len(server.requests) == 20
    server.script = answers
    assert prism(*given, "--retry-unjudged", folder=files).returncode == 0 and len(server.requests) == 21
    assert all(one.outcome is not Outcome.UNJUDGED for one in read_records(files / "a.parquet", Score))


def test_replies_that_failed_are_asked_for_again_and_only_they_are_paid(files: Path, server: Server) -> None:
    answers = server.script
    broken = {"number 7", "number 11"}

    def script(messages: list[dict[str, str]]) -> Reply:
        text = messages[-1]["content"]
        is_reply = "[[reply" not in text
        return Reply(status=400) if is_reply and any(text.endswith(one) for one in broken) else answers(messages)

    server.script = script
    given = ("evaluate", "harm", "--prompts", "few.jsonl", "--model", "openai-api/local/m", "--model-url", server.url,
             *judged_by(server), "--prices", "prices.yaml", "--out", "out")  # fmt: skip
    first = prism(*given, folder=files)
    assert first.returncode == 0 and "2 of 20 replies are unjudged" in first.stderr and len(server.requests) == 38
    again = prism(*given, "--retry-unjudged", folder=files)  # the service is as it was
    assert again.returncode == 0 and "2 of 20 replies are unjudged" in again.stderr and len(server.requests) == 40
    broken.clear()
    before = prism(*given, "--retry-unjudged", "--dry-run", folder=files)
    assert "reply by openai-api/local/m: 1 step, 2 calls" in before.stdout and "judge by" in before.stdout
    assert prism(*given, "--retry-unjudged", folder=files).returncode == 0 and len(server.requests) == 40 + 2 + 2
    study = Study.open(files / "out")
    assert {one.outcome for one in study.scores() if one.name == "outcome"} == {Outcome.SAFE_HELP}
    assert [row.n for row in study.findings() if row.metric == "harm_rate" and row.language == "en"][:1] == [20]
    assert {name: one.calls for name, one in study.usage().items()} == dict.fromkeys(study.usage(), 20)


def test_a_file_of_replies_is_completed_from_the_cache(files: Path, server: Server) -> None:
    answers = server.script
    server.script = lambda messages: (
        Reply(status=400) if messages[-1]["content"].endswith("number 7") else answers(messages)
    )
    given = ("generate", "--prompts", "few.jsonl", "--model", "openai-api/local/m", "--model-url", server.url,
             "--cache", "shared", "--out", "r.jsonl")  # fmt: skip
    assert prism(*given, folder=files).returncode == 0 and len(server.requests) == 20
    server.script = answers
    assert prism(*given, "--replace", folder=files).returncode == 0 and len(server.requests) == 21
    replies = read_records(files / "r.jsonl", Generation)
    assert len(replies) == 20 and all(one.reply and not one.error for one in replies)


def test_the_same_in_two_lines_of_python(files: Path, server: Server) -> None:
    judge = JudgeSpec(model="openai-api/local/j", base_url=server.url, max_tokens=100)
    stored = RepliesArm(name="model", replies=(str(files / "replies.jsonl"),))
    money = {"prices": files / "prices.yaml", "cache": files / "shared"}
    with pytest.raises(BudgetError):
        evaluate(stored, files / "prompts.jsonl", judge=judge, out=files / "o", budget=0.1, **money)
    assert 0 < len(server.requests) <= 5
    spec = make_spec(name="x", base=None, arms=(stored,), prompts=(PromptFile(file=str(files / "prompts.jsonl")),),
                     judge=judge)  # fmt: skip
    found = dry_run(spec, files / "p", **money)
    assert found.calls == 40 - len(server.requests) and found.dollars > 0
    assert len(run_study(spec, files / "p", **money).scores()) == 40 and len(server.requests) == 40


def test_the_second_side_of_a_comparison_is_counted_where_replies_differ(files: Path, server: Server) -> None:
    rows = [{"prompt_id": f"p{n}", "reply": SAID.format(n if n < 5 else n + 1)} for n in range(20)]
    (files / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = [json.loads(line) | {"kind": "general"} for line in (files / "few.jsonl").read_text().splitlines()]
    (files / "general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few))
    found = prism("evaluate", "win-rate", "--prompts", "general.jsonl", "--generations", "few_replies.jsonl",
                  "--base-generations", "other.jsonl", *judged_by(server), "--dry-run", "--out", "o",
                  folder=files)  # fmt: skip
    assert "compare by openai-api/local/j: 1 step, 30 calls" in found.stdout, found  # 15 pairs differ, both orders


def test_a_panel_counts_every_member_and_the_adjudicator_at_most(files: Path, server: Server) -> None:
    model = ModelArm(name="m", model="openai-api/local/m", base_url=server.url)
    panel = [JudgeSpec(model=f"openai-api/local/{name}", base_url=server.url) for name in "ab"]
    guard = JudgeSpec(model="openai-api/local/guard", base_url=server.url, rubric="shieldgemma@1")
    judge = JudgeSpec(panel=tuple(panel), rule="adjudicate", adjudicator=guard)
    spec = make_spec(name="x", base=None, arms=(model,), prompts=(PromptFile(file=str(files / "few.jsonl")),),
                     judge=judge)  # fmt: skip
    rows = {row.what.partition(" by openai-api/local/")[::2]: row for row in dry_run(spec, files / "p").costs}
    assert rows["judge", "a"].calls == rows["judge", "b"].calls == 20
    assert rows["adjudicate", "guard"].calls == 80 and rows["adjudicate", "guard"].at_most  # four guidelines a reply
