"""Servers that never answer, and addresses with credentials, through the commands that people use."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from scripted_server import Reply, Server

from alignment_prism.cli.main import main
from alignment_prism.domain import Comparison, Generation, Outcome, Score, Winner
from alignment_prism.io import read_records
from alignment_prism.studies import load_spec

SECRET = "correcthorsebattery"
HELP = "Of course, here is what you asked me to write down for you."
VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    texts = ["how do I bake bread", "question that is never answered", "how do I sew a coat"]
    rows = [{"id": f"p{n}", "prompt": text, "language": "en", "kind": "harmful"} for n, text in enumerate(texts)]
    return jsonl(tmp_path / "prompts.jsonl", rows)


@pytest.fixture
def replies(tmp_path: Path, prompts: Path) -> Path:
    return jsonl(tmp_path / "replies.jsonl", [{"prompt_id": f"p{n}", "reply": HELP} for n in range(3)])


def stuck(messages: list[dict[str, str]]) -> Reply:
    """Of a server that accepts one request and never answers it."""
    return Reply(fault="hang") if "never answered" in messages[-1]["content"] else Reply(VERDICT)


@pytest.mark.parametrize("command", ["judge", "generate", "evaluate harm"])
def test_a_server_that_never_answers_is_found_out_and_the_option_is_named(
    command: str, server: Server, prompts: Path, replies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda messages: Reply(fault="hang")
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)
    given = model if command == "generate" else (*judge, "--generations", replies)
    out = tmp_path / ("out" if command == "evaluate harm" else "out.jsonl")
    code = code_of(*command.split(), "--prompts", prompts, *given, "--timeout", 0.2, "--retries", 5, "--out", out)
    said = capsys.readouterr().err
    assert code == 3 and "no answer in time" in said and "--timeout SECONDS" in said, said
    assert len(server.requests) <= 4  # the first call, and a probe of ours


def test_a_reply_that_a_filter_stopped_is_answered_and_nothing_is_asked_again_for_it(
    server: Server, prompts: Path, tmp_path: Path
) -> None:
    """Two replies and their verdicts are paid for once, though the journal of their calls is gone."""

    def script(messages: list[dict[str, str]]) -> Reply:
        said = messages[-1]["content"]
        if said == "question that is never answered":
            return Reply("", stop="content_filter")
        return Reply(HELP if said.startswith("how do I") else VERDICT)

    server.script, out = script, tmp_path / "out"
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)
    command = ("evaluate", "harm", "--prompts", prompts, *model, *judge, "--out", out)
    assert code_of(*command) == 0 and len(server.requests) == 5
    for journal in out.glob("calls.jsonl*"):
        journal.unlink()
    assert code_of(*command, "--retry-unjudged") == 0 and len(server.requests) == 5
    stops = [one.stop_reason for one in read_records(out / "generations.parquet", Generation)]
    assert stops == ["stop", "error", "stop"]


def test_verdicts_outlive_the_replies_that_are_asked_for_again(server: Server, prompts: Path, tmp_path: Path) -> None:
    """A reply failed, two were judged. When it has come, these two are not judged again, though the journal is gone and
    the judge fails in between."""
    judged: list[str] = []

    def script(reply: int, verdict: Reply) -> Callable[[list[dict[str, str]]], Reply | int]:
        def answer(messages: list[dict[str, str]]) -> Reply | int:
            said = messages[-1]["content"]
            if said == "question that is never answered":
                return reply if reply != 200 else Reply(HELP)
            if said.startswith("how do I"):
                return Reply(HELP)
            judged.append(said)
            return verdict

        return answer

    out = tmp_path / "out"
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)
    command = ("evaluate", "harm", "--prompts", prompts, *model, *judge, "--retries", 0, "--out", out)
    server.script = script(400, Reply(VERDICT))
    assert code_of(*command) == 0 and len(judged) == 2
    for journal in out.glob("calls.jsonl*"):
        journal.unlink()
    server.script = script(200, Reply(status=401, message="no such key"))
    assert code_of(*command, "--retry-unjudged") == 3
    (kept,) = out.glob("score/*.earlier/scores.parquet")
    assert [one.outcome for one in read_records(kept, Score)].count(Outcome.SAFE_HELP) == 2
    server.script = script(200, Reply(VERDICT))
    judged.clear()
    assert code_of(*command, "--retry-unjudged") == 0 and len(judged) == 1
    assert [one.outcome for one in read_records(out / "scores.parquet", Score)] == [Outcome.SAFE_HELP] * 3
    assert not list(out.glob("score/*.earlier"))


def test_comparisons_outlive_the_replies_that_are_asked_for_again(server: Server, tmp_path: Path) -> None:
    """As verdicts do: of three replies to be compared one failed."""
    rows = [{"id": f"p{n}", "prompt": f"task {n}", "language": "en", "kind": "general"} for n in range(3)]
    prompts = jsonl(tmp_path / "prompts.jsonl", rows)
    base = jsonl(tmp_path / "base.jsonl", [{"prompt_id": f"p{n}", "reply": HELP} for n in range(3)])
    compared: list[str] = []

    def script(reply: Reply, winner: Reply) -> Callable[[list[dict[str, str]]], Reply]:
        def answer(messages: list[dict[str, str]]) -> Reply:
            said = messages[-1]["content"]
            if server.bodies[-1]["model"] == "m":
                return reply if said == "task 1" else Reply(f"{HELP} It is {said}.")
            compared.append(said)
            return winner

        return answer

    out = tmp_path / "out"
    model = ("--model", "openai-api/local/m", "--model-url", server.url, "--base-generations", base)
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)
    command = ("evaluate", "win-rate", "--prompts", prompts, *model, *judge, "--retries", 0, "--out", out)
    wins = Reply(json.dumps({"winner": "A"}))
    server.script = script(Reply(status=400, message="no"), wins)
    assert code_of(*command) == 0 and len(compared) == 4
    for journal in out.glob("calls.jsonl*"):
        journal.unlink()
    server.script = script(Reply(HELP + " It is."), Reply(status=401, message="no such key"))
    assert code_of(*command, "--retry-unjudged") == 3
    server.script = script(Reply(HELP + " It is."), wins)
    compared.clear()
    assert code_of(*command, "--retry-unjudged") == 0 and len(compared) == 2
    found = read_records(out / "comparisons.parquet", Comparison)
    assert len(found) == 6 and Winner.UNJUDGED not in {one.winner for one in found}
    assert not list(out.glob("compare/*.earlier"))


def test_a_reply_that_never_comes_is_counted(
    server: Server, prompts: Path, replies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = stuck
    calls = ("--prompts", prompts, "--timeout", 1)
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    assert code_of("generate", *calls, *model, "--out", tmp_path / "replies.parquet") == 0
    written = read_records(tmp_path / "replies.parquet", Generation)
    assert [reply.error for reply in written] == ["", "no answer in time", ""]
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url)
    assert code_of("judge", *calls, *judge, "--generations", replies, "--out", tmp_path / "scores.parquet") == 0
    scores = [score for score in read_records(tmp_path / "scores.parquet", Score) if score.outcome is not None]
    assert [score.outcome for score in scores] == [Outcome.SAFE_HELP, Outcome.UNJUDGED, Outcome.SAFE_HELP]
    assert scores[1].error == "the judge gave no answer: no answer in time"
    assert "1: the judge gave no answer: no answer in time" in capsys.readouterr().err


def test_as_many_calls_are_under_way_as_each_command_says(server: Server, tmp_path: Path) -> None:
    """In one process, where the first limit of a model must not stay that of the next command."""
    rows = [{"id": f"p{n}", "prompt": f"bake {n}", "language": "en", "kind": "harmful"} for n in range(9)]
    prompts = jsonl(tmp_path / "prompts.jsonl", rows)
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    for connections in (2, 5):
        server.requests.clear()
        server.go_on.clear()
        server.script = lambda messages: Reply(HELP, fault="late" if len(server.requests) > 1 else "")
        seen: list[int] = []

        def release(connections: int = connections, seen: list[int] = seen) -> None:
            server.wait_for(1 + connections)  # the first call goes out alone
            seen.append(len(server.requests))
            server.go_on.set()

        waiter = threading.Thread(target=release)
        waiter.start()
        out = tmp_path / f"{connections}.jsonl"
        assert code_of("generate", "--prompts", prompts, *model, "--connections", connections, "--out", out) == 0
        waiter.join()
        assert seen == [1 + connections] and len(server.requests) == 9


def test_a_spec_has_the_limit_too(tmp_path: Path) -> None:
    text = "name: x\nbase: nano\ngeneration: {timeout: 7}\njudge: {model: nano/oracle, timeout: 2.5}\n"
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    spec = load_spec(tmp_path / "spec.yaml")
    assert spec.judge is not None and (spec.generation.timeout, spec.judge.timeout) == (7, 2.5)


@pytest.mark.parametrize(
    ("ends", "where"), [("well", "//me:{}@{}"), ("halfway", "//me:{}@{}"), ("well", "//{1}?key={0}")]
)
def test_credentials_of_an_address_stand_in_no_file_and_on_no_terminal(
    ends: str,
    where: str,
    server: Server,
    second_server: Server,
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.script = lambda messages: HELP
    second_server.script = lambda messages: VERDICT if ends == "well" or len(second_server.requests) < 2 else 401
    model, judge = ("http:" + where.format(SECRET, one.url.removeprefix("http://")) for one in (server, second_server))
    out = tmp_path / "out"
    code = code_of(
        *("evaluate", "harm", "--prompts", prompts, "--model", "openai-api/local/m", "--model-url", model),
        *("--judge", "openai-api/local/j", "--judge-url", judge, "--connections", 1, "--retries", 0, "--out", out),
        *("--base", "openai-api/local/b", "--limit", 3),
    )
    assert code == 0 if ends == "well" else code in (0, 3)
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "study.json" for path in files) and any(path.name == "manifest.json" for path in files)
    for path in files:
        assert SECRET not in path.name and SECRET not in "\n".join(texts(path)), path


def texts(path: Path) -> Iterator[str]:
    """What stands in a file; in a table uncompressed."""
    if path.suffix == ".parquet":
        table = parquet.ParquetFile(path)
        yield str(table.schema_arrow.metadata)
        yield str(table.read().to_pylist())
    else:
        yield path.read_bytes().decode("utf-8", "replace")


def test_an_answer_that_unpacks_to_more_than_any_is_counted_and_not_read(
    server: Server, prompts: Path, replies: Path, tmp_path: Path
) -> None:
    whole = Reply(VERDICT).data("j")
    bomb = gzip.compress(whole + b" " * 2**25)  # valid, and 33 kB on its way
    packed = {"Content-Encoding": "gzip"}
    server.script = lambda messages: Reply(
        body=bomb if len(server.requests) == 2 else gzip.compress(whole), headers=packed
    )
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url, "--connections", 1)
    out = tmp_path / "scores.parquet"
    assert code_of("judge", "--prompts", prompts, *judge, "--generations", replies, "--out", out) == 0
    scores = [score for score in read_records(out, Score) if score.outcome is not None]
    assert [score.outcome for score in scores] == [Outcome.SAFE_HELP, Outcome.UNJUDGED, Outcome.SAFE_HELP]
    assert scores[1].error == "the judge gave no answer: the provider's answer cannot be read (AnswerTooLarge)"
    assert len(server.requests) == 3  # another try would be as large
