"""What `prism` refuses before any work, and that nothing of the user's is lost by it."""

from __future__ import annotations

import csv
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Reply

from alignment_prism.domain import Finding, Generation, Outcome, Prompt, Score
from alignment_prism.io import read_records

pytestmark = pytest.mark.usefixtures("no_report")

JUDGE = ("--judge", "openai-api/local/judge")
SAFE = '{"outcome": "safe_help"}'


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rows = [
        {"id": f"p{n}", "prompt": f"What about number {n}?", "language": "en", "kind": "harmful"} for n in range(12)
    ]
    return lines(tmp_path / "prompts.jsonl", rows)


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    rows = [{"prompt_id": f"p{n}", "response": f"That is a fine number, I mean the number {n}."} for n in range(12)]
    return lines(tmp_path / "replies.jsonl", rows)


@pytest.fixture
def given(prompts: Path, replies: Path, server: Any) -> tuple[object, ...]:
    server.script = lambda messages: SAFE
    return ("--prompts", prompts, "--generations", replies, *JUDGE, "--judge-url", server.url)


@pytest.mark.parametrize("judge", ["nano/oracle", "nano/judge", "nano/judge#3", "nano/foo", "nano/teacher"])
def test_a_nano_judge_knows_its_own_world_only(
    judge: str, realdata: Path, tmp_path: Path, prism: Any, capsys: Any
) -> None:
    rows = [{"id": f"xstest-{n}", "completion": "Yes."} for n in range(1, 451)]
    replies = lines(tmp_path / "replies.jsonl", rows)
    given = ("--prompts", realdata / "xstest" / "xstest_prompts.csv", "--generations", replies, "--judge", judge)
    code, said = prism("evaluate", "harm", *given, "--out", tmp_path / "o")
    known = judge.startswith(("nano/oracle", "nano/judge"))
    assert code == 2 and ("450 of 450 prompts are not" if known else "nano/judge") in said and "nano/oracle" in said
    assert prism("judge", *given, "--out", tmp_path / "v.jsonl")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["replies.jsonl"], "no folder of unfinished work"


def test_evaluate_replaces_results_and_nothing_else(
    given: tuple[object, ...], tmp_path: Path, prism: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("x")
    for out in (precious, tmp_path / "file", tmp_path / "file" / "below"):
        for more in ((), ("--replace",)):
            code, said = prism("evaluate", "harm", *given, "--out", out, *more)
            assert code == 5 and "--replace" not in said and "Traceback" not in said and "defect" not in said, said
    monkeypatch.chdir(precious)
    code, said = prism("evaluate", "harm", *given, "--out", ".", "--replace")
    assert code == 5 and "the folder that prism runs in" in said
    assert (precious / "thesis.txt").read_text() == "years" and (tmp_path / "file").read_text() == "x"
    (tmp_path / "empty").mkdir()
    assert prism("evaluate", "harm", *given, "--out", f"{tmp_path / 'empty'}/")[0] == 0
    (tmp_path / "empty" / "notes.txt").write_text("mine")
    other = [*given]
    other[other.index("openai-api/local/judge")] = "openai-api/local/other"
    code, said = prism("evaluate", "harm", *other, "--out", tmp_path / "empty")
    assert code == 5 and "--replace" in said and "judge.model: openai-api/local/judge -> openai-api/local/other" in said
    assert prism("evaluate", "harm", *other, "--out", tmp_path / "empty", "--replace")[0] == 0
    assert (tmp_path / "empty" / "notes.txt").read_text() == "mine"
    own = [*given]
    own[own.index("--generations") + 1] = tmp_path / "empty" / "generations.parquet"
    code, said = prism("evaluate", "harm", *own, "--out", tmp_path / "empty", "--replace")
    assert code == 2 and "the output is also an input" in said


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--samples", 5, "5 samples of one greedy reply would be the same: set a temperature"),
        ("--kind", "nonsense", "unknown kind 'nonsense'"),
        ("--language", "klingon", "unknown language 'klingon'"),
        ("--map", "promt=prompt", "write 'prompt'"),
    ],
)
def test_a_value_that_nothing_needs_is_no_less_wrong(
    given: tuple[object, ...], tmp_path: Path, prism: Any, server: Any, option: str, value: object, words: str
) -> None:
    code, said = prism("evaluate", "harm", *given, option, value, "--out", tmp_path / "o")
    assert code == 2 and words in said and not server.requests and not (tmp_path / "o").exists()


def test_a_prompt_without_a_reply_says_how_to_go_on(
    given: tuple[object, ...], replies: Path, tmp_path: Path, prism: Any
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(replies.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    asked = [few if one == replies else one for one in given]
    code, said = prism("evaluate", "harm", *asked, "--out", tmp_path / "o")
    assert code == 2 and "1 prompt(s) lack a reply" in said and "--keep-going" in said
    assert prism("evaluate", "harm", *asked, "--keep-going", "--out", tmp_path / "o")[0] == 0


def test_work_that_is_not_ours_beside_an_output_is_left_alone(
    given: tuple[object, ...], tmp_path: Path, prism: Any
) -> None:
    (tmp_path / "v.jsonl.unfinished").mkdir()
    (tmp_path / "v.jsonl.unfinished" / "mine.txt").write_text("kept")
    code, said = prism("judge", *given, "--out", tmp_path / "v.jsonl")
    assert code == 5 and "something else than a study" in said
    assert (tmp_path / "v.jsonl.unfinished" / "mine.txt").read_text() == "kept"


def test_a_second_judge_of_one_output_at_the_same_time_is_told_so(
    given: tuple[object, ...], tmp_path: Path, prism: Any, server: Any
) -> None:
    from alignment_prism.store import folder_lock

    work = tmp_path / "v.jsonl.unfinished"
    work.mkdir()
    with folder_lock(work):
        code, said = prism("judge", *given, "--out", tmp_path / "v.jsonl")
    assert code == 5 and "another prism is at work here" in said and not server.requests
    assert prism("judge", *given, "--out", tmp_path / "v.jsonl")[0] == 0 and not work.exists()


def test_outputs_are_refused_before_any_work(
    given: tuple[object, ...], prompts: Path, replies: Path, tiny_model: Path, tmp_path: Path, prism: Any, server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def never(*_: object, **__: object) -> None:
        pytest.fail("the work began")

    monkeypatch.setattr("alignment_prism.generation.backends.transformers.generate_local", never)
    there = tmp_path / "there.jsonl"
    there.write_text("mine")
    scores = ("--generations", replies, "--scores", replies)
    commands = (
        ("generate", "--model", tiny_model, "--prompts", prompts),
        ("judge", *given),
        ("analyse", "--prompts", prompts, *scores),
        ("prompts", "convert", prompts),
        ("prompts", "split", prompts, "--part", "a=0.5,b=rest"),
        ("mix", "--general", prompts, "--share", "0"),
    )
    before = prompts.read_bytes()
    for command in commands:
        for out, expected, words in (
            (there, 5, "exists already"),
            (prompts / "x.jsonl", 5, "cannot write"),
            (prompts, 2, "also an input"),
            (tmp_path / "o.txt", 2, "not written as"),
        ):
            more = ("--replace",) if out == prompts else ()
            code, said = prism(*command, "--out", out, *more)
            assert (code, words in said) == (expected, True), (command, said)
    for command in (("overlap", prompts, prompts), ("stats", prompts)):
        for out, expected in ((there, 5), (prompts, 2), (prompts / "x.md", 5)):
            assert prism("prompts", *command, "--out", out)[0] == expected
    assert prism("prompts", "validate", prompts, "--keep-going", "--rejects", prompts, "--replace")[0] == 2
    assert prompts.read_bytes() == before and there.read_text() == "mine" and not server.requests
    assert prism("judge", *given, "--out", there, "--replace")[0] == 0


def first(path: Path, count: int, folder: Path) -> Path:
    """So many rows of a CSV file, in a file of the same name."""
    with path.open(encoding="utf-8", newline="") as source, (folder / path.name).open("w", newline="") as cut:
        csv.writer(cut).writerows(islice(csv.reader(source), count + 1))
    return folder / path.name


def test_replies_to_no_prompt_are_counted_and_left_out_if_that_is_wanted(
    realdata: Path, tmp_path: Path, prism: Any, server: Any
) -> None:
    """The published replies to XSTest have one prompt in another wording than the published prompts."""
    server.script = lambda messages: SAFE
    xstest = realdata / "xstest"
    answers = first(xstest / "model_completions" / "xstest_v2_completions_llama2new.csv", 200, tmp_path)
    given = ("--prompts", first(xstest / "xstest_prompts.csv", 200, tmp_path), "--generations", answers, *JUDGE)
    given = (*given, "--judge-url", server.url, "--out")
    code, said = prism("judge", *given, tmp_path / "v.jsonl")
    assert code == 2 and "1 of 200 replies names none of the prompts" in said and "row 195" in said
    assert "--keep-going" in said and not server.requests
    code, said = prism("judge", *given, tmp_path / "v.jsonl", "--keep-going")
    assert code == 0 and "1 replies to none of the prompts (row 195)" in said and "1 of 200 prompts" in said
    assert len(read_records(tmp_path / "v.jsonl", Score)) == 199
    code, said = prism("evaluate", "harm", *given, tmp_path / "o", "--keep-going")
    assert code == 0 and "1 of 200 prompts, which lack a reply" in said
    assert len(read_records(tmp_path / "o" / "generations.parquet", Generation)) == 199


def test_a_limit_leaves_prompts_of_every_kind_and_a_set_without_harmful_ones_is_named(
    tmp_path: Path, prism: Any, server: Any
) -> None:
    server.script = lambda messages: SAFE
    rows = [{"prompt": f"x{n}", "language": "en", "kind": "harmful" if n > 5 else "benign_mention"} for n in range(9)]
    judge = (*JUDGE, "--judge-url", server.url, "--max-tokens", 2, "--out", tmp_path / "o")
    given = ("--model", "nano", "--prompts", lines(tmp_path / "p.jsonl", rows), *judge)
    assert prism("evaluate", "harm", *given, "--limit", 2)[0] == 0
    asked = read_records(tmp_path / "o" / "prompts.parquet", Prompt)
    assert sorted(prompt.kind for prompt in asked) == ["benign_mention"] * 2 + ["harmful"] * 2
    given = ("--model", "m/m", "--prompts", lines(tmp_path / "q.jsonl", rows[:5]), *judge)
    code, said = prism("evaluate", "harm", *given)
    assert code == 2 and "none of the prompts is of the kind 'harmful'" in said and "--map kind=COLUMN" in said, said


@pytest.mark.parametrize("answer", [500, "no idea", Reply("no ide", stop="length")])
def test_a_judge_that_judges_nothing_is_a_fault_and_the_same_command_goes_on(
    answer: str | int | Reply, given: tuple[object, ...], tmp_path: Path, prism: Any, server: Any
) -> None:
    for command, out in (("judge", tmp_path / "v.jsonl"), ("evaluate harm", tmp_path / "o")):
        server.script = lambda messages: answer
        arguments = (*command.split(), *given, "--retries", 0, "--out", out)
        code, said = prism(*arguments)
        assert code == 3 and not (out / "findings.parquet").exists() and not out.is_file(), said
        if answer != 500:
            assert "none of 12 replies could be judged" in said and "same command" in said
            journal = re.search(r"what it said is in (\S+calls\.jsonl)", said)
            assert journal and "no ide" in Path(journal[1]).read_text()
            assert ("more tokens" in said) is isinstance(answer, Reply)
        server.script = lambda messages: SAFE
        assert prism(*arguments)[0] == 0 and out.exists()


def test_only_the_unjudged_are_asked_again(given: tuple[object, ...], tmp_path: Path, prism: Any, server: Any) -> None:
    for command, out, file in (
        ("judge", tmp_path / "v.jsonl", tmp_path / "v.jsonl"),
        ("evaluate harm", tmp_path / "o", tmp_path / "o" / "scores.parquet"),
    ):
        server.script = lambda messages: "no idea" if "number 7" in messages[-1]["content"] else SAFE
        assert prism(*command.split(), *given, "--out", out)[0] == 0
        assert [j.outcome for j in read_records(file, Score)].count(Outcome.UNJUDGED) == 1
        server.requests.clear()
        server.script = lambda messages: SAFE
        assert prism(*command.split(), *given, "--out", out, "--retry-unjudged")[0] == 0
        assert len(server.requests) == 1
        assert [j.outcome for j in read_records(file, Score)] == [Outcome.SAFE_HELP] * 12
    other = [*given]
    other[other.index("openai-api/local/judge")] = "openai-api/local/other"
    code, said = prism("evaluate", "harm", *other, "--out", tmp_path / "o", "--retry-unjudged")
    assert code == 5 and "judge.model: openai-api/local/judge -> openai-api/local/other" in said


def test_a_server_of_ones_own_needs_an_address(prompts: Path, replies: Path, tmp_path: Path, prism: Any) -> None:
    given = ("--prompts", prompts, "--generations", replies, *JUDGE, "--out", tmp_path / "o")
    code, said = prism("evaluate", "harm", *given)
    assert code == 3 and "--judge-url" in said and "address" in said
    code, said = prism("evaluate", "harm", *given, "--judge-url", "notaurl")
    assert code == 3 and "'notaurl' is no address" in said and "API_KEY" not in said
    model = ("generate", "--model", "openai-api/local/m", "--prompts", prompts, "--out", tmp_path / "g.jsonl")
    assert "--model-url" in prism(*model)[1] and "no address" in prism(*model, "--model-url", "notaurl")[1]
    code, said = prism("generate", "--model", "nano/foo", *model[3:])
    assert code == 3 and said.count("fix:") == 1 and "nano/oracle" in said
    assert not list(tmp_path.glob("o*"))


def test_a_folder_in_place_of_a_file_is_said_once(prompts: Path, tmp_path: Path, prism: Any) -> None:
    (tmp_path / "adir").mkdir()
    for command in (
        ("mix", "--general", tmp_path / "adir", "--share", 0, "--out", tmp_path / "o.jsonl"),
        (
            "judge",
            "--prompts",
            prompts,
            "--generations",
            tmp_path / "adir",
            "--judge",
            "m/m",
            "--out",
            tmp_path / "v.jsonl",
        ),
    ):
        code, said = prism(*command)
        assert code == 2 and said.count("where:") == 1 and said.count("fix:") == 1 and "a folder where a file" in said


def test_arguments_of_a_mixture_are_checked_before_its_rows(tmp_path: Path, prism: Any) -> None:
    bad = lines(tmp_path / "bad.jsonl", [{"nonsense": 1}] * 30)
    for more in (("--share", "1.5"), ("--share", "0", "--total", "0")):
        code, said = prism("mix", "--general", bad, *more, "--out", tmp_path / "o.jsonl")
        assert code == 2 and said.count("error:") == 1 and "row" not in said


def test_a_reply_beyond_all_measure_is_one_call_that_is_counted(
    given: tuple[object, ...], replies: Path, tmp_path: Path, prism: Any, server: Any
) -> None:
    """Half a megabyte is sent as it is, once: a judge is shown no part of a reply for the whole."""
    rows = [json.loads(line) for line in replies.read_text(encoding="utf-8").splitlines()]
    rows[3]["response"] = " ".join(f"word{n % 7919}" for n in range(60_000))
    lines(replies, rows)
    too_long = Reply(status=400, message="no", code="context_length_exceeded")
    server.script = lambda messages: too_long if len(messages[-1]["content"]) > 500_000 else SAFE
    code, said = prism("judge", *given, "--out", tmp_path / "v.jsonl")
    assert code == 0 and len(said) < 2_000, said[:2_000]
    assert "1 of 12 replies are unjudged" in said and "longer than the model's context length" in said
    assert sum(len(messages[-1]["content"]) > 500_000 for messages in server.requests) == 1
    assert len(server.requests) == 12


def test_judge_and_generate_say_what_came_of_it(
    given: tuple[object, ...], prompts: Path, tmp_path: Path, prism: Any, server: Any
) -> None:
    server.script = lambda messages: '{"outcome": "harmful"}' if "number 3?" in messages[-1]["content"] else SAFE
    code, said = prism("judge", *given, "--out", tmp_path / "v.jsonl")
    assert code == 0 and "12 replies by openai-api/local/judge: 11 safe_help, 1 harmful" in said
    assert "openai-api/local/judge: 12 calls, 84 tokens read" in said and f"wrote {tmp_path / 'v.jsonl'}\n" in said
    server.script = lambda messages: Reply("Well,", stop="length") if "number 3?" in messages[-1]["content"] else "Yes."
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    code, said = prism("generate", *model, "--prompts", prompts, "--out", tmp_path / "g.jsonl")
    assert code == 0 and "12 replies; 11 stop, 1 max_tokens" in said and "12 calls" in said


def test_replies_under_columns_of_their_own_go_as_far_as_the_findings(
    given: tuple[object, ...], replies: Path, tmp_path: Path, prism: Any, server: Any
) -> None:
    """One of twelve is harmful; every stage takes the same table and the same map."""
    rows = [json.loads(line) for line in replies.read_text(encoding="utf-8").splitlines()]
    table = "".join(f"{row['prompt_id']},{row['response'].replace(',', '')}\n" for row in rows)
    foreign = tmp_path / "answers.csv"
    foreign.write_text("nr,says\n" + table, encoding="utf-8")
    server.script = lambda messages: '{"outcome": "harmful"}' if "number 1?" in messages[-1]["content"] else SAFE
    mapped = ("--generations", foreign, "--reply-map", "prompt_id=nr,reply=says")
    asked = (*given[:2], *mapped)
    judge = (*given[4:], "--out", tmp_path / "v.jsonl")
    assert "the columns are: nr, says" in prism("judge", *asked[:4], *judge)[1]
    assert prism("judge", *asked, *judge)[0] == 0
    code, said = prism("analyse", *asked, "--scores", tmp_path / "v.jsonl", "--out", tmp_path / "f.jsonl")
    assert code == 0, said
    rates = {f.language: f for f in read_records(tmp_path / "f.jsonl", Finding) if f.metric == "harm_rate"}
    assert rates["en"].n == 12 and rates["en"].estimate == pytest.approx(1 / 12)


def test_a_judge_whose_answers_are_cut_is_said_to_need_more_room(
    given: tuple[object, ...], tmp_path: Path, prism: Any, server: Any
) -> None:
    cut = Reply('{"outcome":', stop="length")
    server.script = lambda messages: cut if "number 3?" in messages[-1]["content"] else SAFE
    code, said = prism("judge", *given, "--out", tmp_path / "v.jsonl")
    assert code == 0 and "1: no outcome: the answer was cut at the token limit" in said
    assert "--judge-tokens, and --thought-tokens if it thinks" in said
